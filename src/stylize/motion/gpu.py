"""Fusion on a device: the same arithmetic as `fusion.fuse`, in torch, equal within 1/255."""

from __future__ import annotations

import functools
import math

import cv2
import numpy as np
import torch
from torch.nn import functional as F

from stylize.frames import Image, Motion, Picture
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

    The copies go through pinned memory on GPUs, so that they need not wait for the networks.

    Args:
        name: of the device, such as "cuda:0".
    """
    device = torch.device(name)

    def upload(array: np.ndarray) -> torch.Tensor:
        """Copies `[H, W, C]` to the device as `[1, C, H, W]`, bytes as numbers in [0, 1]."""
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        tensor = tensor.pin_memory() if device.type == "cuda" else tensor
        tensor = tensor.to(device, non_blocking=True).movedim(-1, 0)[None]
        return tensor.float() / 255 if tensor.dtype == torch.uint8 else tensor

    @torch.inference_mode()
    def fuse(before: FramePair, source: Picture, diffused: Image, motion: Motion) -> Image:
        flow, visible = upload(motion.flow), upload(motion.visible[..., None].astype(np.float32))
        pair = upload(before.source), upload(before.styled)
        result = _fuse(*pair, upload(source), upload(diffused), flow, visible, weight)
        return np.ascontiguousarray(result[0].movedim(0, -1).cpu().numpy())

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
    share = weight * SHARE * trusted * _gaussian_blur(trusted, 1.0) * _gaussian(error / TOLERANCE)
    change = (_warp(before, flow, "bicubic") - diffused) * share
    tone = _blur(change, TONE)
    tone = tone * (1 - share / (_blur(share, TONE) + TONE_FLOOR))
    mixed = diffused + change + tone
    light = _blur(expected - now, LIGHT_RADIUS).abs().mean(1, keepdim=True)
    follow = 1 - _gaussian(light / LIGHT)
    mixed = mixed + _blur(diffused - mixed, LIGHT_BLUR) * follow
    return mixed.clamp(0, 1)


def _remove_jitter(
    earlier: torch.Tensor, now: torch.Tensor, flow: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Does as `fusion._remove_jitter`."""
    expected = _warp(earlier, flow, "bilinear")
    moved, stayed = ((x - now).abs().mean(1, keepdim=True) for x in (expected, earlier))
    still = (_box(stayed, 5) <= _box(moved, 5) + STILL) & (flow.norm(dim=1, keepdim=True) < 1)
    error = _box(torch.where(still, torch.minimum(moved, stayed), moved), 3)
    return torch.where(still, 0, flow), error, torch.where(still, earlier, expected)


def _warp(image: torch.Tensor, flow: torch.Tensor, mode: str) -> torch.Tensor:
    """Brings an image to where the flow starts; edges repeat, as in `flow.warp`."""
    height, width = image.shape[-2:]
    y, x = torch.meshgrid(
        torch.arange(height, device=image.device, dtype=torch.float32),
        torch.arange(width, device=image.device, dtype=torch.float32),
        indexing="ij",
    )
    target = torch.stack([(2 * (x + flow[0, 0]) + 1) / width - 1, (2 * (y + flow[0, 1]) + 1) / height - 1], -1)
    return F.grid_sample(image, target[None], mode=mode, padding_mode="border", align_corners=False)


def _gaussian(x: torch.Tensor) -> torch.Tensor:
    """Returns exp(-x^2)."""
    return torch.exp(-x * x)


def _box(image: torch.Tensor, size: int) -> torch.Tensor:
    """Averages squares; borders are mirrored, as OpenCV's are."""
    radius = size // 2
    return F.avg_pool2d(F.pad(image, (radius,) * 4, mode="reflect"), size, 1)


def _gaussian_blur(image: torch.Tensor, deviation: float) -> torch.Tensor:
    """Blurs each channel; with OpenCV's kernel, which reaches 4 deviations, and mirrored borders."""
    kernel = torch.from_numpy(cv2.getGaussianKernel(round(8 * deviation + 1) | 1, deviation, cv2.CV_32F)[:, 0])
    kernel, radius, channels = kernel.to(image.device), len(kernel) // 2, image.shape[1]
    # OpenCV mirrors as often as it takes; torch only within the picture
    for axis in (2, 3):
        index = _mirror(image.shape[axis], radius).to(image.device)
        image = image.index_select(axis, index)
    rows = kernel.view(1, 1, -1, 1).expand(channels, -1, -1, -1)
    columns = kernel.view(1, 1, 1, -1).expand(channels, -1, -1, -1)
    return F.conv2d(F.conv2d(image, rows, groups=channels), columns, groups=channels)


@functools.lru_cache(maxsize=32)
def _mirror(length: int, radius: int) -> torch.Tensor:
    """Indices of a line with `radius` mirrored pixels at each end, the outermost not repeated."""
    if length == 1:
        return torch.zeros(1 + 2 * radius, dtype=torch.long)
    positions = torch.arange(-radius, length + radius) % (2 * (length - 1))
    return torch.where(positions < length, positions, 2 * (length - 1) - positions)


def _blur(image: torch.Tensor, deviation: float) -> torch.Tensor:
    """Blurs at half the resolution or less, as `fusion._blur`."""
    height, width = image.shape[-2:]
    factor = max(2, 2 ** int(math.log2(deviation / 3)))
    small = (-(-height // factor), -(-width // factor))
    down = [_area(length, size).to(image.device) for length, size in zip((height, width), small, strict=True)]
    soft = _gaussian_blur(down[0] @ image @ down[1].T, deviation / factor)
    return F.interpolate(soft, size=(height, width), mode="bilinear", align_corners=False)


@functools.lru_cache(maxsize=32)
def _area(length: int, size: int) -> torch.Tensor:
    """Shares `[size, length]` by which OpenCV's area interpolation averages a line down."""
    edges = torch.arange(size + 1, dtype=torch.float64) * length / size
    pixels = torch.arange(length, dtype=torch.float64)
    begin, end = torch.maximum(edges[:-1, None], pixels), torch.minimum(edges[1:, None], pixels + 1)
    shares = (end - begin).clamp(min=0)
    return (shares / shares.sum(1, keepdim=True)).float()
