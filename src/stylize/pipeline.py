"""The whole flow: clips in, shots found, structure taken, frames restyled, clips out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from stylize.frames import Clip


def remembered(frames: Iterable[Clip], kept: deque[Clip]) -> Iterator[Clip]:
    """The same frames, each of which waits in `kept` until somebody takes it out."""
    for frame in frames:
        kept.append(frame)
        yield frame
