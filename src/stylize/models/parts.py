"""From a model's name to where its parts are and how it is sampled, without loading any weights."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stylize.errors import ModelError, Say
from stylize.models.hub import MODEL_FILES, Place, fetch, parse_place
from stylize.models.recipes import FEW_STEP_SCHEDULERS, RECIPES, Recipe, recipe_for
from stylize.models.registry import ModelCard, known_models
from stylize.networks.image_networks import Defaults
from stylize.networks.vocabulary import Vocabulary

SETTINGS = "stylize.json"
MIDAS = "midas"
LCM_GUIDANCE = 8.0
"""What LCM_Dreamshaper_v7's card samples with; it learnt scales from 3 to 15 (Luo et al. 2023)."""


@dataclass(frozen=True)
class Extras:
    """What a user adds to a model, or puts in the place of its own parts; paths or hub ids."""

    controlnets: Mapping[str, str | Path] | None = None
    """By control name; `None` keeps the model's own."""
    controls: Sequence[str] = ()
    """The controls that the runs will ask for, if that is known: only their ControlNets are loaded then, and those that
    the model lacks are the family's published ones."""
    loras: Mapping[str | Path, float] = field(default_factory=dict)
    """With their weights."""
    ip_adapter: str | Path | None = None
    textual_inversions: Sequence[str | Path] = ()
    """Each is a word of the prompt, the one that its file is named by."""
    vae: str | Path | None = None
    depth: str | Path | None = None
    """A depth network of transformers (Depth Anything V2), in place of MiDaS."""


@dataclass(frozen=True)
class Source:
    """A model: a folder on disk or one file, and what goes with it."""

    name: str
    base: Place
    extras: Extras
    depth: str = MIDAS
    """Folder of a built-in style depth network, folder or hub id of one of transformers, or "midas"."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What the folder's `stylize.json` says."""

    @property
    def recipe(self) -> Recipe | None:
        """How a few-step form is sampled, if this is one: adapters say so before the model's own name does."""
        names = (*self.extras.loras, self.base.file or self.base.text, self.name)
        return recipe_for(Path(name).name for name in names)  # not of the folders on the way

    def defaults(self, scheduler: str, *, embeds_guidance: bool) -> Defaults:
        """What the folder says; else what fits its scheduler or its few-step form.

        Args:
            embeds_guidance: the UNet was told the guidance scale as it learnt, as LCM's own are.
        """
        if "defaults" in self.settings:
            return Defaults(**self.settings["defaults"])
        if embeds_guidance:
            return Defaults(steps=RECIPES["lcm"].steps, guidance_scale=LCM_GUIDANCE)
        recipe = self.recipe or (RECIPES["lcm"] if scheduler in FEW_STEP_SCHEDULERS else None)
        return Defaults(steps=recipe.steps, guidance_scale=recipe.guidance_scale) if recipe else Defaults()

    @property
    def vocabulary(self) -> Vocabulary | None:
        """The words that the model knows, if its folder lists them."""
        if "words" not in self.settings:
            return None
        looks, tones = ({n: tuple(p) for n, p in self.settings.get(kind, {}).items()} for kind in ("looks", "tones"))
        return Vocabulary(looks, tones, frozenset(self.settings["words"]))


def find_source(model: str, extras: Extras, *, offline: bool = False, say: Say | None = None) -> Source:
    """Finds out what `model` names: a model of the registry, a folder, a .safetensors file, or a hub id.

    Raises:
        ModelError: unknown name, not a model, a broken settings file, not on disk and offline.
    """
    card = known_models().get(model)
    if card is not None:
        extras = _with_card(extras, card)
        place = parse_place(card.folder or card.base)
    elif "/" not in model and "\\" not in model and not Path(model).exists():
        names = ", ".join(known_models())
        raise ModelError(f"unknown model '{model}'", f"use {names}, or a folder in diffusers format")
    else:
        place = parse_place(model)
    base = fetch(place, MODEL_FILES, offline=offline, say=say)
    if base.path.is_file():
        if base.path.suffix != ".safetensors":
            raise ModelError(
                f"{model}: is not a model", "name a folder in diffusers format, or a .safetensors checkpoint"
            )
        return Source(model, base, extras)
    return _from_folder(base, model, extras)


def _with_card(extras: Extras, card: ModelCard) -> Extras:
    """What the registry names beside the model, under what the user names."""
    loras: dict[str | Path, float] = {name: weight for name, weight in card.loras.items()}
    loras.update(extras.loras)
    nets = dict(card.controlnets) if card.controlnets and extras.controlnets is None else extras.controlnets
    return replace(
        extras,
        controlnets=nets,
        loras=loras,
        ip_adapter=extras.ip_adapter or card.ip_adapter or None,
        vae=extras.vae or card.vae or None,
    )


def _from_folder(base: Place, name: str, extras: Extras) -> Source:
    folder = base.path
    if not (folder / "model_index.json").is_file():
        raise ModelError(f"{folder}: is not a model folder", "it must hold model_index.json, as diffusers saves it")
    settings: dict[str, Any] = {}
    if (folder / SETTINGS).is_file():
        try:
            settings = json.loads((folder / SETTINGS).read_text())
        except ValueError as error:
            raise ModelError(f"{folder / SETTINGS}: is not JSON", "repair it") from error
    nets = settings.get("controlnets")
    if nets is None:
        nets = {p.name.removeprefix("controlnet_"): p.name for p in sorted(folder.glob("controlnet_[a-z]*"))}
    if extras.controlnets is None:
        extras = replace(extras, controlnets={control: folder / subfolder for control, subfolder in nets.items()})
    depth = settings.get("depth_estimator", MIDAS)
    return Source(name, base, extras, MIDAS if depth == MIDAS else str(folder / depth), settings)
