"""Colour grading: what words for palette, light, season and time of day stand for."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from stylize.frames import Image

LUMA = (0.299, 0.587, 0.114)
"""Lightness of red, green and blue (ITU-R BT.601)."""
LESS_GREEN, LESS_BLUE = 0.45, 0.35
"""What green and blue lose of the green that becomes red."""


@dataclass(frozen=True)
class Grade:
    """Saturation, then a gain and an offset a channel, then a gamma; on RGB in [0, 1]."""

    gain: tuple[float, float, float] = (1, 1, 1)
    offset: tuple[float, float, float] = (0, 0, 0)
    saturation: float = 1.0
    gamma: float = 1.0
    swap: float = 0.0
    """How much of the green that blue has not becomes red: leaves in autumn, and no clouds."""

    def apply(self, image: Image) -> Image:
        """Grades a picture, `[H, W, 3]` in [0, 1]."""
        saturate = (1 - self.saturation) * np.tile(LUMA, (3, 1)) + self.saturation * np.eye(3)
        toned = cv2.transform(image, saturate.astype(np.float32))
        if self.swap:
            moved = np.float32(self.swap) * np.maximum(toned[..., 1] - toned[..., 2], 0)
            toned = toned + moved[..., None] * np.array([1, -LESS_GREEN, -LESS_BLUE], np.float32)
        graded = (toned * np.array(self.gain, np.float32) + np.array(self.offset, np.float32)).clip(0, 1)
        return np.asarray(graded if self.gamma == 1 else cv2.pow(graded, self.gamma), np.float32)
