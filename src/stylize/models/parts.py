"""Finds the parts and the sampling settings of a model by its name, without loading any weights."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stylize.errors import ModelError, Say
from stylize.finish import Grade
from stylize.models.hub import MODEL_FILES, Place, fetch, parse_place
from stylize.models.recipes import FEW_STEP_SCHEDULERS, RECIPES, Recipe, recipe_for
from stylize.models.registry import ModelCard, known_models
from stylize.networks.image_networks import Defaults
from stylize.networks.vocabulary import Vocabulary
from stylize.structure.stroke_maps import CELL_KINDS

SETTINGS = "stylize.json"
MIDAS = "midas"
LCM_GUIDANCE = 8.0
"""Guidance scale in LCM_Dreamshaper_v7's model card; the model learnt scales from 3 to 15 (Luo et al. 2023)."""


@dataclass(frozen=True)
class Extras:
    """Parts that a user adds to a model or that replace its own; paths or hub ids."""

    controlnets: Mapping[str, str | Path] | None = None
    """ControlNets by control name; `None` keeps the model's own."""
    controls: Sequence[str] = ()
    """The controls that the runs will use, if known: then only their ControlNets are loaded, and those that the model
    lacks are the family's published ones."""
    more_controls: Sequence[str] = ()
    """Controls that the runs will use beside those; without `controls`, beside the model's own."""
    loras: Mapping[str | Path, float] = field(default_factory=dict)
    """LoRAs with their weights."""
    ip_adapter: str | Path | None = None
    textual_inversions: Sequence[str | Path] = ()
    """Each adds one word for the prompt: the name of its file, without the suffix."""
    vae: str | Path | None = None
    depth: str | Path | None = None
    """A depth network of transformers (Depth Anything V2) that replaces the model's own estimator."""
    motion_adapter: str | Path | None = None
    """AnimateDiff's motion modules, which restyle frames beside one another."""


@dataclass(frozen=True)
class Source:
    """A model: a folder or a single file on disk, with its extras and settings."""

    name: str
    base: Place
    extras: Extras
    depth: str = MIDAS
    """Folder of a depth network like the built-in one, or "midas"; `extras.depth` replaces either."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Contents of the folder's `stylize.json`."""

    @property
    def recipe(self) -> Recipe | None:
        """Sampling settings if this is a few-step model: names of LoRAs are checked before the model's own name."""
        own = self.extras.motion_adapter or ""
        names = (*self.extras.loras, own, self.base.file or self.base.text, self.name)
        return recipe_for(Path(name).name for name in names)  # parent folders' names do not count

    def defaults(self, scheduler: str, *, embeds_guidance: bool) -> Defaults:
        """Returns the defaults from the folder's settings; without them, those that fit its few-step form or scheduler.

        Args:
            embeds_guidance: the UNet takes the guidance scale as an input, as LCM's own models do.
        """
        if "defaults" in self.settings:
            settings = dict(self.settings["defaults"])
            return Defaults(**settings | {"on_request": tuple(settings.get("on_request", ()))})
        if embeds_guidance:
            return Defaults(steps=RECIPES["lcm"].steps, guidance_scale=LCM_GUIDANCE)
        recipe = self.recipe or (RECIPES["lcm"] if scheduler in FEW_STEP_SCHEDULERS else None)
        return Defaults(steps=recipe.steps, guidance_scale=recipe.guidance_scale) if recipe else Defaults()

    @property
    def vocabulary(self) -> Vocabulary | None:
        """Words that the model knows, if its folder lists them."""
        if "words" not in self.settings:
            return None
        looks, tones = ({n: tuple(p) for n, p in self.settings.get(key, {}).items()} for key in ("looks", "tones"))
        more = {key: self.settings.get(key, {}) for key in ("cells", "pixels", "grades")}
        try:
            usable = all(rows >= 1 for rows in more["pixels"].values()) and {*more["cells"].values()} <= {*CELL_KINDS}
            usable = usable and {*more["cells"], *more["pixels"]} <= {*looks} and {*more["grades"]} <= {*tones}
            for grade in more["grades"].values():
                Grade(**grade)
        except (TypeError, AttributeError):
            usable = False
        if not usable:
            what = f"{self.name}: its {SETTINGS} has cells, pixels or grades that mean nothing"
            kinds = ", ".join(CELL_KINDS)
            grades = "gain, offset, saturation, gamma or swap"
            raise ModelError(what, f"by look or tone: cells are {kinds}; pixels rows from 1 on; grades {grades}")
        return Vocabulary(looks, tones, frozenset(self.settings["words"]), **more)


def find_source(model: str, extras: Extras, *, offline: bool = False, say: Say | None = None) -> Source:
    """Finds the model that `model` names: a model of the registry, a folder, a .safetensors file, or a hub id.

    Raises:
        ModelError: unknown name, not a model, a broken settings file, not on disk while offline.
    """
    card = known_models().get(model)
    if card is not None:
        extras = _add_card(extras, card)
        location = parse_place(card.folder or card.base)
    elif "/" not in model and "\\" not in model and not Path(model).exists():
        names = ", ".join(known_models())
        raise ModelError(f"unknown model '{model}'", f"use {names}, or a folder in diffusers format")
    else:
        location = parse_place(model)
    base = fetch(location, MODEL_FILES, offline=offline, say=say)
    if base.path.is_file():
        if base.path.suffix != ".safetensors":
            raise ModelError(
                f"{model}: is not a model", "name a folder in diffusers format, or a .safetensors checkpoint"
            )
        return Source(model, base, extras)
    return _read_folder(base, model, extras)


def _add_card(extras: Extras, card: ModelCard) -> Extras:
    """Adds the parts that the registry lists for the model; those of the user take precedence."""
    loras: dict[str | Path, float] = {name: weight for name, weight in card.loras.items()}
    loras.update(extras.loras)
    nets = dict(card.controlnets) if card.controlnets and extras.controlnets is None else extras.controlnets
    return replace(
        extras,
        controlnets=nets,
        loras=loras,
        ip_adapter=extras.ip_adapter or card.ip_adapter or None,
        vae=extras.vae or card.vae or None,
        motion_adapter=extras.motion_adapter or card.motion_adapter or None,
    )


def _read_folder(base: Place, name: str, extras: Extras) -> Source:
    folder = base.path
    if not (folder / "model_index.json").is_file():
        raise ModelError(f"{folder}: is not a model folder", "it must hold model_index.json, as diffusers saves it")
    settings: dict[str, Any] = {}
    if (folder / SETTINGS).is_file():
        try:
            settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ModelError(f"{folder / SETTINGS}: is not JSON", "repair it") from error
    nets = settings.get("controlnets")
    if nets is None:
        nets = {p.name.removeprefix("controlnet_"): p.name for p in sorted(folder.glob("controlnet_[a-z]*"))}
    if extras.controlnets is None:
        extras = replace(extras, controlnets={control: folder / subfolder for control, subfolder in nets.items()})
    depth = settings.get("depth_estimator", MIDAS)
    return Source(name, base, extras, MIDAS if depth == MIDAS else str(folder / depth), settings)
