"""Scheduler, number of steps and guidance scale of few-step Stable Diffusion models, recognised by their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """Sampling settings of a distilled model."""

    scheduler: str
    """Name of a scheduler class of diffusers."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Settings that differ from those of the model's own scheduler."""
    steps: int = 4
    guidance_scale: float = 1.0


TRAILING = {"timestep_spacing": "trailing"}
RECIPES: dict[str, Recipe] = {
    # Luo et al. 2023; latent-consistency/lcm-lora-sdv1-5
    "lcm": Recipe("LCMScheduler"),
    # Sauer et al. 2023; stabilityai/sdxl-turbo
    "turbo": Recipe("EulerAncestralDiscreteScheduler", TRAILING),
    # Lin et al. 2024; ByteDance/SDXL-Lightning
    "lightning": Recipe("EulerDiscreteScheduler", TRAILING),
    # Ren et al. 2024; ByteDance/Hyper-SD: for 2, 4 and 8 steps; a single step uses TCD's
    "hyper": Recipe("DDIMScheduler", TRAILING),
    # Zheng et al. 2024; h1t/TCD-SD15-LoRA
    "tcd": Recipe("TCDScheduler"),
}
"""The published settings of each form, from the model cards named above."""
FEW_STEP_SCHEDULERS = ("LCMScheduler", "TCDScheduler")


def recipe_for(names: Iterable[str]) -> Recipe | None:
    """Returns the recipe that fits the name of a model or an adapter; `None` if no name belongs to a few-step form.

    A number of steps in the name ("sdxl_lightning_8step_lora") replaces the recipe's own.
    """
    for name in names:
        lower = name.lower()
        matches = [form for form in RECIPES if re.search(rf"(?<![a-z]){form}(?![a-z])", lower)]
        if not matches:
            continue
        recipe = RECIPES[matches[0]]
        steps = re.search(r"(\d+)[-_ ]?steps?(?![a-z])", lower)
        if steps is None:
            return recipe
        if matches[0] == "hyper" and int(steps[1]) == 1:
            recipe = RECIPES["tcd"]
        return Recipe(recipe.scheduler, recipe.options, max(1, int(steps[1])), recipe.guidance_scale)
    return None
