"""TODO masks."""

from __future__ import annotations

from stylize.masks.masking import Masking, masking_for
from stylize.masks.mattes import Matte

__all__ = ["Masking", "Matte", "masking_for"]
