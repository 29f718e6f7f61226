"""The node that hands painted keyframes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from stylize import StyleError
from stylize.frames import Picture

from .images import CATEGORY, to_picture


class Painting(NamedTuple):
    """A frame that a person painted."""

    frame: int
    """Its number in the video, from 0."""
    picture: Picture
    """uint8 RGB `[H, W, 3]`."""


class StylizePaintedKeyframes:
    """Says which frames were painted; Restyle Frames carries their look through the video."""

    CATEGORY = CATEGORY
    FUNCTION = "collect"
    RETURN_TYPES = ("STYLIZE_PAINTINGS",)
    RETURN_NAMES = ("paintings",)
    OUTPUT_TOOLTIPS = ("For Restyle Frames.",)
    DESCRIPTION = (
        "One or more frames that you painted over give the look of the video, carried along its motion both ways."
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict[str, Any]]:
        """Describes the inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "images": ("IMAGE", {"tooltip": "The painted frames, uncropped."}),
                "frames": ("STRING", {"default": "0", "tooltip": "Their numbers in the video, from 0: 0, 48, 96"}),
            },
            "optional": {"paintings": ("STYLIZE_PAINTINGS", {"tooltip": "Further ones, of another such node."})},
        }

    def collect(self, images: torch.Tensor, frames: str, paintings: Sequence[Painting] = ()) -> tuple[list[Painting]]:
        """Returns the paintings with their numbers.

        Raises:
            StyleError: the numbers are none, or not as many as there are pictures, or a frame is painted twice.
        """
        try:
            numbers = [int(text) for text in frames.replace(",", " ").split()]
        except ValueError as error:
            raise StyleError(f"'{frames}' are not numbers of frames", "write them as 0, 48, 96") from error
        if len(numbers) != len(images) or min(numbers, default=0) < 0:
            raise StyleError(f"{len(images)} pictures, but the frames '{frames}'", "give one number a picture, from 0")
        made = [*paintings, *(Painting(n, to_picture(image)) for n, image in zip(numbers, images, strict=True))]
        if len({painting.frame for painting in made}) < len(made):
            raise StyleError("a frame is painted twice", "give one painting a frame")
        return (sorted(made, key=lambda painting: painting.frame),)
