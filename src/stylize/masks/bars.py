"""Finds the black bars beside a picture of another shape, as films on television have them: they stay as they are."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stylize.frames import Picture

BLACK = 24
"""The brightest channel of a pixel in a bar, of 255: codecs leave a little noise."""
FULL, WITHIN = 0.5, 3
"""Share of a line that is lit where the picture begins, and lines within which it does: a dark sky begins nowhere."""
SPECKS = 0.002
"""Share of a line that may be lit in a bar."""
LEAST, MOST = 0.01, 0.4
"""Bars are no narrower and no wider, as shares of the frame's side."""


@dataclass(frozen=True)
class Bars:
    """How far black bars reach into the frame, as shares of its height and width."""

    top: float = 0.0
    bottom: float = 0.0
    left: float = 0.0
    right: float = 0.0

    def inside(self, height: int, width: int) -> tuple[slice, slice]:
        """Returns rows and columns of the picture between the bars, in a frame of any size."""
        rows = slice(_whole(self.top * height), height - _whole(self.bottom * height))
        return rows, slice(_whole(self.left * width), width - _whole(self.right * width))


def find_bars(frames: Iterable[Picture]) -> Bars:
    """Finds the bars that are black in all of the frames, uint8 RGB `[H, W, 3]`, and end in a line."""
    lit = np.logical_or.reduce([frame.max(2) > BLACK for frame in frames])
    top, bottom = _find_pair(lit.mean(1))
    rows, _ = Bars(top, bottom).inside(*lit.shape)
    return Bars(top, bottom, *_find_pair(lit[rows].mean(0)))


def _find_pair(lit: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Finds the bars at both ends of a side, by the shares of its lines that are lit."""
    first, last = _find_bar(lit), _find_bar(lit[::-1])
    return first / len(lit), last / len(lit)


def _find_bar(lit: npt.NDArray[np.float64]) -> int:
    """Returns how many lines a bar at the beginning has."""
    dark = int(np.argmax(lit > SPECKS))
    if not LEAST * len(lit) <= dark <= MOST * len(lit):
        return 0
    return dark if lit[dark : dark + WITHIN].max() >= FULL else 0


def _whole(lines: float) -> int:
    """Returns how many lines a bar covers wholly; shares are rounded numbers."""
    return math.floor(lines + 1e-6)
