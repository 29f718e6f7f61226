"""AnimateDiff's motion modules in an image model's UNet: its frames are predicted together (Guo et al. 2024)."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import UNetMotionModel

from stylize.errors import StyleError

OVERLAP = 4
"""Frames of the batch before that a batch looks back to."""
WINDOW = 16
"""Frames that the published motion modules were trained on."""


def has_motion(unet: Any) -> bool:
    """Whether motion modules are in the UNet."""
    return isinstance(unet, UNetMotionModel)


def predict_together(
    unet: Any, frames: int, latents: torch.Tensor, t: torch.Tensor, *, added_cond_kwargs: Any, **options: Any
) -> tuple[torch.Tensor]:
    """Calls a UNet with motion modules as one without them is called, `[G * frames, C, h, w]` in and out."""
    added = {name: _first_of_each(value, frames) for name, value in (added_cond_kwargs or {}).items()}
    video = latents.view(-1, frames, *latents.shape[1:]).transpose(1, 2)
    predicted = unet(video, t[::frames], added_cond_kwargs=added or None, **options)[0]
    return (predicted.transpose(1, 2).flatten(0, 1),)


def _first_of_each(value: Any, frames: int) -> Any:
    """Returns one row for each video, as the UNet repeats them; of one picture, or a list of them."""
    if isinstance(value, list):
        return [_first_of_each(one, frames) for one in value]
    return value[::frames]


def choose_window(unet: Any, wanted: int | None) -> int:
    """Returns the new frames of a batch: with those of the batch before, as many as motion modules were trained on.

    Raises:
        StyleError: more are asked for than they can see.
    """
    longest = int(unet.config.motion_max_seq_length) - OVERLAP
    if wanted is not None and wanted > longest:
        what = f"the motion adapter sees {longest} new frames at once, not {wanted}"
        raise StyleError(what, "leave out --batch, which takes 12")
    return min(WINDOW - OVERLAP, longest) if wanted is None else wanted
