"""Arithmetic on the colours of pictures, uint8 RGB `[H, W, 3]`, that looks and painters share."""

from __future__ import annotations

import cv2
import numpy as np

Image = np.ndarray


def gray_of(image: Image) -> np.ndarray:
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255


def smooth(image: Image, rounds: int = 2, colour: float = 40.0) -> Image:
    for _ in range(rounds):
        image = cv2.bilateralFilter(image, 7, colour, 5)
    return image


def saturate(image: np.ndarray, factor: float, value: float = 1.0) -> Image:
    hsv = cv2.cvtColor(image.astype(np.uint8), cv2.COLOR_RGB2HSV).astype(np.float32)
    hsv[..., 1] = np.clip(hsv[..., 1] * factor, 0, 255)
    hsv[..., 2] = np.clip(hsv[..., 2] * value, 0, 255)
    return cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB)


def posterise(image: Image, levels: int) -> Image:
    """Fewer lightness levels with soft steps; hue is kept."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32)
    step = 255.0 / levels
    base = np.floor(lab[..., 0] / step)
    lab[..., 0] = np.clip((base + 0.5 + 0.5 * np.tanh(4 * (lab[..., 0] / step - base - 0.5))) * step, 0, 255)
    return cv2.cvtColor(lab.astype(np.uint8), cv2.COLOR_LAB2RGB)


def tint(gray: np.ndarray, dark: tuple[int, int, int], light: tuple[int, int, int]) -> Image:
    """A gray picture in [0, 1] between two colours."""
    a, b = np.float32(dark), np.float32(light)
    return (a + (b - a) * gray[..., None]).clip(0, 255).astype(np.uint8)


def to_u8(picture: np.ndarray) -> Image:
    return np.round(picture.clip(0, 255)).astype(np.uint8)


def to_lab(image: Image) -> np.ndarray:
    return cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32)


def to_rgb(lab: np.ndarray) -> Image:
    return cv2.cvtColor(to_u8(lab), cv2.COLOR_LAB2RGB)


def brighten(image: Image, power: float) -> Image:
    return to_u8(255 * (image.astype(np.float32) / 255) ** power)


def step_up(x: np.ndarray, steepness: float) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(x * steepness, -60, 60)))


def gradient(tone: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Tones in [0, 1] to colours from dark to light."""
    place = np.clip(tone, 0, 1) * (len(colours) - 1)
    low = np.minimum(place.astype(int), len(colours) - 2)
    part = (place - low)[..., None]
    return colours[low] * (1 - part) + colours[low + 1] * part


def local_tone(image: Image, contrast: float, wide: float = 16.0) -> np.ndarray:
    """Lightness in [0, 1] with the differences to the neighbourhood raised."""
    gray = gray_of(image)
    return np.clip(gray + (contrast - 1) * (gray - cv2.GaussianBlur(gray, (0, 0), wide)), 0, 1)
