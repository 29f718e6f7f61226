"""Measures restyled videos: takes pictures, returns figures."""

from __future__ import annotations

from stylize.metrics.figures import edge_f1, sharpness, spearman, warp_error
from stylize.metrics.meter import MEANING, Measurement, Meter, measure_frames

__all__ = ["MEANING", "Measurement", "Meter", "edge_f1", "measure_frames", "sharpness", "spearman", "warp_error"]
