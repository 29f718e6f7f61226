"""TODO models."""

from __future__ import annotations

from stylize.models.registry import POCKET, ModelCard, known_models

__all__ = ["POCKET", "ModelCard", "known_models"]
