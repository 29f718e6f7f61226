"""Loads networks of the built-in model, of folders in diffusers format, of single files, and from the hub."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers.models.embeddings import ImageProjection
from diffusers.utils import logging as diffusers_logging
from safetensors.torch import load_file
from transformers.utils import logging as transformers_logging

from stylize.errors import ModelError, Say, explained
from stylize.frames import DepthEstimator
from stylize.models import adapters, replacements
from stylize.models.hub import BROKEN_FILES, PART_FILES, Place, fetch, parse_place
from stylize.models.motion_adapter import SCHEDULE, add_motion_adapter, choose_scheduler
from stylize.models.parts import MIDAS, Extras, Source, find_source
from stylize.models.registry import KNOWN_CONTROLNETS
from stylize.models.replacements import choose_variant
from stylize.models.single_file import load_single_file
from stylize.models.video_loading import find_video_pipeline, load_video_networks
from stylize.networks import Networks, VideoNetworks, attention, choose_device, patches
from stylize.networks.devices import default_dtype, memory_format
from stylize.networks.family import family
from stylize.networks.guidance import embeds_guidance
from stylize.networks.image_prompt import ImagePrompt
from stylize.structure.depth import LazyDepth, MidasDepth, PocketDepth, TransformersDepth
from stylize.structure.detectors import annotators

LIBRARIES = {"diffusers": diffusers, "transformers": transformers, "stylize.networks.patches": patches}
PARTS = ("tokenizer", "text_encoder", "vae", "unet", "scheduler")
IMAGE_PROMPT = "ip-adapter.safetensors"
SPECIAL = {
    8: "is an instruct-pix2pix model, which takes a source as a second picture",
    5: "is a depth model, which takes depth as a fifth channel",
}  # fmt: skip
"""What the number of a UNet's input channels says of a model that restyling is not for."""
SDXL_PARTS = ("tokenizer_2", "text_encoder_2")
"""Parts that only SDXL has."""


def load_networks(
    model: str | Path,
    *,
    device: str | None = None,
    dtype: torch.dtype | None = None,
    extras: Extras | None = None,
    offline: bool = False,
    say: Say | None = None,
) -> Networks:
    """Loads an image model by name, folder, file or hub id; all use the same code path.

    Args:
        device: "cpu", "cuda", "mps", ...; the best one available when `None`.
        dtype: number format of the weights; the one that suits the device when `None` (`default_dtype`).
        extras: ControlNets, LoRAs and other parts that are added to the model or replace its own.
        offline: never contact the hub.
        say: receives a line before each download.

    Raises:
        ModelError: unknown name, not a model folder, a part missing or of another family, not on disk while offline.
    """
    with quiet():
        source = find_source(str(model), extras or Extras(), offline=offline, say=say)
    return _load_networks(source, choose_device(device), dtype, offline=offline, say=say)


def _load_networks(
    source: Source, torch_device: torch.device, dtype: torch.dtype | None, *, offline: bool, say: Say | None
) -> Networks:
    torch_dtype = dtype or default_dtype(torch_device)
    with quiet():

        def fetch_part(part: str | Path) -> Place:
            return fetch(parse_place(part), PART_FILES, offline=offline, say=say)

        pipe, scheduler = _load_pipeline(source, torch_dtype)
        locations = {n: fetch_part(part) for n, part in _choose_controlnets(source, family(pipe.unet)).items()}
        nets = replacements.load_controlnets(locations, pipe.unet, torch_dtype)
        if source.extras.vae is not None:
            vae = replacements.find_vae(str(source.extras.vae), family(pipe.unet), say)
            pipe.register_modules(vae=replacements.load_vae(fetch_part(vae), pipe.vae, torch_dtype))
        adapters.add(pipe, source.extras, fetch_part, say)
        if (motion := source.extras.motion_adapter) is not None:
            add_motion_adapter(pipe, fetch_part(motion))
        image_prompt = _load_image_prompt(source, torch_device, torch_dtype)
    scheduler = _choose_scheduler(scheduler, source)
    for part in (pipe.text_encoder, getattr(pipe, "text_encoder_2", None), pipe.image_encoder, pipe.unet, pipe.vae):
        if part is not None:
            part.to(torch_device).eval().requires_grad_(False)
    pipe.unet.to(memory_format=memory_format(torch_device))
    pipe.vae.to(memory_format=memory_format(torch_device))
    if torch_dtype == torch.float16 and getattr(pipe.vae.config, "force_upcast", False):
        pipe.vae.to(torch.float32)  # SDXL's own VAE overflows in half precision
    attention.install(pipe.unet)
    return Networks(
        name=source.name + adapters.describe(source.extras),
        pipe=pipe,
        controlnets={name: net.to(torch_device) for name, net in nets.items()},
        scheduler=scheduler,
        estimate_depth=LazyDepth(lambda: _load_depth(source, torch_device, offline=offline)),
        device=torch_device,
        dtype=torch_dtype,
        defaults=source.defaults(type(scheduler).__name__, embeds_guidance=embeds_guidance(pipe.unet)),
        vocabulary=source.vocabulary,
        image_prompt=image_prompt,
    )


def load_model(
    model: str | Path,
    *,
    device: str | None = None,
    dtype: torch.dtype | None = None,
    extras: Extras | None = None,
    offline: bool = False,
    say: Say | None = None,
) -> Networks | VideoNetworks:
    """Loads an image model or a video model; see `load_networks`."""
    with quiet():
        source = find_source(str(model), extras or Extras(), offline=offline, say=say)
        chosen = choose_device(device)
        if source.base.file or find_video_pipeline(source.base.path) is None:
            return _load_networks(source, chosen, dtype, offline=offline, say=say)
        estimate = LazyDepth(lambda: _load_depth(source, chosen, offline=offline))
        return load_video_networks(source, estimate, chosen, dtype or default_dtype(chosen))


def _load_pipeline(source: Source, dtype: torch.dtype) -> tuple[Any, Any]:
    """Loads diffusers' text-to-image pipeline with the model's parts; returns it and the model's scheduler."""
    if source.base.file:
        pipe = load_single_file(source.base.path, dtype, other_vae=source.extras.vae is not None)
        return pipe, pipe.scheduler
    folder = source.base.path
    index = dict(diffusers.DiffusionPipeline.load_config(folder))
    second = SDXL_PARTS if index.get("text_encoder_2", [None])[0] else ()
    parts = {name: _load_part(folder, name, index.get(name), dtype) for name in (*PARTS, *second)}
    for tokenizer, encoder in (("tokenizer", "text_encoder"), ("tokenizer_2", "text_encoder_2")):
        if tokenizer in parts:  # one that names no length counts as endless
            limit = parts[encoder].config.max_position_embeddings
            parts[tokenizer].model_max_length = min(parts[tokenizer].model_max_length, limit)
    latent = parts["vae"].config.latent_channels
    if (channels := parts["unet"].config.in_channels) not in (latent, 2 * latent + 1):
        raise ModelError(f"{folder}: {SPECIAL.get(channels, 'is made for other inputs')}", "use the plain model")
    scheduler = parts["scheduler"]
    # a copy: the pipeline changes settings of its scheduler to those that its own call expects
    parts["scheduler"] = type(scheduler).from_config(scheduler.config)
    if second:
        zeros = index.get("force_zeros_for_empty_prompt", True)
        xl = diffusers.StableDiffusionXLPipeline
        return xl(**parts, force_zeros_for_empty_prompt=zeros, add_watermarker=False), scheduler
    plain = diffusers.StableDiffusionPipeline
    return plain(**parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False), scheduler


def _load_part(folder: Path, name: str, entry: Any, dtype: torch.dtype) -> Any:
    """Loads one part by the class that model_index.json names, which must be one of diffusers or transformers."""
    library, class_name = entry if isinstance(entry, (list, tuple)) and len(entry) == 2 else (None, None)
    part_class = getattr(LIBRARIES.get(library or ""), class_name or "", None)
    if part_class is None:
        what = f"{folder}: names no usable {name} ({class_name})"
        raise ModelError(what, "use a model of the SD 1.5, SD 2.1 or SDXL family")
    if not (folder / name).is_dir():  # a tokenizer without files would load as an empty one
        raise ModelError(f"{folder}: has no {name}", "the model folder is incomplete: copy or download it again")
    options: dict[str, Any] = {"subfolder": name, "local_files_only": True}
    if issubclass(part_class, torch.nn.Module):
        options |= {"dtype": dtype, "use_safetensors": True} | choose_variant(folder / name)
    what, advice = f"{folder}: its {name} cannot be loaded", "the folder lacks a file, or has no .safetensors weights"
    with explained(ModelError, what, advice, BROKEN_FILES):
        return part_class.from_pretrained(folder, **options)


def _choose_controlnets(source: Source, family_name: str) -> Mapping[str, str | Path]:
    """Returns the ControlNets to load: all of the model's, or only those that a run names, known ones from the hub."""
    nets = source.extras.controlnets or {}
    asked = dict.fromkeys((*(source.extras.controls or nets), *source.extras.more_controls))
    available: dict[str, str | Path] = {**KNOWN_CONTROLNETS.get(family_name, {}), **nets}
    if missing := [name for name in asked if name not in available]:
        has = ", ".join(available) or "none of a known name"
        raise ModelError(f"{source.name} has no ControlNet '{missing[0]}'", f"name one with --controlnet; it has {has}")
    return {name: available[name] for name in asked}


def _choose_scheduler(scheduler: Any, source: Source) -> Any:
    """Returns the model's own scheduler, or the one that a few-step model or a motion adapter was made for."""
    recipe, moves = source.recipe, source.extras.motion_adapter is not None
    if recipe is None:
        return choose_scheduler(scheduler) if moves else scheduler
    options = {**recipe.options, **(SCHEDULE if moves else {})}
    return getattr(diffusers, recipe.scheduler).from_config(scheduler.config, **options)


def _load_image_prompt(source: Source, device: torch.device, dtype: torch.dtype) -> ImagePrompt | None:
    """Loads the networks that `--reference` needs, if the model's folder has them built in."""
    adapter = source.settings.get("image_prompt")
    if adapter is None or source.extras.ip_adapter is not None:
        return None
    folder = source.base.path
    with explained(
        ModelError, f"{folder}: its image prompt cannot be loaded", "the model folder is incomplete: copy it again",
        BROKEN_FILES,
    ):  # fmt: skip
        encoder = transformers.CLIPVisionModelWithProjection.from_pretrained(
            folder, subfolder="image_encoder", dtype=dtype, use_safetensors=True, local_files_only=True
        )
        processor = transformers.CLIPImageProcessor.from_pretrained(
            folder, subfolder="feature_extractor", local_files_only=True
        )
        # the layout of IP-Adapter's file: image_proj.proj.*, image_proj.norm.*
        stored = load_file(folder / adapter / IMAGE_PROMPT)
        weights = {k.removeprefix("image_proj.").replace("proj.", "image_embeds."): v for k, v in stored.items()}
        width = weights["norm.weight"].shape[0]
        projection = ImageProjection(
            encoder.config.projection_dim, width, weights["image_embeds.weight"].shape[0] // width
        )
        projection.load_state_dict(weights)
    encoder.to(device).eval().requires_grad_(False)
    return ImagePrompt(encoder, projection.to(device, dtype).eval().requires_grad_(False), processor)


def _load_depth(source: Source, device: torch.device, *, offline: bool) -> DepthEstimator:
    with quiet():
        if source.extras.depth is not None:
            location = fetch(parse_place(source.extras.depth), PART_FILES, offline=offline)
            return TransformersDepth(location.path, device)
        if source.depth == MIDAS:
            return MidasDepth(annotators(), device)
        return PocketDepth(source.depth, device)


@contextmanager
def quiet() -> Iterator[None]:
    """Silences the libraries' progress bars, notices and warnings while they load; errors are still raised."""
    before = diffusers_logging.get_verbosity(), transformers_logging.get_verbosity()
    bars = diffusers_logging.is_progress_bar_enabled(), transformers_logging.is_progress_bar_enabled()
    diffusers_logging.set_verbosity_error()
    transformers_logging.set_verbosity_error()
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        diffusers_logging.set_verbosity(before[0])
        transformers_logging.set_verbosity(before[1])
        for logging, had_bars in zip((diffusers_logging, transformers_logging), bars, strict=True):
            if had_bars:
                logging.enable_progress_bar()
