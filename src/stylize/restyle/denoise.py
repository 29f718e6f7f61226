"""Denoising: frames on their way through the steps, one by itself or several in one call of the networks."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import torch

from stylize.networks import Exchange, Networks
from stylize.networks.attention import StepCache
from stylize.networks.prompts import Prompted
from stylize.restyle.conditions import Conditions
from stylize.restyle.memory import Memory


@dataclass(eq=False)
class Passage:
    """A frame on its way through the denoising steps.

    Several can be under way at once, each at least a step behind the frame before, whose keys and values at the same
    step are then there to be looked at (the "stream batch" of StreamDiffusion, Kodaira et al. 2023, with a memory).
    """

    latents: torch.Tensor
    """`[1, C, h, w]`, between two steps."""
    controls: dict[str, torch.Tensor]
    prompt: Prompted
    memory: Memory
    """What the frame looks at; of frames still under way it holds their growing `cache`."""
    scheduler: Any
    timesteps: torch.Tensor
    """On the CPU, where the scheduler can look at them without waiting for the device."""
    told: torch.Tensor
    """The same on the device, for the networks."""
    generator: torch.Generator
    cache: list[StepCache] = field(default_factory=list)
    """Its own keys and values at the steps that it has done."""

    @property
    def step(self) -> int:
        """The next one."""
        return len(self.cache)

    @property
    def is_done(self) -> bool:
        return self.step == len(self.timesteps)

    def model_input(self) -> torch.Tensor:
        """The latents as the UNet reads them, `[G, C, h, w]`."""
        grouped = torch.cat([self.latents] * self.prompt.groups)
        scaled: torch.Tensor = self.scheduler.scale_model_input(grouped, self.timesteps[self.step])
        return scaled


def begin(
    networks: Networks,
    conditions: Conditions,
    latents: torch.Tensor,
    controls: dict[str, torch.Tensor],
    generator: torch.Generator,
    memory: Memory,
    time: Fraction = Fraction(0),
) -> Passage:
    """Noise is added to a source frame's latents as far as the strength says (SDEdit, Meng et al. 2022).

    Args:
        latents: the source frame's, scaled, `[1, C, h, w]`.
        controls: embedded maps by name (`Networks.embed_control`), `[1, C', h, w]`.
        time: of the frame, on the source's clock; prompts may change over it.
        generator: draws the first noise, then whatever the scheduler needs at its steps.
    """
    scheduler, timesteps = _own(conditions.schedule[0]), conditions.schedule[1]
    noise = torch.randn(latents.shape, generator=generator, dtype=torch.float32).to(latents)
    noisy = scheduler.add_noise(latents, noise, timesteps[:1])
    told = timesteps.to(networks.device, torch.float32 if timesteps.is_floating_point() else timesteps.dtype)
    return Passage(noisy, controls, conditions.prompts.at(time), memory, scheduler, timesteps, told, generator)


def _own(scheduler: Any) -> Any:
    """The scheduler with counts and lists of its own; tensors are shared, for steps replace them."""
    own = copy.copy(scheduler)
    vars(own).update({name: list(value) for name, value in vars(scheduler).items() if isinstance(value, list)})
    return own


def advance(networks: Networks, conditions: Conditions, passages: Sequence[Passage]) -> None:
    """Takes every frame one step on; those that ask the same of the networks go through them in one call.

    Args:
        passages: in the order of the frames. What a frame leaves at a step is kept until the next one has done that
            step too; the last one's, and that of the first of a shot, for longer.
    """
    asked: dict[tuple[object, ...], list[_Call]] = {}
    for passage in passages:
        weights = conditions.weights_at(passage.step, len(passage.timesteps))
        looks_at = passage.memory.references(passage.step) if conditions.temporal.attention > 0 else ()
        key = (*weights.items(), len(looks_at), passage.prompt.words.shape)
        asked.setdefault(key, []).append(_Call(passage, weights, looks_at))
    for together in asked.values():
        _step(networks, conditions, together)
    for before, after in itertools.pairwise(passages):
        if before.memory.frames_in_shot > 0:
            before.cache[: after.step] = [{}] * after.step


@dataclass(frozen=True, eq=False)
class _Call:
    """What a frame asks of the networks at its next step."""

    passage: Passage
    weights: dict[str, float]
    looks_at: tuple[StepCache, ...]


def _step(networks: Networks, conditions: Conditions, calls: Sequence[_Call]) -> None:
    passages, weights = [call.passage for call in calls], calls[0].weights
    groups = passages[0].prompt.groups
    t = torch.stack([p.told[p.step] for p in passages]).repeat_interleave(groups)
    controls = {name: torch.cat([p.controls[name].expand(groups, -1, -1, -1) for p in passages]) for name in weights}
    prompt = _joined([p.prompt for p in passages])
    references = _side_by_side([call.looks_at for call in calls])
    exchange = Exchange(references, conditions.temporal.attention, prompt.image_weight)
    inputs = torch.cat([p.model_input() for p in passages])
    predicted = networks.predict(inputs, t, prompt, controls, weights, exchange, conditions.guidance_scale)
    caches = _apart(exchange.own, groups, len(passages))
    for passage, prediction, own in zip(passages, predicted.chunk(len(passages)), caches, strict=True):
        if groups == 2:
            prediction = _guided(prediction, conditions.guidance_scale, conditions.guidance_rescale)
        options = networks.step_options(passage.generator)
        now = passage.timesteps[passage.step]
        passage.latents = passage.scheduler.step(prediction, now, passage.latents, **options, return_dict=False)[0]
        passage.cache.append(own if conditions.temporal.attention > 0 else {})


def _joined(prompts: Sequence[Prompted]) -> Prompted:
    """Several frames' prompts, one below the other: its `groups` are those of all."""
    if len(prompts) == 1:
        return prompts[0]

    def below(tensors: Sequence[torch.Tensor | None]) -> torch.Tensor | None:
        known = [tensor for tensor in tensors if tensor is not None]
        return torch.cat(known) if known else None

    return replace(
        prompts[0],
        words=torch.cat([prompt.words for prompt in prompts]),
        pooled=below([prompt.pooled for prompt in prompts]),
        image=below([prompt.image for prompt in prompts]),
    )


def _side_by_side(references: Sequence[tuple[StepCache, ...]]) -> tuple[StepCache, ...]:
    """What several frames look at, each frame at its own."""
    if len(references) == 1:
        return references[0]

    def below(caches: tuple[StepCache, ...]) -> StepCache:
        return {
            layer: (torch.cat([c[layer][0] for c in caches]), torch.cat([c[layer][1] for c in caches]))
            for layer in caches[0]
        }

    return tuple(below(caches) for caches in zip(*references, strict=True))


def _apart(own: StepCache, groups: int, count: int) -> Iterator[StepCache]:
    """Each frame's keys and values out of the batch's; copies, or one frame would keep those of all."""
    if count == 1:
        yield own
        return
    for i in range(count):
        part = slice(i * groups, (i + 1) * groups)
        yield {layer: (keys[part].clone(), values[part].clone()) for layer, (keys, values) in own.items()}


def _guided(prediction: torch.Tensor, scale: float, rescale: float) -> torch.Tensor:
    """Classifier-free guidance (Ho and Salimans 2022), its deviation brought back by `rescale` (Lin et al. 2023)."""
    without, with_prompt = prediction.chunk(2)
    guided = without + scale * (with_prompt - without)
    if rescale == 0:
        return guided
    dims = tuple(range(1, guided.ndim))
    steadied = guided * (with_prompt.std(dims, keepdim=True) / guided.std(dims, keepdim=True))
    return torch.lerp(guided, steadied, rescale)
