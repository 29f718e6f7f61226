"""TODO restyle."""

from __future__ import annotations

from stylize.restyle.conditions import Conditions, conditions_for
from stylize.restyle.memory import Memory

__all__ = ["Conditions", "Memory", "conditions_for"]
