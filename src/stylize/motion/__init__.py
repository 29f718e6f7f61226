"""TODO motion."""

from __future__ import annotations

from stylize.motion.flow import Motion, motion_between, warp
from stylize.motion.fusion import between
from stylize.motion.shots import CutDetector, split_shots

__all__ = ["CutDetector", "Motion", "between", "motion_between", "split_shots", "warp"]
