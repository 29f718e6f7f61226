"""The whole flow from clips to restyled clips."""

from __future__ import annotations

from stylize.pipeline.plan import Plan, State, make_plan
from stylize.pipeline.restyling import restyle_clips

__all__ = ["Plan", "State", "make_plan", "restyle_clips"]
