"""Loads video models: those of the Wan family (VACE, image to video, plain ones, which read words) and LTX-Video."""

from __future__ import annotations

import json
from pathlib import Path

import diffusers
import torch

from stylize.errors import ModelError, explained
from stylize.frames import DepthEstimator
from stylize.models.hub import BROKEN_FILES
from stylize.models.parts import Source
from stylize.networks import VideoNetworks
from stylize.networks.ltx_networks import LTX_DEFAULTS, LtxNetworks
from stylize.networks.video_networks import PLAIN_DEFAULTS, VIDEO_DEFAULTS

VIDEO_PIPELINES = {
    "WanVACEPipeline",
    "WanPipeline",
    "WanVideoToVideoPipeline",
    "WanImageToVideoPipeline",
    "LTXConditionPipeline",
}
"""Pipelines of model_index.json that are loaded here."""
OTHER_VIDEO = ("Wan", "LTX", "CogVideoX", "HunyuanVideo", "Cosmos", "SkyReels", "Mochi", "StableVideoDiffusion",
               "Kandinsky5", "Allegro", "Latte", "EasyAnimate", "SanaVideo")  # fmt: skip
"""Beginnings of other video pipelines' names."""


def find_video_pipeline(folder: Path) -> str | None:
    """Returns the name of a folder's video pipeline; `None` if it is an image model.

    Raises:
        ModelError: a video model that is not for this.
    """
    if not (folder / "model_index.json").is_file():
        return None
    try:
        name = str(json.loads((folder / "model_index.json").read_text(encoding="utf-8")).get("_class_name", ""))
    except ValueError:
        return None
    if name in VIDEO_PIPELINES:
        return name
    if name.startswith("AnimateDiff"):
        what = f"{folder}: is a whole pipeline of AnimateDiff"
        raise ModelError(what, "use its Stable Diffusion model, and its motion_adapter folder as --motion-adapter")
    if name.startswith(OTHER_VIDEO):
        what = f"{folder}: is a video model of the kind {name}"
        raise ModelError(
            what, f"of video models, use one for {' or '.join(sorted(VIDEO_PIPELINES))} (--model wan-vace)"
        )
    return None


def load_video_networks(
    source: Source, estimate_depth: DepthEstimator, device: torch.device, dtype: torch.dtype
) -> VideoNetworks:
    """Loads a video model's folder.

    Raises:
        ModelError: a part is missing or broken, or something is to be added that it does not take.
    """
    extras, folder = source.extras, source.base.path
    unfit = {"--controlnet": extras.controlnets, "--lora": extras.loras, "--ip-adapter": extras.ip_adapter,
             "--textual-inversion": extras.textual_inversions, "--vae": extras.vae,
             "--motion-adapter": extras.motion_adapter}  # fmt: skip
    if given := [name for name, value in unfit.items() if value]:
        raise ModelError(f"{source.name}: takes no {given[0]}", "leave it out, or use an image model such as sd15")
    what = f"{folder}: cannot be loaded"
    with explained(ModelError, what, "the folder lacks a file, or has no .safetensors weights", BROKEN_FILES):
        kind = find_video_pipeline(folder)
        kind = "WanPipeline" if kind == "WanVideoToVideoPipeline" else kind  # it has the same parts
        pipe = getattr(diffusers, str(kind)).from_pretrained(
            folder, dtype=dtype, local_files_only=True, use_safetensors=True
        )
    has_both = pipe.config.get("boundary_ratio") is None or pipe.transformer_2 is not None  # Wan 2.2
    if pipe.transformer is None or not has_both:
        raise ModelError(f"{folder}: has no transformer", "the folder is incomplete: copy or download it again")
    pipe.vae.to(torch.float32)  # in half precision its colours drift (diffusers' pull request 11582)
    for name in ("text_encoder", "image_encoder", "transformer", "transformer_2", "vae"):
        if (part := getattr(pipe, name, None)) is not None:  # encoders come to the device when they are used
            part.to("cpu" if name.endswith("encoder") else device).eval().requires_grad_(False)
    defaults = {"WanVACEPipeline": VIDEO_DEFAULTS, "LTXConditionPipeline": LTX_DEFAULTS}.get(kind or "", PLAIN_DEFAULTS)
    networks = LtxNetworks if kind == "LTXConditionPipeline" else VideoNetworks
    return networks(source.name, pipe, estimate_depth, device, dtype, defaults)
