"""The last touch of a run, the same for all of its frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from stylize.finish.grades import Grade
from stylize.finish.pixels import make_pixels
from stylize.finish.tones import Tones, match_tones, measure_tones
from stylize.frames import Image, Picture
from stylize.style import Moments, blend_moments, find_moment


@dataclass(frozen=True, eq=False)
class Finish:
    """What is done to results after they were steadied; of itself nothing."""

    reference: Picture | None = field(default=None, repr=False)
    """The picture whose palette and contrasts results are given, uint8 RGB `[H, W, 3]`, nothing of it transparent."""
    share: float = 1.0
    """How much of them, in [0, 1]."""
    grades: Moments[Sequence[Grade]] = ((Fraction(0), ()),)
    """Colour grades, one after the other, from each second on, on the source's clock; between two a blend of both."""
    grade_share: float = 1.0
    """How much of them, in [0, 1]."""
    pixels: Moments[int | None] = ((Fraction(0), None),)
    """Rows of the pixels that results are made of, or `None`, from each second on."""
    _measured: dict[int, Tones] = field(default_factory=dict, init=False, repr=False)
    """Of the reference, by the shorter side of the results."""

    def apply(
        self, images: Sequence[Image], times: Sequence[Fraction], before: tuple[Tones, ...] = ()
    ) -> tuple[list[Image], tuple[Tones, ...]]:
        """Finishes consecutive frames of a shot.

        Args:
            images: RGB `[H, W, 3]` in [0, 1].
            times: their seconds.
            before: what the frames before them left; nothing at the start of a shot.

        Returns:
            The finished frames, and what they leave to the next ones.
        """
        finished = []
        for image, time in zip(images, times, strict=True):
            if self.reference is not None and self.share > 0:
                image, before = match_tones(image, self._measure(min(image.shape[:2])), before, self.share)
            image = self._grade(image, time)
            rows = find_moment(self.pixels, time)
            finished.append(image if rows is None else make_pixels(image, rows))
        return finished, before

    def _grade(self, image: Image, time: Fraction) -> Image:
        before, after, part = blend_moments(self.grades, time)
        if not before and (part == 0 or not after):
            return image
        graded = _grade_all(image, before)
        if part > 0:
            graded = graded + np.float32(part) * (_grade_all(image, after) - graded)
        return graded if self.grade_share == 1 else image + np.float32(self.grade_share) * (graded - image)

    def _measure(self, short_side: int) -> Tones:
        assert self.reference is not None
        if short_side not in self._measured:
            self._measured[short_side] = measure_tones(self.reference, short_side)
        return self._measured[short_side]


def _grade_all(image: Image, grades: Iterable[Grade]) -> Image:
    for grade in grades:
        image = grade.apply(image)
    return image
