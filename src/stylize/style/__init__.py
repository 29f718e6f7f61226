"""TODO style."""

from __future__ import annotations

from stylize.style.footage import FOOTAGE
from stylize.style.parsing import parse_control, parse_size
from stylize.style.style import Control, Style, Temporal
from stylize.style.timeline import parse_timeline

__all__ = ["FOOTAGE", "Control", "Style", "Temporal", "parse_control", "parse_size", "parse_timeline"]
