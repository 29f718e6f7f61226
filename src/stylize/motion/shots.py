"""Detects cuts: frames that do not continue the previous one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from stylize.frames import Clip, Picture

Thumbnail: TypeAlias = npt.NDArray[np.float32]

THUMBNAIL = (64, 36)
WINDOW = cv2.createHanningWindow(THUMBNAIL, cv2.CV_32F)
MIN_CHANGE = 0.35
"""Histogram distance above which the colours count as different, in [0, 1]."""
MIN_DIFFERENCE = 0.06
"""Mean absolute difference of the thumbnails below which there is no cut, in [0, 1]."""
SURPRISE = 3.0
"""A cut changes the thumbnail more than this many times as much as the frames before it did."""
SAME_FORMS, OTHER_FORMS = 0.75, 0.3
"""Correlation of the thumbnails' lightness above which only the light changed (a flash), and below which the forms
differ even if the colours are the same."""
CALM = 0.01
"""Least value of the usual change, so that noise in a still shot does not count as a sudden change."""


@dataclass(frozen=True)
class CutDetector:
    """Detects where a shot starts, by the look of the last frame and the usual change between frames.

    A cut changes the forms (correlation of thumbnails) and mostly the colours (Hellinger distance of HSV histograms),
    and does so suddenly, compared with the running average. A fade changes a little in every frame, a pan is undone
    before the comparison, and a flash keeps the forms.
    """

    thumbnail: Thumbnail | None = field(default=None, repr=False)
    """Thumbnail of the last frame; `None` before the first one."""
    histogram: npt.NDArray[np.float32] | None = field(default=None, repr=False)
    usual: float = CALM
    """Running average of the change between frames."""

    def see(self, picture: Picture) -> tuple[bool, CutDetector]:
        """Returns whether `picture`, uint8 RGB `[H, W, 3]`, is the first of a shot, and the detector after it.

        The very first picture always is.
        """
        small = cv2.resize(picture, THUMBNAIL, interpolation=cv2.INTER_AREA)
        thumbnail = small.astype(np.float32) / 255
        hsv = cv2.cvtColor(small, cv2.COLOR_RGB2HSV)
        histogram = np.asarray(cv2.calcHist([hsv], [0, 1, 2], None, [8, 4, 8], [0, 180, 0, 256, 0, 256]), np.float32)
        histogram /= histogram.sum()
        if self.thumbnail is None or self.histogram is None:
            return True, CutDetector(thumbnail, histogram)
        before, after = _align(self.thumbnail, thumbnail)
        difference = float(np.abs(after - before).mean())
        change = float(cv2.compareHist(histogram, self.histogram, cv2.HISTCMP_BHATTACHARYYA))
        alike = correlate(before.mean(-1), after.mean(-1))
        sudden = difference > max(MIN_DIFFERENCE, SURPRISE * self.usual)
        cut = sudden and (alike < OTHER_FORMS or (alike < SAME_FORMS and change > MIN_CHANGE))
        usual = CALM if cut else max(CALM, 0.7 * self.usual + 0.3 * difference)
        return cut, CutDetector(thumbnail, histogram, usual)


def _align(before: Thumbnail, after: Thumbnail) -> tuple[Thumbnail, Thumbnail]:
    """Undoes the camera's shift (phase correlation): returns the parts of both thumbnails that overlap then."""
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


def correlate(one: Thumbnail, other: Thumbnail) -> float:
    """Returns Pearson's correlation of two grey pictures; 0 if either is flat."""
    one, other = one - one.mean(), other - other.mean()
    scale = float(np.sqrt((one * one).sum() * (other * other).sum()))
    return float((one * other).sum()) / scale if scale > 0 else 0.0


def split_shots(frames: Iterable[Clip], detector: CutDetector) -> Iterator[tuple[Clip, CutDetector]]:
    """Yields the same frames, those that begin a shot marked, each with the detector after it.

    Args:
        frames: clips of one frame.
        detector: the detector after the previous frame; a new one at the beginning.
    """
    for frame in frames:
        is_first = detector.thumbnail is None
        starts_shot, detector = detector.see(frame.frames[0])
        if frame.geometry is not None:  # a rendered scene is one shot, however quickly its camera moves
            starts_shot = is_first or frame.geometry[0].back is None
        if frame.known is not None and not frame.known.any():  # all of it is to be painted: it goes on from the still
            starts_shot = is_first
        yield replace(frame, starts_shot=starts_shot), detector
