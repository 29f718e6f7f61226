"""OpenCV's filters in torch, for pictures `[N, C, H, W]` that stay on a device."""

from __future__ import annotations

import functools
import math

import cv2
import numpy as np
import torch
from torch.nn import functional as F


def upload(array: np.ndarray, device: torch.device) -> torch.Tensor:
    """Copies `[H, W]` or `[H, W, C]` to a device as `[1, C, H, W]`, bytes as numbers in [0, 1].

    The copies go through pinned memory on GPUs, so that they need not wait for the networks.
    """
    tensor = torch.from_numpy(np.ascontiguousarray(array if array.ndim == 3 else array[..., None]))
    tensor = tensor.pin_memory() if device.type == "cuda" else tensor
    tensor = tensor.to(device, non_blocking=True).movedim(-1, 0)[None]
    return tensor.float() / 255 if tensor.dtype == torch.uint8 else tensor


def download(image: torch.Tensor) -> np.ndarray:
    """Copies `[1, C, H, W]` back as `[H, W, C]`."""
    return np.ascontiguousarray(image[0].movedim(0, -1).cpu().numpy())


def resize(image: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Enlarges or shrinks a little, `INTER_LINEAR`."""
    return F.interpolate(image, size=shape, mode="bilinear", align_corners=False)


def box_blur(image: torch.Tensor, size: int) -> torch.Tensor:
    """Averages squares; borders are mirrored, as OpenCV's are."""
    radius = size // 2
    return F.avg_pool2d(F.pad(image, (radius,) * 4, mode="reflect"), size, 1)


def gaussian_blur(image: torch.Tensor, deviation: float) -> torch.Tensor:
    """Blurs each channel; with OpenCV's kernel, which reaches 4 deviations, and mirrored borders."""
    kernel, channels = _gaussian_kernel(deviation, image.device), image.shape[1]
    # OpenCV mirrors as often as it takes; torch only within the picture
    for axis in (2, 3):
        image = image.index_select(axis, _mirror(image.shape[axis], len(kernel) // 2, image.device))
    rows = kernel.view(1, 1, -1, 1).expand(channels, -1, -1, -1)
    columns = kernel.view(1, 1, 1, -1).expand(channels, -1, -1, -1)
    return F.conv2d(F.conv2d(image, rows, groups=channels), columns, groups=channels)


def blur_coarsely(image: torch.Tensor, deviation: float) -> torch.Tensor:
    """Blurs at half the resolution or less; `INTER_AREA` down, `INTER_LINEAR` up."""
    height, width = image.shape[-2:]
    factor = max(2, 2 ** int(math.log2(deviation / 3)))
    down, across = (_area(length, -(-length // factor), image.device) for length in (height, width))
    return resize(gaussian_blur(down @ image @ across.T, deviation / factor), (height, width))


# constants stay on their device: a copy for each frame would wait for the networks


@functools.lru_cache(maxsize=4)
def pixel_places(height: int, width: int, device: torch.device) -> torch.Tensor:
    """Returns x and y of every pixel, `[1, 2, H, W]`."""
    axes = (torch.arange(length, device=device, dtype=torch.float32) for length in (width, height))
    return torch.stack(torch.meshgrid(*axes, indexing="xy"))[None]


@functools.lru_cache(maxsize=32)
def _gaussian_kernel(deviation: float, device: torch.device) -> torch.Tensor:
    kernel = cv2.getGaussianKernel(round(8 * deviation + 1) | 1, deviation, cv2.CV_32F)
    return torch.from_numpy(kernel[:, 0]).to(device)


@functools.lru_cache(maxsize=32)
def _mirror(length: int, radius: int, device: torch.device) -> torch.Tensor:
    """Indices of a line with `radius` mirrored pixels at each end, the outermost not repeated."""
    if length == 1:
        return torch.zeros(1 + 2 * radius, dtype=torch.long, device=device)
    positions = torch.arange(-radius, length + radius) % (2 * (length - 1))
    return torch.where(positions < length, positions, 2 * (length - 1) - positions).to(device)


@functools.lru_cache(maxsize=32)
def _area(length: int, size: int, device: torch.device) -> torch.Tensor:
    """Shares `[size, length]` by which OpenCV's area interpolation averages a line down."""
    edges = torch.arange(size + 1, dtype=torch.float64) * length / size
    pixels = torch.arange(length, dtype=torch.float64)
    begin, end = torch.maximum(edges[:-1, None], pixels), torch.minimum(edges[1:, None], pixels + 1)
    shares = (end - begin).clamp(min=0)
    return (shares / shares.sum(1, keepdim=True)).float().to(device)
