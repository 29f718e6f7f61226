"""Pictures that move by known steps."""

from __future__ import annotations

import cv2
import numpy as np

HEIGHT, WIDTH = 96, 128


def picture(seed: int, width: int, height: int) -> np.ndarray:
    """Soft coloured clouds at two scales: texture everywhere, which flow can hold on to."""
    rng = np.random.default_rng(seed)
    layers = [cv2.GaussianBlur(rng.standard_normal((height, width, 3)), (0, 0), sigma) * sigma for sigma in (2, 6)]
    return (128 + 60 * sum(layers)).clip(0, 255).astype(np.uint8)


def still(frames: int) -> list[np.ndarray]:
    return [picture(0, WIDTH, HEIGHT)] * frames


def panned(frames: int, step: int = 2) -> list[np.ndarray]:
    """A window that moves over a large picture by whole pixels."""
    large = picture(3, WIDTH + step * frames + 8, HEIGHT)
    return [np.ascontiguousarray(large[:, step * i : step * i + WIDTH]) for i in range(frames)]
