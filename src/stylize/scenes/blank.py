"""Frames that are still to be painted, after a still or after nothing, as a video model takes them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from stylize.frames import Clip, Picture
from stylize.scenes.made import MadeSource
from stylize.scenes.scene import fit_still, frame_times

GREY = 128
LONGEST = 832
"""Longer side, if no size is asked for: that of Wan's videos."""


class BlankReader(MadeSource):
    """Gives grey frames of which nothing is known, but for the first one if there is a still.

    Args:
        path: the still's file, for messages and tags.
        still: uint8 RGB `[H, W, 3]`.
        size: width and height; the still's shape if left out.
    """

    def __init__(
        self, path: Path, still: Picture | None, seconds: float, rate: Fraction, size: tuple[int, int] | None = None
    ) -> None:
        self._still = still
        shape = (LONGEST, 480) if still is None else fit_still(still, None, LONGEST).shape[1::-1]
        super().__init__(path, size or (shape[0], shape[1]), frame_times(seconds, rate), rate)

    @property
    def facts(self) -> Mapping[str, Any]:
        """Number and rate of the frames, and the still."""
        still = "" if self._still is None else hashlib.sha256(self._still.tobytes()).hexdigest()[:12]
        return {"frames": self.frame_count, "rate": str(self.info.frame_rate), "still": still}

    def clips(self, length: int = 8, *, skip: int = 0) -> Iterator[Clip]:
        """Yields clips of one frame, without the first `skip` ones."""
        width, height = self.size
        for i in range(skip, self.frame_count):
            is_known = i == 0 and self._still is not None
            frame = np.full((height, width, 3), GREY, np.uint8)
            if i == 0 and self._still is not None:
                frame = fit_still(self._still, self.size, LONGEST)
            start, end = self._times[i], self._times[i + 1]
            known = np.full((1, height, width), is_known)
            yield Clip(frame[None], (start,), (end - start,), i, i == 0, known=known)
