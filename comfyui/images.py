"""Between ComfyUI's batches of images and stylize's clips; progress and cancelling, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from stylize import Clip
from stylize.frames import Picture

CATEGORY = "stylize"
PREVIEW_SIDE = 512
"""Longer side of the pictures that are shown while a node works, in pixels."""


def to_picture(image: torch.Tensor) -> Picture:
    """Converts an image `[H, W, 3 or 4]` in [0, 1] to uint8 RGB `[H, W, 3]`; transparency is left out."""
    levels = (image[..., :3].detach().cpu().float() * 255).round().clamp(0, 255)
    return np.ascontiguousarray(levels.to(torch.uint8).numpy())


def to_image(pictures: Picture) -> torch.Tensor:
    """Converts uint8 RGB to float32 in [0, 1], as ComfyUI has images."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).float() / 255


def to_clips(images: torch.Tensor, fps: float, first: int = 0) -> Iterator[Clip]:
    """Yields a batch of images `[B, H, W, C]` as clips of one frame; one is converted when it is asked for.

    Args:
        fps: frames a second.
        first: number of the batch's first frame in the video.
    """
    rate = Fraction(fps).limit_denominator(100_000)
    for i, image in enumerate(images):
        yield Clip(to_picture(image)[None], ((first + i) / rate,), (1 / rate,), first + i)


class Progress:
    """ComfyUI's progress bar, with a preview; `step` raises ComfyUI's own exception where the user cancelled.

    Args:
        total: number of steps.
    """

    def __init__(self, total: int) -> None:
        from comfy.utils import ProgressBar

        self._bar, self._total, self._done = ProgressBar(total), total, 0

    def step(self, picture: Picture | None = None) -> None:
        """Counts a step, and shows a picture if one is given."""
        import comfy.model_management

        self._done += 1
        self._bar.update_absolute(self._done, self._total, None if picture is None else _to_preview(picture))
        comfy.model_management.throw_exception_if_processing_interrupted()


def _to_preview(picture: Picture) -> tuple[str, Any, int]:
    from PIL import Image

    return "JPEG", Image.fromarray(picture), PREVIEW_SIDE
