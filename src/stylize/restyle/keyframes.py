"""Fast mode: only keyframes are restyled; the frames between are filled in from both sides, still ones are repeated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from stylize.frames import Clip, Image, Picture, join_clips, to_floats
from stylize.motion import CutDetector, FramePair, Motion, between, chain, fuse, motions_between, warp
from stylize.restyle.batches import Batch

MAX_GAP = 10
"""Frames from one keyframe to the next at most, which bounds what has to be read ahead."""
MAX_CHANGE = 0.5
"""Share of the picture that the motion may leave unexplained, summed up since the last keyframe."""
UNEXPLAINED = 0.08
"""Difference to what the motion predicts from which on a pixel is news, in [0, 1]."""
STILL_MEAN, STILL_MAX = 1.0, 5.0
"""Change of the means of 8 x 8 pixels up to which nothing has moved, in levels of 255: over all, and anywhere."""


@dataclass(frozen=True, eq=False)
class Gap(Batch):
    """The frames after a keyframe up to and with the next one."""

    back: tuple[Motion, ...] = ()
    """From each frame to the one before it, the first to the last keyframe; none at the start of a shot."""
    ahead: tuple[Motion, ...] = ()
    """From the frame before each frame to it."""
    is_still: bool = False
    """Nothing has moved since the last keyframe, which is shown again."""

    @property
    def to_restyle(self) -> Clip | None:
        """The keyframe alone."""
        if self.is_still:
            return None
        count = len(self.clip)
        return self.clip.part(count - 1, count, starts_shot=self.clip.starts_shot)

    def find_motion(self, before: Picture | None) -> Sequence[Motion | None]:
        """Returns nothing: the motion is known already."""
        return ()

    def finish(
        self, styled: Sequence[Image], last: FramePair | None, motions: Sequence[Motion | None], weight: float
    ) -> tuple[list[Image], FramePair]:
        """Steadies the keyframe along the motion from the last one, fills in the frames between; see `Batch.finish`."""
        *pictures, source = self.clip.frames
        if self.is_still and last is not None:
            return [last.styled], last
        if last is None:
            return [*styled], FramePair(source, styled[0])
        back, ahead = chain(self.back), chain(self.ahead[:0:-1])[::-1]
        result = fuse(last, source, styled[0], back[-1], weight) if weight > 0 else styled[0]
        key = FramePair(source, result)
        return [*between(last, key, pictures, back[:-1], ahead), result], key


def cut_gaps(frames: Iterable[tuple[Clip, CutDetector]], last: FramePair | None = None) -> Iterator[Gap]:
    """Ends a gap where the motion leaves too much unexplained, after `MAX_GAP` frames, and before a cut.

    Args:
        frames: clips of one frame, each with the cut detector after it.
        last: the last keyframe, where a run goes on.
    """
    key, waiting, change = None if last is None else last.source, list[Gap](), 0.0
    for frame, cuts in frames:
        picture = frame.frames[0]
        if key is None or frame.starts_shot:
            yield from _join(waiting)
            yield Gap(frame, cuts)
            key, waiting, change = picture, [], 0.0
        elif not waiting and is_still(key, picture):
            yield Gap(frame, cuts, is_still=True)
        else:
            before = waiting[-1].clip.frames[0] if waiting else key
            back, ahead = motions_between(before, picture)
            waiting.append(Gap(frame, cuts, (back,), (ahead,)))
            change += _news(before, picture, back)
            if len(waiting) == MAX_GAP or change > MAX_CHANGE:
                yield from _join(waiting)
                key, waiting, change = picture, [], 0.0
    yield from _join(waiting)


def _join(waiting: Sequence[Gap]) -> Iterator[Gap]:
    """Yields gaps of one frame as a single gap; nothing if there are none."""
    if waiting:
        motions = ([gap.back[0] for gap in waiting], [gap.ahead[0] for gap in waiting])
        clip = join_clips([gap.clip for gap in waiting])
        yield Gap(clip, waiting[-1].cuts, tuple(motions[0]), tuple(motions[1]))


def is_still(before: Picture, after: Picture) -> bool:
    """Whether nothing has moved that a person would see; a camera's noise is not movement."""
    small = [
        cv2.resize(x, None, fx=1 / 8, fy=1 / 8, interpolation=cv2.INTER_AREA).astype(np.float32)
        for x in (before, after)
    ]
    change = np.abs(small[1] - small[0])
    return bool(change.mean() < STILL_MEAN and change.max() < STILL_MAX)


def _news(before: Picture, picture: Picture, back: Motion) -> float:
    """Returns the share of a frame that the one before does not explain."""
    error = cv2.absdiff(warp(to_floats(before), back.flow), to_floats(picture)).mean(-1)
    return float((~back.visible | (error > UNEXPLAINED)).mean())
