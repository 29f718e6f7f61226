"""The models that have a name, as plain facts: listing them imports no network library."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

POCKET = "pocket"
POCKET_FOLDER = Path(__file__).parent / POCKET


@dataclass(frozen=True)
class ModelCard:
    """One named model."""

    name: str
    base: str
    """Hub id, or what is built in."""
    licence: str
    size_mb: int
    """On disk, with its ControlNets and depth estimator."""
    purpose: str
    controlnets: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    """Where it is, if it is not on the hub."""

    @property
    def looks(self) -> tuple[str, ...]:
        """Names of the looks it knows; empty where it is general or not there."""
        return self._names("looks")

    @property
    def tones(self) -> tuple[str, ...]:
        """Names of the palettes, lights, seasons and times of day it knows; likewise."""
        return self._names("tones")

    def _names(self, kind: str) -> tuple[str, ...]:
        settings = self.folder / "stylize.json" if self.folder is not None else None
        if settings is None or not settings.is_file():
            return ()
        return tuple(json.loads(settings.read_text()).get(kind, ()))

    @property
    def on_disk(self) -> bool:
        """Whether it runs without a download."""
        if self.folder is not None:
            return (self.folder / "model_index.json").is_file()
        return all(_in_hub_cache(repository) for repository in (self.base, *self.controlnets.values()))


def _in_hub_cache(repository: str) -> bool:
    """Whether the hub's own cache has a snapshot of the repository."""
    home = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    cache = Path(os.environ.get("HF_HUB_CACHE", home / "hub"))
    return any((cache / f"models--{repository.replace('/', '--')}" / "snapshots").glob("*"))


MODELS: dict[str, ModelCard] = {
    card.name: card
    for card in (
        ModelCard(
            name=POCKET,
            base="built in",
            licence="Apache-2.0",
            size_mb=50,
            purpose="25 looks by name, or a reference picture, on a laptop without a GPU, offline",
            folder=POCKET_FOLDER,
        ),
        ModelCard(
            name="sd15",
            base="stable-diffusion-v1-5/stable-diffusion-v1-5",
            licence="CreativeML OpenRAIL-M",
            size_mb=7600,
            purpose="any look in words; wants a GPU; downloaded from the hub on first use",
            controlnets={
                "depth": "lllyasviel/control_v11f1p_sd15_depth",
                "canny": "lllyasviel/control_v11p_sd15_canny",
            },
        ),
    )
}
