"""From a model's name to its networks: registry, hub, files. `loading.load_networks` is imported by itself."""

from __future__ import annotations

from stylize.models.registry import POCKET, ModelCard, known_models

__all__ = ["POCKET", "ModelCard", "known_models"]
