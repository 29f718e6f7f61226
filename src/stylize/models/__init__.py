"""Models: registry, hub and loading. `load_networks` is imported from `loading`, which needs the network libraries."""

from __future__ import annotations

from stylize.models.registry import POCKET, ModelCard, known_models

__all__ = ["POCKET", "ModelCard", "known_models"]
