"""Finds the black bars beside a picture of another shape, as films on television have them: they stay as they are.

Each shot is decided by itself, by its first frame that is bright enough, and for all of its frames: what is shown in a
bar later, a title, stays as it is, too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stylize.frames import Picture

BLACK = 24
"""The brightest channel of a pixel in a bar, of 255: codecs leave a little noise."""
BRIGHT = 0.3
"""Share of a frame that must be brighter than that: in the dark, nothing tells bars from night."""
FULL, SHARP = 0.5, 3
"""A picture begins with a line of which this share is lit, within so many lines of the bar; a dark sky does not."""
SPECKS = 0.002
"""Share of a line that may be lit in a bar."""
LEAST, MOST, UNEQUAL = 0.02, 0.4, 0.01
"""How wide bars are, and by how much the two of a pair may differ, as shares of the frame's side."""


@dataclass(frozen=True)
class Bars:
    """How far black bars reach into the frame, as shares of its height and width."""

    top: float = 0.0
    bottom: float = 0.0
    left: float = 0.0
    right: float = 0.0

    def inside(self, height: int, width: int) -> tuple[slice, slice]:
        """Returns rows and columns of the picture between the bars; lines that a bar does not cover wholly belong."""
        top, bottom, left, right = (
            math.floor(share * side + 1e-6)
            for share, side in ((self.top, height), (self.bottom, height), (self.left, width), (self.right, width))
        )
        return slice(top, height - bottom), slice(left, width - right)


def find_bars(picture: Picture) -> Bars | None:
    """Finds pairs of black bars, as wide as each other, that end in a line.

    Args:
        picture: uint8 RGB `[H, W, 3]`.

    Returns:
        `None` if the picture is too dark to tell.
    """
    lit = picture.max(2) > BLACK
    if lit.mean() < BRIGHT:
        return None
    rows = _find_pair(lit.mean(1))
    columns = _find_pair(lit[Bars(*rows).inside(*lit.shape)].mean(0))
    # between bars on all sides, a line of the whole frame may be lit by less than half
    rows = _find_pair(lit[Bars(0, 0, *columns).inside(*lit.shape)].mean(1))
    return Bars(*rows, *columns)


def _find_pair(lit: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Finds the bars at both ends of a side, by the shares of its lines that are lit."""
    first, last = _find_bar(lit), _find_bar(lit[::-1])
    if not first or not last or abs(first - last) > max(2, UNEQUAL * len(lit)):
        return 0.0, 0.0
    return first / len(lit), last / len(lit)


def _find_bar(lit: npt.NDArray[np.float64]) -> int:
    """Returns how many lines a bar at the beginning has."""
    dark = int(np.argmax(lit > SPECKS))
    if not LEAST * len(lit) <= dark <= MOST * len(lit):
        return 0
    return dark if lit[dark : dark + SHARP].max() >= FULL else 0
