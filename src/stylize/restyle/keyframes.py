"""Fast mode: only keyframes are restyled; the frames between are filled in from both sides, still ones are repeated."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np

from stylize.frames import Clip, Image, Picture, join_clips, to_floats
from stylize.motion import CutDetector, FlowPool, FramePair, Fuse, Motion, between, chain, known, warp
from stylize.restyle.batches import Batch, PicturePair

MAX_GAP = 10
"""Frames from one keyframe to the next at most, which bounds what has to be read ahead."""
MAX_CHANGE = 0.5
"""Share of the picture that the motion may leave unexplained, summed up since the last keyframe."""
UNEXPLAINED = 0.08
"""Difference to what the motion predicts from which on a pixel is news, in [0, 1]."""
NO_FLOW = 1e-3
"""Pixels of known motion below which a frame repeats the one before."""
STILL_MEAN, STILL_MAX = 1.0, 5.0
"""Change of the means of 8 x 8 pixels up to which nothing has moved, in levels of 255: over all, and anywhere."""


@dataclass(frozen=True, eq=False)
class Gap:
    """The frames after a keyframe up to and with the next one."""

    clip: Clip
    cuts: CutDetector
    """The cut detector after the last frame."""
    back: tuple[Motion, ...] = ()
    """From each frame to the one before it, the first to the last keyframe; none at the start of a shot."""
    ahead: tuple[Motion, ...] = ()
    """From the frame before each frame to it."""
    is_still: bool = False
    """Nothing has moved since the last keyframe, which is shown again."""

    @property
    def keyframe(self) -> Clip | None:
        """The last frame; `None` where nothing is restyled."""
        if self.is_still:
            return None
        count = len(self.clip)
        return self.clip.part(count - 1, count, starts_shot=self.clip.starts_shot)

    def fill(self, styled: Image | None, last: FramePair | None, fuse: Fuse | None) -> tuple[list[Image], FramePair]:
        """Steadies the keyframe along the motion from the last one, and fills in the frames between.

        Args:
            styled: the restyled keyframe.
            last: the keyframe before; `None` at the start of a shot.
            fuse: carries a result along the motion; `None` leaves the keyframe as it is.

        Returns:
            All frames, and the new keyframe.
        """
        if styled is None:
            assert last is not None
            return [last.styled], last
        *pictures, source = self.clip.frames
        if last is None:
            styled = self._cover([styled])[0]
            return [styled], FramePair(source, styled)
        back, ahead = chain(self.back), chain(self.ahead[:0:-1])[::-1]
        fused = styled if fuse is None else fuse(last, source, styled, back[-1])
        key = FramePair(source, fused if self.clip.covers is None else self.clip.covers[-1].over(fused))
        filled = between(last, key, pictures, back[:-1], ahead)
        return [*self._cover(filled), key.styled], key

    def _cover(self, images: list[Image]) -> list[Image]:
        """Lays the clip's first covers over images, if it has any."""
        if self.clip.covers is None:
            return images
        return [cover.over(image) for cover, image in zip(self.clip.covers, images, strict=False)]


@dataclass(frozen=True, eq=False)
class GapBatch(Batch):
    """Consecutive gaps of a shot, whose keyframes go through the networks together."""

    gaps: tuple[Gap, ...] = ()

    @property
    def to_restyle(self) -> Sequence[Clip]:
        """The keyframes."""
        return [keyframe for gap in self.gaps if (keyframe := gap.keyframe) is not None]

    def list_pairs(self, before: Picture | None) -> Sequence[PicturePair | None]:
        """Returns nothing: the motion is known already."""
        return ()

    def list_steps(self, motions: Sequence[Motion | None]) -> Sequence[tuple[Picture, Motion | None, Fraction]]:
        """Lists the keyframes, each with the motion back to the keyframe before it, and its second."""
        return [
            (keyframe.frames[0], chain(gap.back)[-1] if gap.back else None, keyframe.times[0])
            for gap in self.gaps
            if (keyframe := gap.keyframe) is not None
        ]

    def finish(
        self, styled: Iterable[Image], last: FramePair | None, motions: Sequence[Motion | None], fuse: Fuse | None
    ) -> tuple[list[Image], FramePair]:
        """Fills in all gaps; see `Batch.finish`."""
        keyframes, images = iter(styled), list[Image]()
        for gap in self.gaps:
            filled, last = gap.fill(None if gap.is_still else next(keyframes), last, fuse)
            images += filled
        assert last is not None
        return images, last


def batch_gaps(gaps: Iterable[Gap], size: int) -> Iterator[GapBatch]:
    """Joins gaps of a shot to batches of up to `size` keyframes and `MAX_GAP` frames.

    Short gaps, where much moves, go together; a long one goes alone, so that little is read ahead.
    """
    group: list[Gap] = []
    for gap in gaps:
        frames = sum(len(one.clip) for one in group) + len(gap.clip)
        keyframes = sum(not one.is_still for one in (*group, gap))
        if group and (gap.clip.starts_shot or frames > MAX_GAP or keyframes > size):
            yield _join_gaps(group)
            group = []
        group.append(gap)
        if size == 1 or len(gap.clip) >= MAX_GAP:
            yield _join_gaps(group)
            group = []
    if group:
        yield _join_gaps(group)


def _join_gaps(gaps: Sequence[Gap]) -> GapBatch:
    return GapBatch(join_clips([gap.clip for gap in gaps]), gaps[-1].cuts, tuple(gaps))


def cut_gaps(
    frames: Iterable[tuple[Clip, CutDetector]], flows: FlowPool, last: FramePair | None = None
) -> Iterator[Gap]:
    """Ends a gap where the motion leaves too much unexplained, after `MAX_GAP` frames, and before a cut.

    Args:
        frames: clips of one frame, each with the cut detector after it.
        flows: finds the motion of the next frames meanwhile, of as many as it has threads.
        last: the last keyframe, where a run goes on.
    """
    key, waiting, change = None if last is None else last.source, list[Gap](), 0.0
    follows_still = last is not None  # frames before this one were left out: its motion is that from the keyframe
    for frame, cuts, motions in _look_ahead(frames, flows):
        picture = frame.frames[0]
        if key is None or frame.starts_shot:
            yield from _join_frames(waiting)
            yield Gap(frame, cuts)
            key, waiting, change, follows_still = picture, [], 0.0, False
        elif not waiting and not _is_new(frame) and is_still(key, picture):
            yield Gap(frame, cuts, is_still=True)
            follows_still = True
        else:
            before = waiting[-1].clip.frames[0] if waiting else key
            if motions is None or follows_still:
                motions = _find_motions(flows, before, frame)
            back, ahead = motions.result()
            waiting.append(Gap(frame, cuts, (back,), (ahead,)))
            change, follows_still = change + _news(before, picture, back), False
            if len(waiting) == MAX_GAP or change > MAX_CHANGE:
                yield from _join_frames(waiting)
                key, waiting, change = picture, [], 0.0
    yield from _join_frames(waiting)


def _look_ahead(
    frames: Iterable[tuple[Clip, CutDetector]], flows: FlowPool
) -> Iterator[tuple[Clip, CutDetector, Future[tuple[Motion, Motion]] | None]]:
    """Yields the frames with their motion from the frame before, and starts with the motion of the next ones."""
    ready = deque[tuple[Clip, CutDetector, Future[tuple[Motion, Motion]] | None]]()
    before: Picture | None = None
    for frame, cuts in frames:
        picture = frame.frames[0]
        moves = before is not None and not frame.starts_shot and not is_still(before, picture)
        motions = _find_motions(flows, before, frame) if before is not None and moves and flows.workers > 1 else None
        ready.append((frame, cuts, motions))
        before = picture
        if len(ready) == flows.workers:
            yield ready.popleft()
    yield from ready


def _find_motions(flows: FlowPool, before: Picture, frame: Clip) -> Future[tuple[Motion, Motion]]:
    """Starts to find the motion of a frame from and to the one before it; that of a rendered frame is known."""
    if frame.geometry is None or frame.geometry[0].back is None or frame.geometry[0].ahead is None:
        return flows.both_ways(before, frame.frames[0])
    return known((frame.geometry[0].back, frame.geometry[0].ahead))


def _join_frames(waiting: Sequence[Gap]) -> Iterator[Gap]:
    """Yields gaps of one frame as a single gap; nothing if there are none."""
    if waiting:
        back, ahead = tuple(gap.back[0] for gap in waiting), tuple(gap.ahead[0] for gap in waiting)
        yield Gap(join_clips([gap.clip for gap in waiting]), waiting[-1].cuts, back, ahead)


def is_still(before: Picture, after: Picture) -> bool:
    """Whether nothing has moved that a person would see; a camera's noise is not movement."""
    small = [
        cv2.resize(x, None, fx=1 / 8, fy=1 / 8, interpolation=cv2.INTER_AREA).astype(np.float32)
        for x in (before, after)
    ]
    change = np.abs(small[1] - small[0])
    return bool(change.mean() < STILL_MEAN and change.max() < STILL_MAX)


def _is_new(frame: Clip) -> bool:
    """Whether a frame cannot be a repeated one: it is painted, or a camera is known to have moved, however little."""
    painted = frame.covers is not None and bool(frame.covers[0].share.min() >= 1)
    back = None if frame.geometry is None else frame.geometry[0].back
    return painted or (back is not None and float(np.abs(back.flow).max()) > NO_FLOW)


def _news(before: Picture, picture: Picture, back: Motion) -> float:
    """Returns the share of a frame that the one before does not explain."""
    error = cv2.absdiff(warp(to_floats(before), back.flow), to_floats(picture)).mean(-1)
    return float((~back.visible | (error > UNEXPLAINED)).mean())
