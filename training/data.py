"""What every stage of the training shares: the renditions, a schedule by the clock, an average of the weights."""

from __future__ import annotations

import copy
import math
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny

from stylize.models.loading import default_dtype


def renditions(work: Path) -> tuple[list[np.ndarray], list[str]]:
    """The memory maps uint8 `[N, L, 384, 384, 3]` and the names of their L looks (the first is the photo)."""
    looks = (work / "looks.txt").read_text().split()
    arrays = [np.load(p, mmap_mode="c") for p in sorted(work.glob("renditions-*.npy"))]
    if not arrays:
        raise SystemExit(f"no renditions in {work}: run training/renditions.py first")
    return arrays, looks


def the_device() -> torch.device:
    """The GPU, if there is one, with cuDNN's attention switched off.

    Its gradients can be NaN on an H100 (torch 2.11, pytorch issue 196678).
    """
    torch.backends.cuda.enable_cudnn_sdp(False)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


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
    """Training by the clock: a learning rate that warms up, then falls as a cosine until the time is over."""

    def __init__(self, minutes: float, peak: float, warmup: float = 0.03) -> None:
        self.start, self.seconds, self.peak, self.warmup = time.time(), minutes * 60, peak, warmup

    @property
    def progress(self) -> float:
        return (time.time() - self.start) / self.seconds

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


@torch.no_grad()
def linear_encoder(vae: AutoencoderTiny) -> tuple[torch.Tensor, torch.Tensor]:
    """The encoder is linear on 8 x 8 patches: its impulse response is one strided convolution, many times faster."""
    basis = torch.zeros(192, 3, 8, 8)
    basis.view(192, 192).fill_diagonal_(1)
    bias = vae.encoder(torch.full((1, 3, 8, 8), -1.0))
    kernel = (vae.encoder(basis * 2 - 1) - bias).flatten(1).T.reshape(-1, 3, 8, 8).contiguous()
    return kernel, bias
