"""Only a part of the picture is restyled: which one, and how it is mixed in."""

from __future__ import annotations

from stylize.masks.masking import Masking, apply_mask, masking_for
from stylize.masks.mattes import Matte, MattedFrame

__all__ = ["Masking", "Matte", "MattedFrame", "apply_mask", "masking_for"]
