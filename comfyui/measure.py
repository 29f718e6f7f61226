"""The node that measures how steady restyled frames are."""

from __future__ import annotations

from typing import Any

import torch

from stylize import StyleError
from stylize.metrics import MEANING, Meter

from .images import CATEGORY, Progress, to_picture


class StylizeMeasure:
    """Compares restyled frames with their source."""

    CATEGORY = CATEGORY
    FUNCTION = "measure"
    OUTPUT_NODE = True
    RETURN_TYPES = ("STRING", "FLOAT", "FLOAT")
    RETURN_NAMES = ("figures", "warp_error", "detail_along")
    OUTPUT_TOOLTIPS = ("All figures, with what they mean.", MEANING["warp_error"], MEANING["detail_along"])
    DESCRIPTION = (
        "Tells how steady restyled frames are, how much of the source they keep, and how far they are from it."
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict[str, Any]]:
        """Describes the inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "source": ("IMAGE", {"tooltip": "The frames as they were."}),
                "styled": ("IMAGE", {"tooltip": "The restyled frames, one for each."}),
            }
        }

    def measure(self, source: torch.Tensor, styled: torch.Tensor) -> dict[str, Any]:
        """Returns the figures as text, and the two that tell most.

        Of a single frame, the last one of a video in batches, there is nothing to be told.

        Raises:
            StyleError: there are not as many frames of both.
        """
        if len(source) != len(styled):
            raise StyleError(f"{len(source)} and {len(styled)} frames cannot be compared", "give as many of both")
        if len(source) < 2:
            text = "one frame is too few to tell how steady they are"
            return {"ui": {"text": [text]}, "result": (text, float("nan"), float("nan"))}
        meter, progress = Meter(), Progress(len(source))
        for one, other in zip(source, styled, strict=True):
            meter.add(to_picture(one), to_picture(other))
            progress.step()
        figures = meter.result().figures
        text = "\n".join(f"{name} {figures[name]:.3f}  {MEANING[name]}" for name in MEANING if name in figures)
        told = figures.get("warp_error", float("nan")), figures.get("detail_along", float("nan"))
        return {"ui": {"text": [text]}, "result": (text, *told)}
