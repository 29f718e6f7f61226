"""A moving test picture with the time in it, as black and white squares that survive a look; and how it is read."""

from __future__ import annotations

import cv2
import numpy as np

from stylize.frames import Picture

SIZE = (640, 360)
BITS = 20
"""Of milliseconds: it begins anew after 17 minutes."""
COLUMNS, ROWS = 12, 2
"""Squares of the code: white, black, 20 bits, an even and an odd parity."""
CODE_HEIGHT = 0.3
"""Share of the picture's height that the squares take, from its top."""
LEAST_CONTRAST = 40
"""Difference of white and black squares below which no code is read, in levels of 255."""


def draw_timecode(milliseconds: int) -> Picture:
    """Returns the test picture of a moment: squares that tell it, above a scene in motion; 640x360."""
    width, height = SIZE
    seconds = milliseconds / 1000
    y, x = np.mgrid[:height, :width].astype(np.float32)
    picture = np.stack([70 + 110 * y / height, 90 + 60 * np.sin(x / 90 + seconds), 200 - 120 * y / height], -1)
    picture = np.ascontiguousarray(picture.clip(0, 255).astype(np.uint8))
    for i, colour in enumerate(((235, 180, 60), (200, 70, 60), (60, 150, 110))):
        angle = seconds * (0.7 + 0.3 * i) + 2 * i
        centre = round(width * (0.5 + 0.35 * np.sin(angle))), round(height * (0.65 + 0.15 * np.cos(1.3 * angle)))
        cv2.circle(picture, centre, 34 - 6 * i, colour, -1, cv2.LINE_AA)
    code = np.array(_to_squares(milliseconds), np.uint8).reshape(ROWS, COLUMNS) * 235 + 10
    squares = cv2.resize(code, (width, round(height * CODE_HEIGHT)), interpolation=cv2.INTER_NEAREST)
    picture[: len(squares)] = squares[..., None]
    return picture


def read_timecode(picture: Picture) -> int | None:
    """Returns the milliseconds of a test picture, modulo 2**20, whatever its size; `None` if they cannot be read.

    Args:
        picture: uint8 `[H, W, 3]` RGB.
    """
    rows = max(1, round(picture.shape[0] * CODE_HEIGHT))
    grey = cv2.cvtColor(picture[:rows], cv2.COLOR_RGB2GRAY)
    cells = cv2.resize(grey, (COLUMNS * 8, ROWS * 8), interpolation=cv2.INTER_AREA).astype(np.float32)
    means = cells.reshape(ROWS, 8, COLUMNS, 8)[:, 2:6, :, 2:6].mean((1, 3)).ravel()  # without the squares' borders
    white, black = means[0], means[1]
    if white - black < LEAST_CONTRAST:
        return None
    squares = [int(value > (white + black) / 2) for value in means]
    value = int("".join(map(str, squares[2 : 2 + BITS])), 2)
    return value if squares == _to_squares(value) else None


def _to_squares(milliseconds: int) -> list[int]:
    value = milliseconds % (1 << BITS)
    bits = [int(bit) for bit in f"{value:0{BITS}b}"]
    parity = sum(bits) % 2
    return [1, 0, *bits, parity, 1 - parity]
