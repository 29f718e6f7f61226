"""Makes maps of a frame's structure for ControlNets: edges, depth and others."""

from __future__ import annotations

from stylize.structure.coarsen import coarsen
from stylize.structure.detectors import canny, detector
from stylize.structure.given import GivenControl, GivenDepth
from stylize.structure.maps import DepthRange, take_maps
from stylize.structure.stroke_maps import StrokeOrder, StrokeState, take_strokes
from stylize.structure.strokes import DrawField, draw_field, stroke_field

__all__ = [
    "DepthRange",
    "DrawField",
    "GivenControl",
    "GivenDepth",
    "StrokeOrder",
    "StrokeState",
    "canny",
    "coarsen",
    "detector",
    "draw_field",
    "stroke_field",
    "take_maps",
    "take_strokes",
]
