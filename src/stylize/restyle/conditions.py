"""Style and model together: the numbers of a run, its prompt embeddings, its schedule."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from PIL import Image as PillowImage

from stylize.errors import ModelError, StyleError
from stylize.finish import Finish, Grade
from stylize.networks import Networks
from stylize.networks.budget import MemoryLoad
from stylize.networks.prompts import Timeline
from stylize.networks.vocabulary import Vocabulary
from stylize.restyle.prompting import prompts_for
from stylize.style import FOOTAGE, Control, Moments, Style, Temporal, parse_timeline
from stylize.style.footage import Footage
from stylize.style.other_tools import translate


@dataclass(frozen=True)
class Conditions:
    """Everything that is the same for all frames of a video: prompt embeddings and the numbers of the run."""

    prompts: Timeline
    guidance_scale: float
    guidance_rescale: float
    strength: float
    controls: dict[str, Control]
    temporal: Temporal
    seed: int
    schedule: tuple[Any, torch.Tensor]
    """The scheduler with its timesteps set, and those to run; each batch copies it, as schedulers count steps."""
    footage: Footage = FOOTAGE["video"]
    structure: float = 1.0
    """How tightly forms are held, in [0, 1]; 1 is fully."""
    cells: Moments[str | None] = ((Fraction(0), None),)
    """The kind of cells that the look is made of, or none, from each second on."""
    finish: Finish = field(default_factory=Finish)
    """What is done to results after they were steadied."""
    reference: PillowImage.Image | None = None
    """A reference picture that is shown to the model as it is, beside the frames."""

    @property
    def load(self) -> MemoryLoad:
        """The settings that decide how much memory a frame takes."""
        return MemoryLoad(self.prompts.groups, len(self.schedule[1]), attends=self.temporal.attention > 0)

    def weights_at(self, step: int, steps: int) -> dict[str, float]:
        """Returns the weights of the ControlNets that count in a step."""
        return {name: control.weight for name, control in self.controls.items() if control.counts_at(step, steps)}


def conditions_for(networks: Networks, style: Style, reference: PillowImage.Image | None = None) -> Conditions:
    """Fills in the model's own values where the style leaves them open, and encodes the prompt.

    Args:
        reference: the style's reference picture.

    Raises:
        StyleError: strength and steps leave no step to run; a negative prompt without guidance.
        ModelError: the model has no ControlNet of an asked name.
    """
    defaults = networks.defaults
    guidance = defaults.guidance_scale if style.guidance_scale is None else style.guidance_scale
    steps = defaults.steps if style.steps is None else style.steps
    footage = FOOTAGE[style.footage]
    asked = style.strength or footage.strength or (1.0 if networks.paints else defaults.strength)
    strength = asked * defaults.full_strength
    if (to_run := steps_to_run(networks.scheduler, steps, strength)) < 1:
        raise StyleError(f"strength {strength:g} of {steps} steps leaves none to run", "raise either")
    if style.negative_prompt and guidance <= 1:
        raise StyleError("a negative prompt needs guidance", "set the guidance scale above 1")
    left_out = defaults.on_request if style.footage == "video" and style.depth_from is None else ()
    usual = {} if networks.paints else defaults.controls  # forms are not known where it is to paint
    weights = {n: w for n, w in usual.items() if n in networks.controlnets and n not in left_out}
    wanted = style.asked_controls if style.controls is not None else to_controls(footage.weights(weights))
    wanted = to_controls(dict.fromkeys(style.control_from or {}, 1.0)) | wanted
    structure = footage.structure if style.structure is None else style.structure
    held = {n: loosen(c, structure, to_run) for n, c in wanted.items()}
    controls = {n: c for n, c in held.items() if c.weight > 0}
    if missing := set(controls) - set(networks.controlnets):
        has = ", ".join(networks.controlnets) or "none"
        raise ModelError(f"{networks.name} has no ControlNet '{min(missing)}'", f"use those it has: {has}")
    prompts = prompts_for(networks, style, reference, guided=guidance > 1 and not networks.embeds_guidance)
    rescale, schedule = style.guidance_rescale, make_schedule(networks.scheduler, steps, to_run, strength)
    temporal = style.temporal_weights
    if networks.moves:  # its motion modules see the frames beside one another already
        temporal = replace(temporal, attention=0.0)
    return Conditions(
        prompts, guidance, rescale, strength, controls, temporal, style.seed, schedule, footage,
        structure, find_cells(networks, style), make_finish(networks, style, reference),
    )  # fmt: skip


def find_cells(networks: Networks, style: Style) -> Moments[str | None]:
    """Returns the kind of cells that each prompt of a style wants, with the second from which on it holds."""
    known = networks.vocabulary
    return [(at, known.find_cells(text) if known else None) for at, text in read_prompts(known, style)]


def make_finish(networks: Networks, style: Style, reference: PillowImage.Image | None) -> Finish:
    """Returns what is done to results in the end, for models that leave palettes, tones or pixels to it."""
    if style.keyframes:  # paintings stay as they were painted, and hand their colours on themselves
        return Finish()
    share = networks.defaults.palette * min(1.0, style.reference_weight)
    picture = None if reference is None or share == 0 else np.asarray(reference.convert("RGB"))
    if (known := networks.vocabulary) is None:
        return Finish(picture, share)
    said, looks = read_prompts(known, style), style.style_weight > 0
    grades = [(at, [Grade(**known.grades[n]) for n in known.find_tones(t) if n in known.grades]) for at, t in said]
    pixels = [(at, known.find_pixels(text) if looks else None) for at, text in said]
    return Finish(picture, share, grades, min(1.0, style.style_weight), pixels)


def read_prompts(known: Vocabulary | None, style: Style) -> Moments[str]:
    """Returns what a model understands of each prompt of a style, with the second from which on it holds."""
    moments = parse_timeline(style.prompt)
    return [(at, known.read(translate(text, weighted=False)[0]).text) for at, text in moments] if known else moments


def to_controls(weights: Mapping[str, float]) -> dict[str, Control]:
    """Returns a `Control` of each weight, for all of the steps."""
    return {name: Control(weight) for name, weight in weights.items()}


def loosen(control: Control, structure: float, steps: int) -> Control:
    """Returns the control for forms that are held less tightly: less weight, in fewer steps, but at least in one."""
    if structure >= 1:
        return control
    counted = max(1, round(steps * (control.end - control.start) * (0.5 + 0.5 * structure)))
    end = min(control.end, (math.ceil(control.start * steps) + counted) / steps)
    return Control(control.weight * structure, control.start, end)


def steps_to_run(scheduler: Any, steps: int, strength: float) -> int:
    """Returns how many steps are run at a strength.

    Few-step schedulers (LCM, TCD) lay all of them below `strength`, as LatentConsistencyModelImg2ImgPipeline does; of
    the others' steps that share is run, as in StableDiffusionImg2ImgPipeline.
    """
    if _takes_strength(scheduler):
        return min(steps, int(scheduler.config.original_inference_steps * strength))
    return min(int(steps * strength), steps)


def _takes_strength(scheduler: Any) -> bool:
    """Whether the scheduler sets its timesteps below a strength by itself, as few-step schedulers do."""
    return "strength" in inspect.signature(scheduler.set_timesteps).parameters


def make_schedule(
    own: Any, steps: int, run: int, strength: float, timesteps: Sequence[float] | None = None
) -> tuple[Any, torch.Tensor]:
    """Returns a scheduler like `own` with its timesteps set, and the last `run` of them, on the CPU.

    Args:
        timesteps: all of them, in place of the scheduler's own.
    """
    scheduler = type(own).from_config(own.config)
    if _takes_strength(scheduler):
        scheduler.set_timesteps(run, device="cpu", strength=strength)
        return scheduler, scheduler.timesteps
    if timesteps is None:
        scheduler.set_timesteps(steps, device="cpu")
    else:
        scheduler.set_timesteps(timesteps=list(timesteps), sigmas=[t / 1000 for t in timesteps], device="cpu")
    begin = (steps - run) * scheduler.order
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(begin)
    return scheduler, scheduler.timesteps[begin:]
