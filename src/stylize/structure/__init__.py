"""Makes maps of a frame's structure for ControlNets: edges, depth and others."""

from __future__ import annotations

from stylize.structure.coarsen import coarsen
from stylize.structure.detectors import canny, detector
from stylize.structure.given import GivenDepth
from stylize.structure.maps import DepthRange, take_maps

__all__ = ["DepthRange", "GivenDepth", "canny", "coarsen", "detector", "take_maps"]
