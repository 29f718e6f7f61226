"""Draws the screen of a halftone: a grid of soft dots that travels with the surfaces as strokes do.

It is read at the strokes' coordinates, octave for octave, so dots stick to what they print and keep their size on the
screen where the camera zooms. How much of a dot is printed is for the look to decide: the screen is a threshold.
"""

from __future__ import annotations

import cv2
import numpy as np

from stylize.frames import Map
from stylize.structure.sheets import weigh_octaves
from stylize.structure.strokes import Strokes

SCREEN = "screen"
"""Name of this kind of cells."""
PERIOD = 8.0
"""Distance of the dots along their rows, in pixels; rows lie at 45 degrees, as printers lay them."""


def draw_screen(strokes: Strokes) -> Map:
    """Draws the screen of a frame, float32 `[H, W]` in [0, 1]: 1 in the middle of dots, 0 in the middle between."""
    size = strokes.values.shape[::-1]
    coordinates = cv2.resize(strokes.coordinates, size)
    x, y = coordinates[..., 0], coordinates[..., 1]
    rows = np.float32(2 * np.pi / PERIOD * np.sqrt(0.5)) * np.stack([x + y, x - y])
    screen = np.full(strokes.values.shape, 0.5, np.float32)
    for octave, weight in weigh_octaves(strokes.level):
        share = cv2.resize(weight * weight, size)  # the squares add up to 1
        screen += np.float32(0.25) * share * np.cos(rows * np.float32(2.0**octave)).sum(0)
    return screen.clip(0, 1)
