"""What the stages of the training share: a schedule by time or steps, an average of the weights, other colours."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable

import numpy as np
import torch

from stylize.models.loading import default_dtype


def the_device() -> torch.device:
    """The GPU, if there is one, with cuDNN's attention switched off.

    Its gradients can be NaN on an H100 (torch 2.11, pytorch issue 196678).
    """
    torch.backends.cuda.enable_cudnn_sdp(False)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def send(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """To the device without waiting for what it is busy with."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def check_finite(losses: dict[str, list[torch.Tensor]]) -> None:
    """Ends a training whose networks are lost, before its time is lost too."""
    for name, values in losses.items():
        if not bool(torch.stack(values).isfinite().all()):
            raise SystemExit(f"the loss '{name}' is no number any more: lower --rate, or go on from older networks")


def mixed_precision(device: torch.device) -> torch.autocast:
    """Forward passes in bfloat16 on GPUs and where the processor has matrix units for it (AMX: 7 times as fast)."""
    enabled = device.type == "cuda" or default_dtype(device) == torch.bfloat16
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)


def to_tensor(pictures: np.ndarray | torch.Tensor) -> torch.Tensor:
    """uint8 `[N, H, W, 3]` to float32 `[N, 3, H, W]` in [-1, 1]."""
    pixels = torch.from_numpy(np.array(pictures)) if isinstance(pictures, np.ndarray) else pictures
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1


class Clock:
    """A learning rate that warms up, then falls as a cosine until the time, or the steps, are over."""

    def __init__(self, minutes: float, peak: float, steps: int | None = None, warmup: float = 0.03) -> None:
        self.start, self.minutes, self.peak, self.steps, self.warmup = time.monotonic(), minutes, peak, steps, warmup
        self.done = 0

    def tick(self) -> None:
        """One step is done."""
        self.done += 1

    @property
    def progress(self) -> float:
        """From 0 to 1, and above when it is over."""
        return self.done / self.steps if self.steps else (time.monotonic() - self.start) / 60 / self.minutes

    def learning_rate(self) -> float:
        p = min(self.progress, 1.0)
        if p < self.warmup:
            return self.peak * max(p / self.warmup, 0.02)
        return self.peak * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (p - self.warmup) / (1 - self.warmup))))


class Average:
    """An exponential moving average of a network's weights; what is saved."""

    def __init__(self, network: torch.nn.Module, decay: float = 0.998) -> None:
        self.network, self.decay, self.steps = copy.deepcopy(network).eval().requires_grad_(False), decay, 0

    @torch.no_grad()
    def update(self, network: torch.nn.Module) -> None:
        self.steps += 1
        decay = min(self.decay, self.steps / (self.steps + 10))
        torch._foreach_lerp_(list(self.network.parameters()), list(network.parameters()), 1 - decay)


def recolour(count: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """A function that gives `[count, 3, H, W]` in [0, 1] other hues, saturation and gamma, row by row; half stay."""
    changed = torch.rand(count, 1, 1, 1) < 0.5
    angle = (torch.rand(count) * 2 - 1) * math.pi * changed.flatten()
    cosine, sine = angle.cos(), math.sqrt(1 / 3) * angle.sin()
    third = (1 - cosine) / 3
    # a rotation about the gray axis
    one, two, three = cosine + third, third - sine, third + sine
    turn = torch.stack([torch.stack(row, -1) for row in ((one, two, three), (three, one, two), (two, three, one))], 1)
    saturation = torch.where(changed, 0.4 + torch.rand(count, 1, 1, 1), 1.0)
    gamma = torch.where(changed, 0.7 + 0.7 * torch.rand(count, 1, 1, 1), 1.0)

    def apply(pixels: torch.Tensor) -> torch.Tensor:
        turned, factor, power = (send(x, pixels.device) for x in (turn, saturation, gamma))
        pixels = torch.einsum("nij,njhw->nihw", turned, pixels)
        gray = pixels.mean(1, keepdim=True)
        return (gray + (pixels - gray) * factor).clamp(1e-4, 1) ** power

    return apply
