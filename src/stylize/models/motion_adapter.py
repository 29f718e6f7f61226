"""Puts AnimateDiff's motion modules into the UNet of a Stable Diffusion model."""

from __future__ import annotations

from typing import Any

import diffusers

from stylize.errors import ModelError, explained
from stylize.models.hub import BROKEN_FILES, Place
from stylize.networks.family import family

SCHEDULE: dict[str, Any] = {"beta_schedule": "linear"}
"""How the published motion modules were trained (Guo et al. 2024); the models around them are scaled linear."""
SAMPLING: dict[str, Any] = {"clip_sample": False, "timestep_spacing": "linspace", "steps_offset": 1}
"""DDIM as diffusers' page of AnimateDiff sets it."""
EXAMPLE = "guoyww/animatediff-motion-adapter-v1-5-3"


def add_motion_adapter(pipe: Any, location: Place) -> None:
    """Replaces the pipeline's UNet by one of the same weights with motion modules between its layers.

    Raises:
        ModelError: it is not a motion adapter, or was made for another family, or the model is one for inpainting.
    """
    if location.file:
        what = f"{location.text}: is a file, and a motion adapter is a folder in diffusers format"
        raise ModelError(what, f"name the folder, or a hub id such as {EXAMPLE}")
    if pipe.unet.config.in_channels != pipe.unet.config.out_channels:
        raise ModelError("an inpainting model takes no motion adapter", "use the plain model, such as sd15")
    what, advice = (
        f"{location.text}: is not a motion adapter that fits {family(pipe.unet)}",
        f"use one such as {EXAMPLE}",
    )
    with explained(ModelError, what, advice, BROKEN_FILES):
        if diffusers.MotionAdapter.load_config(location.path).get("_class_name") != "MotionAdapter":
            raise ValueError("its config.json names another class")
        adapter = diffusers.MotionAdapter.from_pretrained(
            location.path, dtype=pipe.unet.dtype, use_safetensors=True, local_files_only=True
        )
        if adapter.config.conv_in_channels:
            raise ValueError("it is one of PIA, which takes a picture beside the frames")
        unet = diffusers.UNetMotionModel.from_unet2d(pipe.unet, adapter)
    pipe.register_modules(unet=unet.to(dtype=pipe.unet.dtype))


def choose_scheduler(own: Any) -> Any:
    """Returns the scheduler that motion modules are sampled with: DDIM with their betas."""
    return diffusers.DDIMScheduler.from_config(own.config, **SCHEDULE, **SAMPLING)
