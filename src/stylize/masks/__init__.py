"""Restyles only a part of the picture: makes its mattes, and mixes styled and source frames."""

from __future__ import annotations

from stylize.masks.masking import Masking, apply_mask, masking_for, masking_of
from stylize.masks.mattes import Matte, MattedFrame

__all__ = ["Masking", "Matte", "MattedFrame", "apply_mask", "masking_for", "masking_of"]
