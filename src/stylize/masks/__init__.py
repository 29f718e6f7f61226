"""Restyles only a part of the picture: makes its mattes, mixes styled and source frames, leaves black bars alone."""

from __future__ import annotations

from stylize.masks.bars import Bars, find_bars
from stylize.masks.masking import Masking, apply_mask, masking_for, masking_of
from stylize.masks.mattes import Matte, MattedFrame

__all__ = ["Bars", "Masking", "Matte", "MattedFrame", "apply_mask", "find_bars", "masking_for", "masking_of"]
