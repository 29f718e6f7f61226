"""Fast mode: only keyframes are diffused; the frames between are filled in from both sides, still ones are repeated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from stylize.frames import Clip, Picture, one_by_one, to_bytes, unit
from stylize.motion import Motion, between, warp
from stylize.motion.flow import motions_between
from stylize.motion.fusion import Seen, chained
from stylize.restyle.memory import Memory

MAX_GAP = 10
"""Frames from one keyframe to the next at most, which bounds what has to be read ahead."""
MAX_CHANGE = 0.5
"""Share of the picture that the motion may leave unexplained, summed up since the last keyframe."""
UNEXPLAINED = 0.08
"""Difference to what the motion predicts from which on a pixel is news, in [0, 1]."""
STILL_MEAN, STILL_MAX = 1.0, 5.0
"""Change of the means of 8 x 8 pixels up to which nothing has moved, in levels of 255: over all, and anywhere."""

Diffuse = Callable[[Clip, Memory, Motion | None], Memory]
"""Restyles a clip of one frame; `memory.last` is then that frame. The motion leads to the last keyframe."""


@dataclass(frozen=True)
class _Waiting:
    """A frame after the last keyframe, and its motion from and to the frame before it."""

    clip: Clip
    back: Motion
    ahead: Motion

    @property
    def picture(self) -> Picture:
        picture: Picture = self.clip.frames[0]
        return picture


def restyle_keyframes(
    clips: Iterable[Clip], diffuse: Diffuse, memory: Memory | None = None
) -> Iterator[tuple[Clip, Memory | None]]:
    """Restyles clips that do not cross a cut; as many frames come out, one clip each.

    Beside each comes the memory after it where a run could go on from there: no frame has been read beyond it.
    """
    memory, waiting, change = memory or Memory(), list[_Waiting](), 0.0
    for frame in one_by_one(clips):
        if frame.starts_shot or memory.last is None:
            done, memory = _close(waiting, memory, diffuse)
            yield from ((clip, None) for clip in done)
            waiting, change, memory = [], 0.0, diffuse(frame, memory.cut(), None)
            yield _with(frame, memory.last), memory
            continue
        if not waiting and is_still(memory.last.source, frame.frames[0]):
            yield _with(frame, memory.last), memory
            continue
        before = waiting[-1].picture if waiting else memory.last.source
        waiting.append(_Waiting(frame, *motions_between(before, frame.frames[0])))
        change += _news(before, waiting[-1])
        if len(waiting) == MAX_GAP or change > MAX_CHANGE:
            done, memory = _close(waiting, memory, diffuse)
            yield from ((clip, memory if clip is done[-1] else None) for clip in done)
            waiting, change = [], 0.0
    yield from ((clip, None) for clip in _close(waiting, memory, diffuse)[0])


def is_still(before: Picture, after: Picture) -> bool:
    """Nothing has moved that a person would see; noise of a camera is not movement."""
    small = [
        cv2.resize(x, None, fx=1 / 8, fy=1 / 8, interpolation=cv2.INTER_AREA).astype(np.float32)
        for x in (before, after)
    ]
    change = np.abs(small[1] - small[0])
    return bool(change.mean() < STILL_MEAN and change.max() < STILL_MAX)


def _news(before: Picture, frame: _Waiting) -> float:
    """Share of the frame that the one before does not explain."""
    error = cv2.absdiff(warp(unit(before), frame.back.flow), unit(frame.picture)).mean(-1)
    return float((~frame.back.visible | (error > UNEXPLAINED)).mean())


def _close(waiting: list[_Waiting], memory: Memory, diffuse: Diffuse) -> tuple[list[Clip], Memory]:
    """Makes the last waiting frame a keyframe and fills in the others."""
    first = memory.last
    if not waiting or first is None:
        return [], memory
    back = chained([frame.back for frame in waiting])
    ahead = chained([frame.ahead for frame in reversed(waiting[1:])])[::-1]
    memory = diffuse(waiting[-1].clip, memory, back[-1])
    assert memory.last is not None
    pictures = [frame.picture for frame in waiting[:-1]]
    filled = between(first, memory.last, pictures, back[:-1], ahead)
    done = [replace(w.clip, frames=to_bytes(x)[None]) for w, x in zip(waiting[:-1], filled, strict=True)]
    return [*done, _with(waiting[-1].clip, memory.last)], memory


def _with(clip: Clip, seen: Seen | None) -> Clip:
    assert seen is not None
    return replace(clip, frames=to_bytes(seen.styled)[None])
