"""What a batch with motion modules sees of the batch before: its last frames' latents, as they were at every step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from stylize.networks.motion_modules import OVERLAP
from stylize.restyle.memory import Memory

NOISY, CONTROL = "noisy", "control/"


def count_before(memory: Memory) -> int:
    """Returns how many frames a batch looks back to."""
    return memory.window[NOISY].shape[1] if NOISY in memory.window else 0


def latents_before(memory: Memory, step: int) -> list[torch.Tensor]:
    """Returns the latents of those frames before a step, `[frames, C, h, w]`; none at the start of a shot."""
    return [memory.window[NOISY][step]] if NOISY in memory.window else []


def add_controls_before(memory: Memory, controls: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Puts the embedded controls of those frames before a batch's own, `[B, C, h, w]`."""
    kept = {name.removeprefix(CONTROL): x for name, x in memory.window.items() if name.startswith(CONTROL)}
    return {name: torch.cat([kept[name], x]) if name in kept else x for name, x in controls.items()}


def keep_last(noisy: Sequence[torch.Tensor], controls: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Returns a memory's window after a batch.

    Args:
        noisy: the latents before each step, with those of the frames before.
        controls: of the same frames.
    """
    kept = {f"{CONTROL}{name}": control[-OVERLAP:].contiguous() for name, control in controls.items()}
    return {NOISY: torch.stack([step[-OVERLAP:] for step in noisy])} | kept
