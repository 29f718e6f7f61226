"""The node that makes maps of frames for ControlNets, with strokes that move with the surfaces."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch

from stylize import Stylizer
from stylize.frames import Map, Motion, Picture
from stylize.models.registry import POCKET_FOLDER
from stylize.motion import CutDetector, motion_between, split_shots
from stylize.structure import DepthRange, StrokeOrder, take_maps, take_strokes
from stylize.structure.cells import KINDS as CELLS
from stylize.structure.depth import PocketDepth

from .images import CATEGORY, Progress, to_clips

KINDS = ("depth", "canny", "strokes")


class StylizeMaps:
    """Makes depth maps, Canny edges or stroke fields of consecutive frames."""

    CATEGORY = CATEGORY
    FUNCTION = "take"
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("maps",)
    OUTPUT_TOOLTIPS = ("One map a frame, for ComfyUI's own ControlNets, too.",)
    DESCRIPTION = (
        "depth: near is white, one scale a shot. canny: edges. strokes: lines, a stroke field and cells as red, green "
        "and blue; strokes lie along the forms and move with the surfaces."
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict[str, Any]]:
        """Describes the inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "images": ("IMAGE", {"tooltip": "Consecutive frames of a video."}),
                "kind": (list(KINDS), {"tooltip": "Of maps."}),
            },
            "optional": {
                "stylizer": ("STYLIZER", {"tooltip": "Its depth network; without it, the built-in one."}),
                "cells": (["none", *CELLS], {"tooltip": "In the blue of strokes."}),
                "seed": ("INT", {"default": 0, "min": 0, "max": 2**31 - 1, "tooltip": "Of the strokes."}),
            },
        }

    def take(
        self,
        images: torch.Tensor,
        kind: Literal["depth", "canny", "strokes"],
        stylizer: Stylizer | None = None,
        cells: str = "none",
        seed: int = 0,
    ) -> tuple[torch.Tensor]:
        """Returns the maps, `[B, H, W, 3]` in [0, 1]."""
        result, progress = torch.empty((*images.shape[:3], 3)), Progress(len(images))
        estimate = stylizer.networks.estimate_depth if stylizer else _load_depth()
        order = StrokeOrder(seed, ((0, None if cells == "none" else cells),))  # type: ignore[arg-type]
        depth_range: DepthRange | None = None
        before: Picture | None = None
        strokes, shot = None, -1
        for i, (clip, _) in enumerate(split_shots(to_clips(images, 25), CutDetector())):
            if clip.starts_shot:
                depth_range, before, strokes, shot = None, None, None, shot + 1
            if kind == "strokes":
                motion: Motion | None = None if before is None else motion_between(before, clip.frames[0])
                made, strokes = take_strokes([(clip.frames[0], motion, clip.times[0])], order, strokes, shot)
                before = clip.frames[0]
            else:
                maps, depth_range = take_maps(clip, [kind], estimate, depth_range)
                made = maps.maps[kind]
            result[i] = _to_rgb(made)
            progress.step()
        return (result,)


def _load_depth() -> PocketDepth:
    return PocketDepth(POCKET_FOLDER / "depth", torch.device("cpu"))


def _to_rgb(maps: Map) -> torch.Tensor:
    """Converts one map, `[1, 1 or 3, H, W]`, to an image `[H, W, 3]`."""
    return torch.from_numpy(np.ascontiguousarray(maps[0].transpose(1, 2, 0))).expand(-1, -1, 3)
