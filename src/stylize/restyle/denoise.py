"""The denoising steps of one batch: consecutive frames of a shot, all at the same step in one call of the networks."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from stylize.networks import Exchange, Networks, PromptEmbedding
from stylize.networks.attention import StepCache
from stylize.networks.devices import upload
from stylize.restyle.conditions import Conditions
from stylize.restyle.looking_back import add_controls_before, count_before, keep_last, latents_before
from stylize.restyle.memory import Memory


def denoise(
    networks: Networks,
    conditions: Conditions,
    latents: torch.Tensor,
    controls: Mapping[str, torch.Tensor],
    prompt: PromptEmbedding,
    memory: Memory,
    generators: Sequence[torch.Generator],
    kept: int | None = None,
    shown: torch.Tensor | None = None,
) -> tuple[torch.Tensor, Memory]:
    """Noises source latents as far as the strength says and takes them through all steps (SDEdit, Meng et al. 2022).

    Args:
        latents: the source frames', scaled, `[B, C, h, w]`.
        controls: embedded maps by name (`Networks.embed_control`), `[B, C', h, w]`.
        prompt: of the frames, `stack`ed; with motion modules, of the frames that they look back to, too.
        memory: of the frames before; the batch attends to the shot's first frame and to the frame before it.
        generators: one a frame, all in the same state: fresh noise a frame would be flicker.
        kept: frames that count; the rest fill the batch up. All if left out.
        shown: what inpainting models see of the frames (`Networks.show`).

    Returns:
        The denoised latents, and the memory after the batch.
    """
    scheduler, timesteps = copy_scheduler(conditions.schedule[0]), conditions.schedule[1]
    noise = torch.cat([torch.randn((1, *latents.shape[1:]), generator=generator) for generator in generators])
    noisy = scheduler.add_noise(latents, upload(noise, latents.device, latents.dtype), timesteps[:1])
    looks_back, kept = networks.moves, kept or len(latents)
    controls = add_controls_before(memory, controls) if looks_back else controls
    rows = len(latents) + (count_before(memory) if looks_back else 0)
    groups = len(prompt.words) // rows
    # the scheduler's are on the CPU, where it can look at them without waiting for the device
    number = torch.float32 if timesteps.is_floating_point() else timesteps.dtype
    on_device = upload(timesteps, latents.device, number)
    shown = None if shown is None else torch.cat([shown] * groups)
    grouped = {name: torch.cat([embedded] * groups) for name, embedded in controls.items()}
    options = networks.step_options(generators)
    first, last, trail = list[StepCache](), list[StepCache](), list[torch.Tensor]()
    for step, timestep in enumerate(timesteps):
        exchange = _make_exchange(memory, step, conditions, prompt)
        exchange.frames = rows
        seen = torch.cat([*latents_before(memory, step), noisy]) if looks_back else noisy
        inputs = scheduler.scale_model_input(torch.cat([seen] * groups), timestep)
        weights = conditions.weights_at(step, len(timesteps))
        t = on_device[step].expand(len(inputs))
        predicted = networks.predict(inputs, t, prompt, grouped, weights, exchange, conditions.guidance_scale, shown)
        if looks_back:
            predicted = predicted.view(groups, rows, *predicted.shape[1:])[:, -len(latents) :].flatten(0, 1)
            trail.append(seen)
        if groups == 2:
            predicted = _guide(predicted, conditions.guidance_scale, conditions.guidance_rescale)
        noisy = scheduler.step(predicted, timestep, noisy, **options, return_dict=False)[0]
        last.append(exchange.copy_row(kept - 1))
        if memory.frames_in_shot == 0:
            first.append(last[-1] if kept == 1 else exchange.copy_row(0))
    after = memory.after(tuple(first), tuple(last), kept)
    return noisy, replace(after, window=keep_last(trail, controls)) if looks_back else after


def copy_scheduler(scheduler: Any) -> Any:
    """Returns a scheduler with counts and lists of its own; tensors are shared, as steps replace them."""
    clone = copy.copy(scheduler)
    vars(clone).update({name: list(value) for name, value in vars(scheduler).items() if isinstance(value, list)})
    return clone


def _make_exchange(memory: Memory, step: int, conditions: Conditions, prompt: PromptEmbedding) -> Exchange:
    """Returns the exchange of a batch in one step, with everything that the memory has for it."""
    caches = {name: cache[step] for name in ("style_anchor", "anchor", "previous") if (cache := getattr(memory, name))}
    # more than two frames before make no difference: compiled networks are not to see a new number in every batch
    position, weight = min(memory.frames_in_shot, 2), conditions.temporal.attention
    return Exchange(position=position, **caches, weight=weight, image_weight=prompt.image_weight)


def _guide(prediction: torch.Tensor, scale: float, rescale: float) -> torch.Tensor:
    """Applies classifier-free guidance (Ho and Salimans 2022), then brings its deviation back (Lin et al. 2023)."""
    without, with_prompt = prediction.chunk(2)
    guided = without + scale * (with_prompt - without)
    if rescale == 0:
        return guided
    dims = tuple(range(1, guided.ndim))
    rescaled = guided * (with_prompt.std(dims, keepdim=True) / guided.std(dims, keepdim=True))
    return torch.lerp(guided, rescaled, rescale)
