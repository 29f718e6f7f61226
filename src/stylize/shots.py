"""Cuts: where a frame does not continue the one before."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import cv2
import numpy as np
import numpy.typing as npt

from stylize.frames import Clip, Picture

THUMBNAIL = (64, 36)
MIN_CHANGE = 0.35
"""Histogram distance under which nothing is a cut, in [0, 1]."""
MIN_DIFFERENCE = 0.06
"""Mean absolute difference of the thumbnails under which nothing is a cut, in [0, 1]."""
SURPRISE = 3.0
"""A cut changes the thumbnail this many times more than the frames before it did."""
SAME_FORMS = 0.75
"""Correlation of the thumbnails' lightness above which the forms are the same and only the light changed (a flash)."""
CALM = 0.01
"""What a frame changes at the least, so that a still shot does not make noise a surprise."""


class CutDetector:
    """Tells, frame by frame, whether a shot starts.

    A cut changes the colours (Hellinger distance of HSV histograms) and the forms (thumbnail difference and
    correlation), and does so suddenly, compared with the running average: a fade or a fast pan changes much in every
    frame, a flash keeps the forms.
    """

    def __init__(self) -> None:
        self._thumbnail: npt.NDArray[np.float32] | None = None
        self._histogram: npt.NDArray[np.float32] | None = None
        self._usual = CALM

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
        difference = float(np.abs(thumbnail - self._thumbnail).mean())
        change = float(cv2.compareHist(histogram, self._histogram, cv2.HISTCMP_BHATTACHARYYA))
        before, after = (x.mean(-1).ravel() for x in (self._thumbnail, thumbnail))
        same_forms = before.std() > 0 and after.std() > 0 and np.corrcoef(before, after)[0, 1] > SAME_FORMS
        self._thumbnail, self._histogram = thumbnail, histogram
        cut = change > MIN_CHANGE and difference > max(MIN_DIFFERENCE, SURPRISE * self._usual) and not same_forms
        self._usual = CALM if cut else max(CALM, 0.7 * self._usual + 0.3 * difference)
        return cut


def split_shots(clips: Iterable[Clip]) -> Iterator[Clip]:
    """The same frames in clips that never cross a cut; those that begin a shot say so."""
    detector = CutDetector()
    for clip in clips:
        cuts = [i for i, picture in enumerate(clip.frames) if detector.starts_shot(picture)]
        bounds = sorted({0, *cuts, len(clip)})
        for start, stop in itertools.pairwise(bounds):
            yield clip.part(start, stop, starts_shot=start in cuts)
