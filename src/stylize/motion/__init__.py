"""Relates each frame to the previous one: cuts, optical flow, and results warped along the motion."""

from __future__ import annotations

from stylize.frames import Motion
from stylize.motion.flow import FlowPool, known, motion_between, motions_between, warp
from stylize.motion.fusion import FramePair, Fuse, between, chain, fuse, steady
from stylize.motion.shots import CutDetector, split_shots

__all__ = [
    "CutDetector",
    "FlowPool",
    "FramePair",
    "Fuse",
    "Motion",
    "between",
    "chain",
    "fuse",
    "known",
    "motion_between",
    "motions_between",
    "split_shots",
    "steady",
    "warp",
]
