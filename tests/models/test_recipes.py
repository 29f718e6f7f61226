"""Few-step forms, by name."""

from __future__ import annotations

import pytest

from stylize.models.recipes import recipe_for


@pytest.mark.parametrize(
    ("name", "scheduler", "steps"),
    [
        ("lcm-lora-sdv1-5", "LCMScheduler", 4), ("LCM_Dreamshaper_v7", "LCMScheduler", 4),
        ("sdxl-turbo", "EulerAncestralDiscreteScheduler", 4), ("sdxl_lightning_8step", "EulerDiscreteScheduler", 8),
        ("Hyper-SD15-2steps-lora", "DDIMScheduler", 2), ("Hyper-SDXL-1step-lora", "TCDScheduler", 1),
        ("TCD-SD15-LoRA", "TCDScheduler", 4),
    ],
)  # fmt: skip
def test_few_step_forms_are_told_by_their_names(name: str, scheduler: str, steps: int) -> None:
    recipe = recipe_for(["plain", name])
    assert recipe is not None and (recipe.scheduler, recipe.steps, recipe.guidance_scale) == (scheduler, steps, 1.0)


@pytest.mark.parametrize("name", ["hyperrealism_v3", "stable-diffusion-v1-5", "turbocharged", "dreamshaper_8", "welcm"])
def test_plain_names_have_no_recipe(name: str) -> None:
    assert recipe_for([name]) is None
