"""Periodic noise that strokes are read from, at the octaves that give it the screen's own scale."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float32]

SHEET = 1024
"""Side of the periodic sheets of noise, in pixels of the screen."""
FINER = 2
"""Pixels of the fine sheet to a pixel of the screen; reading between coarser ones would blur the bristles."""
SHIFT = 61.0
"""How far each octave is read from the one before, in pixels of the sheet, or the origin would be the same in all."""
SWIRLS = 28.0
"""Size of the swirls that strokes follow where the picture has no forms, in pixels."""


@dataclass(frozen=True, eq=False)
class Sheets:
    """Periodic noise of unit variance that strokes are read from."""

    broad: Floats
    """`[SHEET, SHEET]`."""
    fine: Floats
    """`[FINER SHEET, FINER SHEET]`."""
    turns: Floats
    """`[SHEET, SHEET, 2]` vectors that turn slowly."""


@functools.lru_cache(maxsize=2)
def make_sheets(seed: int = 0) -> Sheets:
    """Returns the sheets of a seed."""
    rng = np.random.default_rng(seed)

    def noise(side: int, blur: float) -> Floats:
        return _blur_periodic(rng.standard_normal((side, side), np.float32), blur)

    turns = [cv2.resize(noise(SHEET // 4, SWIRLS / 4), (SHEET, SHEET)) for _ in range(2)]
    return Sheets(noise(SHEET, 1.4), noise(FINER * SHEET, 0.6 * FINER), np.dstack(turns))


def weigh_octaves(level: Floats) -> list[tuple[int, Floats]]:
    """Returns the octaves that give the noise the screen's own scale, each with its share; squares add up to 1."""
    low = np.floor(-level)
    part = (-level - low) * np.float32(np.pi / 2)
    octaves = range(int(low.min()), int(low.max()) + 2)
    shares = [np.where(low == k, np.cos(part), np.where(low == k - 1, np.sin(part), 0)) for k in octaves]
    return [(k, share.astype(np.float32)) for k, share in zip(octaves, shares, strict=True) if share.any()]


def read_octaves(sheet: Floats, coordinates: Floats, octaves: list[tuple[int, Floats]]) -> Floats:
    """Reads a sheet where the coordinates lead, as a mix of octaves."""
    scale, side = np.float32(sheet.shape[0] / SHEET), sheet.shape[0]
    total = np.zeros((*coordinates.shape[:2], *sheet.shape[2:]), np.float32)
    for octave, weight in octaves:
        where = coordinates * (scale * np.float32(2.0**octave)) + np.float32(SHIFT * octave) * scale
        # OpenCV wraps, but counts to 32,767 only; NumPy's minimum over both axes at once would take most of the time
        where -= np.array([side * np.floor(where[..., axis].min() / side) for axis in (0, 1)], np.float32)
        where = where % side if where.max() > 2**14 else where
        read = cv2.remap(sheet, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        total += read * (weight if read.ndim == 2 else weight[..., None])
    return total


def _blur_periodic(noise: Floats, deviation: float) -> Floats:
    """Blurs with opposite borders joined, and scales to unit variance."""
    edge = int(4 * deviation) + 1
    joined = cv2.copyMakeBorder(noise, edge, edge, edge, edge, cv2.BORDER_WRAP)
    soft = cv2.GaussianBlur(joined, (0, 0), deviation)[edge:-edge, edge:-edge]
    return np.ascontiguousarray(soft / soft.std(), np.float32)
