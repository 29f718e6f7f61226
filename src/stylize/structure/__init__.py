"""TODO structure."""

from __future__ import annotations

from stylize.structure.detectors import canny, detector
from stylize.structure.maps import DepthRange, take_maps

__all__ = ["DepthRange", "canny", "detector", "take_maps"]
