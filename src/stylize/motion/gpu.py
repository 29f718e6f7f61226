"""Fusion on a device: the same arithmetic as `fusion.fuse`, in torch, equal within 1/255."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from stylize.frames import Image, Motion, Picture
from stylize.motion.filters import blur_coarsely, box_blur, download, gaussian_blur, pixel_places, upload
from stylize.motion.fusion import (
    LIGHT,
    LIGHT_BLUR,
    LIGHT_RADIUS,
    SHARE,
    STILL,
    TOLERANCE,
    TONE,
    TONE_FLOOR,
    FramePair,
    Fuse,
)


def fuse_on(name: str, weight: float) -> Fuse:
    """Returns `fusion.fuse` at a weight, computed on a device; pictures go there and back.

    Args:
        name: of the device, such as "cuda:0".
    """
    device = torch.device(name)

    @torch.inference_mode()
    def fuse(before: FramePair, source: Picture, diffused: Image, motion: Motion) -> Image:
        earlier, styled, now, new = (upload(x, device) for x in (before.source, before.styled, source, diffused))
        flow, visible = upload(motion.flow, device), upload(motion.visible.astype(np.float32), device)
        return download(_fuse(earlier, styled, now, new, flow, visible, weight))

    return fuse


def _fuse(
    earlier: torch.Tensor,
    before: torch.Tensor,
    now: torch.Tensor,
    diffused: torch.Tensor,
    flow: torch.Tensor,
    visible: torch.Tensor,
    weight: float,
) -> torch.Tensor:
    """Fuses pictures `[1, 3, H, W]` in [0, 1], with `flow` `[1, 2, H, W]` and `visible` `[1, 1, H, W]`."""
    flow, error, expected = _remove_jitter(earlier, now, flow)
    trusted = 1 - F.max_pool2d(1 - visible, 3, 1, 1)
    share = weight * SHARE * trusted * gaussian_blur(trusted, 1.0) * _gaussian(error / TOLERANCE)
    change = (_warp(before, flow, "bicubic") - diffused) * share
    tone = blur_coarsely(change, TONE)
    tone = tone * (1 - share / (blur_coarsely(share, TONE) + TONE_FLOOR))
    mixed = diffused + change + tone
    light = blur_coarsely(expected - now, LIGHT_RADIUS).abs().mean(1, keepdim=True)
    follow = 1 - _gaussian(light / LIGHT)
    mixed = mixed + blur_coarsely(diffused - mixed, LIGHT_BLUR) * follow
    return mixed.clamp(0, 1)


def _remove_jitter(
    earlier: torch.Tensor, now: torch.Tensor, flow: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Does as `fusion._remove_jitter`."""
    expected = _warp(earlier, flow, "bilinear")
    moved, stayed = ((x - now).abs().mean(1, keepdim=True) for x in (expected, earlier))
    still = (box_blur(stayed, 5) <= box_blur(moved, 5) + STILL) & (flow.norm(dim=1, keepdim=True) < 1)
    error = box_blur(torch.where(still, torch.minimum(moved, stayed), moved), 3)
    return torch.where(still, 0, flow), error, torch.where(still, earlier, expected)


def _warp(image: torch.Tensor, flow: torch.Tensor, mode: str) -> torch.Tensor:
    """Brings an image to where the flow starts; edges repeat, as in `flow.warp`."""
    height, width = image.shape[-2:]
    x, y = (pixel_places(height, width, image.device) + flow)[0]
    target = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], -1)
    return F.grid_sample(image, target[None], mode=mode, padding_mode="border", align_corners=False)


def _gaussian(x: torch.Tensor) -> torch.Tensor:
    """Returns exp(-x^2)."""
    return torch.exp(-x * x)
