"""Few-step forms of Stable Diffusion: which scheduler, how many steps, how much guidance, told from a name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """What a distilled model is sampled with."""

    scheduler: str
    """A scheduler class of diffusers."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What differs from the folder's own scheduler."""
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
    # Ren et al. 2024; ByteDance/Hyper-SD: its 2, 4 and 8 steps; the single step is TCD's
    "hyper": Recipe("DDIMScheduler", TRAILING),
    # Zheng et al. 2024; h1t/TCD-SD15-LoRA
    "tcd": Recipe("TCDScheduler"),
}
"""The published settings of each, from the cards of the models named."""
FEW_STEP_SCHEDULERS = ("LCMScheduler", "TCDScheduler")


def recipe_for(names: Iterable[str]) -> Recipe | None:
    """The recipe that a model's or an adapter's name asks for, `None` for plain ones.

    A number of steps in the name ("sdxl_lightning_8step_lora") is taken over.
    """
    for name in names:
        lower = name.lower()
        kinds = [kind for kind in RECIPES if re.search(rf"(?<![a-z]){kind}(?![a-z])", lower)]
        if not kinds:
            continue
        recipe = RECIPES[kinds[0]]
        steps = re.search(r"(\d+)[-_ ]?steps?(?![a-z])", lower)
        if steps is None:
            return recipe
        if kinds[0] == "hyper" and int(steps[1]) == 1:
            recipe = RECIPES["tcd"]
        return Recipe(recipe.scheduler, recipe.options, max(1, int(steps[1])), recipe.guidance_scale)
    return None
