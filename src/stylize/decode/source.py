"""The interface of everything that frames come from: a file, or a scene that is rendered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from fractions import Fraction
from typing import Any, Protocol, Self

from stylize.decode.packets import Damage
from stylize.decode.probe import VideoInfo
from stylize.frames import Clip, Map


class Source(AbstractContextManager[Any], Protocol):
    """Gives frames in clips, as a context manager; `VideoReader` is the one for files."""

    info: VideoInfo
    size: tuple[int, int]
    """Width and height of the frames; may be set before reading."""
    damage: Damage
    matte: Map | None
    """Where frames are restyled, `[H, W]` from 0 to 1: at 0 they stay as they are. `None` is everywhere."""

    @property
    def frame_count(self) -> int | None:
        """The number of frames, if it is known."""
        ...

    @property
    def part(self) -> tuple[Fraction, Fraction | None]:
        """Start and end in seconds; `None` is the end of the source."""
        ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the frames depend on beside the file, as JSON values."""
        ...

    def clips(self, length: int = 8, *, skip: int = 0) -> Iterator[Clip]:
        """Yields clips of `length` frames, without the first `skip` ones."""
        ...

    def __enter__(self) -> Self: ...
