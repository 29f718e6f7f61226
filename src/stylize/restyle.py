"""The denoising loop: a clip and its maps in, restyled frames out, the past as an explicit value."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from stylize.attention import Exchange
from stylize.errors import ModelError, StyleError
from stylize.fill import Image, Seen, fuse, to_bytes
from stylize.footage import FOOTAGE, Footage, coarsened
from stylize.frames import Clip, Picture, StructureMaps
from stylize.memory import FrameCache, Memory
from stylize.motion import Motion, motion_between
from stylize.networks import Networks
from stylize.prompting import prompts_for
from stylize.style import Control, Style, Temporal
from stylize.timeline import Timeline

LATENT_GRID = 8


@dataclass(frozen=True)
class Conditions:
    """What is the same for every frame of a video: the prompt's embeddings and the numbers of the run."""

    prompts: Timeline
    guidance_scale: float
    guidance_rescale: float
    steps: int
    strength: float
    controls: dict[str, Control]
    temporal: Temporal
    seed: int
    footage: Footage = FOOTAGE["video"]
    structure: float = 1.0
    """How tightly forms are held, in [0, 1]."""

    def weights_at(self, step: int, steps: int) -> dict[str, float]:
        """The ControlNets that count in this step."""
        return {name: control.weight for name, control in self.controls.items() if control.counts_at(step, steps)}


def conditions_for(networks: Networks, style: Style) -> Conditions:
    """Fills in the model's own values where the style leaves them open, and encodes the prompt.

    Raises:
        StyleError: strength and steps leave no step to run; a negative prompt without guidance.
        ModelError: the model has no ControlNet of an asked name.
    """
    defaults = networks.defaults
    guidance = defaults.guidance_scale if style.guidance_scale is None else style.guidance_scale
    steps = defaults.steps if style.steps is None else style.steps
    footage = FOOTAGE[style.footage]
    asked = style.strength or footage.strength or defaults.strength
    strength = asked * defaults.full_strength
    if (to_run := steps_to_run(networks.scheduler, steps, strength)) < 1:
        raise StyleError(f"strength {strength:g} of {steps} steps leaves none to run", "raise either")
    if style.negative_prompt and guidance <= 1:
        raise StyleError("a negative prompt needs guidance", "set the guidance scale above 1")
    own = {n: w for n, w in defaults.controls.items() if n in networks.controlnets}
    wanted = style.asked_controls if style.controls is not None else to_controls(footage.weights(own))
    structure = footage.structure if style.structure is None else style.structure
    held = {n: loosened(c, structure, to_run) for n, c in wanted.items()}
    controls = {n: c for n, c in held.items() if c.weight > 0}
    if missing := set(controls) - set(networks.controlnets):
        has = ", ".join(networks.controlnets) or "none"
        raise ModelError(f"{networks.name} has no ControlNet '{min(missing)}'", f"use those it has: {has}")
    prompts = prompts_for(networks, style, guided=guidance > 1 and not networks.embeds_guidance)
    rescale = style.guidance_rescale
    return Conditions(
        prompts, guidance, rescale, steps, strength, controls, style.means, style.seed, footage, structure
    )


def to_controls(weights: Mapping[str, float]) -> dict[str, Control]:
    """Each for all of the steps."""
    return {name: Control(weight) for name, weight in weights.items()}


def loosened(control: Control, structure: float, steps: int) -> Control:
    """The control where forms are held less tightly: it weighs less, and in fewer of its steps, at least in one."""
    if structure >= 1:
        return control
    counted = max(1, round(steps * (control.end - control.start) * (0.5 + 0.5 * structure)))
    end = min(control.end, (math.ceil(control.start * steps) + counted) / steps)
    return Control(control.weight * structure, control.start, end)


@torch.inference_mode()
def restyle_clip(
    networks: Networks,
    conditions: Conditions,
    clip: Clip,
    maps: StructureMaps,
    memory: Memory,
    motion: Motion | None = None,
) -> tuple[Picture, Memory]:
    """Restyles the clip's frames one after the other, each with what the ones before it left in the memory.

    Args:
        motion: how the last frame of the memory moved into the clip's first one, if that is known already.

    Returns:
        uint8 RGB `[T, H, W, 3]`, and the memory after the last frame.
    """
    results = []
    for i, picture in enumerate(clip.frames):
        last = memory.last if conditions.temporal.fusion > 0 else None
        controls = {name: torch.from_numpy(maps.maps[name][i : i + 1]) for name in conditions.controls}
        with ThreadPoolExecutor(1, "stylize-flow") as beside:  # the source's motion, while the networks work
            moved = beside.submit(_motion, last, picture, motion) if last is not None else None
            styled, cache = _diffuse(networks, conditions, picture, clip.times[i], controls, memory)
        if last is not None and moved is not None:
            styled = fuse(last, picture, styled, moved.result(), conditions.temporal.fusion)
        memory, motion = memory.after(cache, Seen(picture, styled)), None
        results.append(to_bytes(styled))
    return np.stack(results), memory


def _motion(last: Seen, picture: Picture, known: Motion | None) -> Motion:
    return known or motion_between(last.source, picture)


def _diffuse(
    networks: Networks,
    conditions: Conditions,
    picture: Picture,
    time: Fraction,
    controls: dict[str, torch.Tensor],
    memory: Memory,
) -> tuple[Image, FrameCache]:
    """The frame through the diffusion model, and its keys and values."""
    begin = coarsened(conditions.footage.prepared(picture), conditions.structure)
    pixels = torch.from_numpy(begin).permute(2, 0, 1)[None].float() / 127.5 - 1
    generator = torch.Generator("cpu").manual_seed(_seed_of_shot(conditions.seed, memory.shot))
    latents = networks.encode(_padded(pixels), generator)
    embedded = {name: networks.embed_control(name, _padded(m.expand(-1, 3, -1, -1))) for name, m in controls.items()}
    latents, cache = denoise(networks, conditions, latents, embedded, generator, memory, time)
    decoded = networks.decode(latents)[..., : picture.shape[0], : picture.shape[1]]
    styled = (decoded[0] / 2 + 0.5).clamp(0, 1).permute(1, 2, 0).cpu().numpy()
    return np.ascontiguousarray(styled), cache


def denoise(
    networks: Networks,
    conditions: Conditions,
    latents: torch.Tensor,
    controls: dict[str, torch.Tensor],
    generator: torch.Generator,
    memory: Memory,
    time: Fraction = Fraction(0),
) -> tuple[torch.Tensor, FrameCache]:
    """Image to image in latent space (SDEdit, Meng et al. 2022) with ControlNets and cross-frame attention.

    Args:
        latents: the source frame's, scaled, `[1, C, h, w]`.
        controls: embedded maps by name (`Networks.embed_control`), `[1, C', h, w]`.
        time: of the frame, on the source's clock; prompts may change over it.
        generator: draws the first noise, then whatever the scheduler needs at its steps.

    Returns:
        The restyled latents, and the frame's keys and values at every step.
    """
    scheduler, timesteps = _schedule(networks, conditions)
    prompt = conditions.prompts.at(time)
    noise = torch.randn(latents.shape, generator=generator, dtype=torch.float32).to(latents)
    latents = scheduler.add_noise(latents, noise, timesteps[:1])
    cache = []
    for step, t in enumerate(timesteps):
        exchange = Exchange(memory.references(step), conditions.temporal.attention, prompt.image_weight)
        grouped = scheduler.scale_model_input(torch.cat([latents] * prompt.groups), t)
        weights = conditions.weights_at(step, len(timesteps))
        prediction = networks.predict(grouped, t, prompt, controls, weights, exchange, conditions.guidance_scale)
        if prompt.groups == 2:
            prediction = _guided(prediction, conditions.guidance_scale, conditions.guidance_rescale)
        latents = scheduler.step(prediction, t, latents, **networks.step_options(generator), return_dict=False)[0]
        cache.append(exchange.own)
    return latents, tuple(cache)


def _guided(prediction: torch.Tensor, scale: float, rescale: float) -> torch.Tensor:
    """Classifier-free guidance (Ho and Salimans 2022), its deviation brought back by `rescale` (Lin et al. 2023)."""
    without, with_prompt = prediction.chunk(2)
    guided = without + scale * (with_prompt - without)
    if rescale == 0:
        return guided
    dims = tuple(range(1, guided.ndim))
    steadied = guided * (with_prompt.std(dims, keepdim=True) / guided.std(dims, keepdim=True))
    return torch.lerp(guided, steadied, rescale)


def steps_to_run(scheduler: Any, steps: int, strength: float) -> int:
    """How many of the steps `strength` leaves.

    Few-step schedulers (LCM, TCD) lay all of them below `strength`, as LatentConsistencyModelImg2ImgPipeline does; of
    the others' steps that share is run, as in StableDiffusionImg2ImgPipeline.
    """
    if _takes_strength(scheduler):
        return min(steps, int(scheduler.config.original_inference_steps * strength))
    return min(int(steps * strength), steps)


def _takes_strength(scheduler: Any) -> bool:
    """Few-step schedulers lay their steps below a strength themselves."""
    return "strength" in inspect.signature(scheduler.set_timesteps).parameters


def _schedule(networks: Networks, conditions: Conditions) -> tuple[Any, torch.Tensor]:
    """A fresh scheduler (they count their steps) and the timesteps to run."""
    scheduler = type(networks.scheduler).from_config(networks.scheduler.config)
    run = steps_to_run(scheduler, conditions.steps, conditions.strength)
    if _takes_strength(scheduler):
        scheduler.set_timesteps(run, device=networks.device, strength=conditions.strength)
        return scheduler, scheduler.timesteps
    scheduler.set_timesteps(conditions.steps, device=networks.device)
    begin = (conditions.steps - run) * scheduler.order
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(begin)
    return scheduler, scheduler.timesteps[begin:]


def _seed_of_shot(seed: int, shot: int) -> int:
    """Every frame of a shot draws the same noise: fresh noise a frame would be flicker."""
    return int(np.random.SeedSequence([seed, max(shot, 0)]).generate_state(1, np.uint64)[0] >> 1)


def _padded(pixels: torch.Tensor) -> torch.Tensor:
    """Repeats the last row and column until both sides are divisible by 8; cropped back after decoding."""
    height, width = pixels.shape[-2:]
    return F.pad(pixels, (0, -width % LATENT_GRID, 0, -height % LATENT_GRID), mode="replicate")
