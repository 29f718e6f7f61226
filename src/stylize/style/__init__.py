"""Everything that a user may ask for: as values, as text, in files."""

from __future__ import annotations

from stylize.style.footage import FOOTAGE, Footage
from stylize.style.parsing import parse_control, parse_size
from stylize.style.style import Style
from stylize.style.timeline import Moments, blend_moments, find_moment, parse_timeline
from stylize.style.values import Control, Temporal

__all__ = [
    "FOOTAGE", "Control", "Footage", "Moments", "Style", "Temporal", "blend_moments", "find_moment", "parse_control",
    "parse_size", "parse_timeline",
]  # fmt: skip
