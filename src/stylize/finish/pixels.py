"""Makes pixels of a picture, as many as an old console had, in few colours."""

from __future__ import annotations

import cv2
import numpy as np

from stylize.frames import Image

LIGHTNESSES, CHROMA = 8, 20.0
"""Steps of lightness, and the distance of two steps of each chroma, in CIELAB: steps of red, green and blue would
tint what is grey. Some 30 to 100 colours come of it."""


def make_pixels(image: Image, rows: int) -> Image:
    """Averages squares, each of which is to look like one pixel, and rounds their colours.

    Args:
        image: RGB `[H, W, 3]` in [0, 1].
        rows: of squares along the shorter side, about; squares are whole pixels wide.
    """
    height, width = image.shape[:2]
    side = max(1, round(min(height, width) / rows))
    full = cv2.copyMakeBorder(image, 0, -height % side, 0, -width % side, cv2.BORDER_REPLICATE)
    small = cv2.resize(full, (full.shape[1] // side, full.shape[0] // side), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB)
    step = np.array([100 / (LIGHTNESSES - 1), CHROMA, CHROMA], np.float32)
    few = cv2.cvtColor(np.rint(lab / step) * step, cv2.COLOR_LAB2RGB)
    drawn = few.repeat(side, axis=0).repeat(side, axis=1)[:height, :width]
    return np.asarray(np.clip(drawn, 0, 1), np.float32)
