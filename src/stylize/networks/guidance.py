"""The guidance scale as a condition of the UNet, for models that learnt it as one."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import functional as F


def embeds_guidance(unet: Any) -> bool:
    """Whether the UNet learnt the guidance scale as a condition (LCM) and needs no second pass for it."""
    return getattr(unet.config, "time_cond_proj_dim", None) is not None


def guidance_embedding(scale: float, channels: int) -> torch.Tensor:
    """Embeds `1000 (scale - 1)` in sines and cosines, `[1, channels]`, as LCM's UNets learnt it (Luo et al. 2023)."""
    half = channels // 2
    waves = torch.exp(torch.arange(half, dtype=torch.float32) * (-math.log(10000) / (half - 1)))
    angles = 1000 * (scale - 1) * waves[None]
    return F.pad(torch.cat([angles.sin(), angles.cos()], dim=1), (0, channels % 2))
