"""Checks what is asked of a live picture, before anything is opened or loaded."""

from __future__ import annotations

from pathlib import Path

from stylize.errors import StyleError
from stylize.masks.masking import is_still
from stylize.style import Style, parse_timeline

RATES = (1.0, 240.0)
"""Frames a second that can be asked for."""


def check_live(style: Style) -> None:
    """Raises StyleError for what needs a whole file, and for prompts whose seconds do not rise."""
    parse_timeline(style.prompt)
    if style.keyframes or style.depth_from is not None or style.control_from:
        raise StyleError("painted frames, depth maps and control pictures belong to a file", "leave them out")
    if style.mask is not None and not is_still(Path(style.mask)):
        raise StyleError("a matte of a live picture is one picture", "give a still, or leave --mask out")
    if style.mask_from == "motion":
        raise StyleError("a mask from motion looks at a file's beginning", "give a still as --mask, or a box")


def check_rate(target_fps: float) -> None:
    """Raises StyleError for a rate that cannot be asked for."""
    if not RATES[0] <= target_fps <= RATES[1]:
        raise StyleError(f"{target_fps:g} frames a second are out of range", f"use {RATES[0]:g} to {RATES[1]:g}")
