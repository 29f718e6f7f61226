"""What painters are given of a picture beside itself: the same that the networks see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stylize.structure.cells import Cells
from stylize.structure.screens import draw_screen
from stylize.structure.strokes import CONTRAST, LINE_CONTRAST, Strokes, draw_along


@dataclass
class Given:
    """The lines of one picture, and what chance has decided for it."""

    lines: np.ndarray
    """`draw_lines` of the picture, `[H, W]` in [0, 1]."""
    strokes: Strokes
    cells: Cells | None = None

    def ink(self, sharpness: float = 16.0) -> np.ndarray:
        """Ink lines: 1 is paper, 0 a line; `[H, W]`."""
        depth = (np.round(255 * self.lines) / np.float32(255) - 0.5) / np.float32(LINE_CONTRAST)
        return np.where(depth > 0, 1, 1 + np.tanh(8 * sharpness * depth)).astype(np.float32)

    @property
    def s(self) -> np.ndarray:
        """The stroke field with mean 0 and variance 1, as the networks see it: `[H, W]`."""
        return (np.round(255 * self.strokes.picture) / np.float32(255) - 0.5) / np.float32(CONTRAST)

    def along(self, picture: np.ndarray, *steps: float) -> np.ndarray:
        """The picture smeared along the strokes."""
        return draw_along(picture.astype(np.float32), self.strokes.direction, steps)

    @property
    def screen(self) -> np.ndarray:
        """The screen of a halftone, as the networks see it: `[H, W]` in [0, 1]."""
        return np.round(255 * draw_screen(self.strokes)) / np.float32(255)

    def means(self, picture: np.ndarray) -> np.ndarray:
        """The mean colour of each cell, `[N + 1, 3]`; row 0 is between cells."""
        labels = self.cells.labels.ravel()
        count = np.maximum(np.bincount(labels, minlength=len(self.cells.points) + 1), 1)
        sums = [np.bincount(labels, picture[..., c].ravel().astype(float), len(count)) for c in range(3)]
        return (np.stack(sums, -1) / count[:, None]).astype(np.float32)

    @property
    def values(self) -> np.ndarray:
        """The value of each cell in [0, 1], `[N + 1]`."""
        return np.concatenate([[0], self.cells.values]).astype(np.float32)

    def fill(self, colours: np.ndarray, ground: np.ndarray) -> np.ndarray:
        """Each cell in its colour, `[N + 1, 3]`, over a ground that shows between them."""
        cover = self.cells.cover[..., None]
        return ground + (colours[self.cells.labels] - ground) * cover
