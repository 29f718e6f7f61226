"""Cuts: where a frame does not continue the one before."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from stylize.frames import Clip, Picture

Thumbnail: TypeAlias = npt.NDArray[np.float32]

THUMBNAIL = (64, 36)
WINDOW = cv2.createHanningWindow(THUMBNAIL, cv2.CV_32F)
MIN_CHANGE = 0.35
"""Histogram distance above which the colours are others, in [0, 1]."""
MIN_DIFFERENCE = 0.06
"""Mean absolute difference of the thumbnails under which nothing is a cut, in [0, 1]."""
SURPRISE = 3.0
"""A cut changes the thumbnail this many times more than the frames before it did."""
SAME_FORMS, OTHER_FORMS = 0.75, 0.3
"""Correlation of the thumbnails' lightness above which only the light changed (a flash), and below which the forms are
others even where the colours are the same."""
CALM = 0.01
"""What a frame changes at the least, so that a still shot does not make noise a surprise."""


class CutDetector:
    """Tells, frame by frame, whether a shot starts.

    A cut changes the forms (correlation of thumbnails) and mostly the colours (Hellinger distance of HSV histograms),
    and does so suddenly, compared with the running average: a fade changes a little in every frame, a pan is undone
    before comparing, a flash keeps the forms.
    """

    def __init__(self) -> None:
        self._thumbnail: Thumbnail | None = None
        self._histogram: npt.NDArray[np.float32] | None = None
        self._usual = CALM

    def copy(self) -> CutDetector:
        """One that goes on from here by itself; what is remembered is replaced, never changed."""
        return CutDetector.of(self.arrays(), self._usual)

    @classmethod
    def of(cls, arrays: Mapping[str, Thumbnail], usual: float) -> CutDetector:
        """One that goes on where another was, from its `arrays` and `usual`."""
        detector = cls()
        detector._thumbnail, detector._histogram = arrays.get("thumbnail"), arrays.get("histogram")
        detector._usual = usual
        return detector

    def arrays(self) -> dict[str, Thumbnail]:
        """What it remembers of the last picture."""
        known = {"thumbnail": self._thumbnail, "histogram": self._histogram}
        return {name: array for name, array in known.items() if array is not None}

    @property
    def usual(self) -> float:
        """How much a frame has changed of late."""
        return self._usual

    def starts_shot(self, picture: Picture) -> bool:
        """Whether `picture`, uint8 RGB `[H, W, 3]`, is the first of a shot; the first picture of all is."""
        small = cv2.resize(picture, THUMBNAIL, interpolation=cv2.INTER_AREA)
        thumbnail = small.astype(np.float32) / 255
        hsv = cv2.cvtColor(small, cv2.COLOR_RGB2HSV)
        histogram = np.asarray(cv2.calcHist([hsv], [0, 1, 2], None, [8, 4, 8], [0, 180, 0, 256, 0, 256]), np.float32)
        histogram /= histogram.sum()
        if self._thumbnail is None or self._histogram is None:
            self._thumbnail, self._histogram = thumbnail, histogram
            return True
        before, after = _aligned(self._thumbnail, thumbnail)
        difference = float(np.abs(after - before).mean())
        change = float(cv2.compareHist(histogram, self._histogram, cv2.HISTCMP_BHATTACHARYYA))
        alike = _correlation(before.mean(-1), after.mean(-1))
        self._thumbnail, self._histogram = thumbnail, histogram
        sudden = difference > max(MIN_DIFFERENCE, SURPRISE * self._usual)
        cut = sudden and (alike < OTHER_FORMS or (alike < SAME_FORMS and change > MIN_CHANGE))
        self._usual = CALM if cut else max(CALM, 0.7 * self._usual + 0.3 * difference)
        return cut


def _aligned(before: Thumbnail, after: Thumbnail) -> tuple[Thumbnail, Thumbnail]:
    """The parts of both that show the same once the camera's shift between them is undone (phase correlation)."""
    one, other = (np.ascontiguousarray(x.mean(-1)) for x in (before, after))
    (dx, dy), _ = cv2.phaseCorrelate(one, other, WINDOW)
    width, height = THUMBNAIL
    x, y = (round(np.clip(d, -side // 2, side // 2)) for d, side in ((dx, width), (dy, height)))
    shifted = (
        before[max(0, -y) : height - max(0, y), max(0, -x) : width - max(0, x)],
        after[max(0, y) : height + min(0, y), max(0, x) : width + min(0, x)],
    )
    errors = [float(np.abs(a - b).mean()) for a, b in (shifted, (before, after))]
    return shifted if errors[0] < errors[1] else (before, after)


def _correlation(one: Thumbnail, other: Thumbnail) -> float:
    """Pearson's, 0 where either is flat."""
    one, other = one - one.mean(), other - other.mean()
    scale = float(np.sqrt((one * one).sum() * (other * other).sum()))
    return float((one * other).sum()) / scale if scale > 0 else 0.0


def split_shots(clips: Iterable[Clip], detector: CutDetector | None = None) -> Iterator[Clip]:
    """The same frames in clips that never cross a cut; those that begin a shot say so.

    Args:
        detector: one that saw the frames before; a new one if left out.
    """
    detector = detector or CutDetector()
    for clip in clips:
        cuts = [i for i, picture in enumerate(clip.frames) if detector.starts_shot(picture)]
        bounds = sorted({0, *cuts, len(clip)})
        for start, stop in itertools.pairwise(bounds):
            yield clip.part(start, stop, starts_shot=start in cuts)
