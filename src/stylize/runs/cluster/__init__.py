"""Runs on many workers: units of videos on the cards or cores of one machine, or on the machines of a Ray cluster."""

from __future__ import annotations

from stylize.runs.cluster.crew import Crew, LocalCrew
from stylize.runs.cluster.ray_crew import RayCrew
from stylize.runs.cluster.spread import restyle_spread, was_spread

__all__ = ["Crew", "LocalCrew", "RayCrew", "restyle_spread", "was_spread"]
