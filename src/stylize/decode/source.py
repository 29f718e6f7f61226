"""The interface of everything that frames come from, and the base of sources that change the frames of another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from fractions import Fraction
from types import TracebackType
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


class WrappedSource:
    """A source in another one's place, with the same facts: what is built on it changes the frames."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.info, self.size, self.damage, self.matte = source.info, source.size, source.damage, source.matte

    def __enter__(self) -> Self:
        self._source.__enter__()
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._source.__exit__(error_type, error, trace)

    @property
    def frame_count(self) -> int | None:
        """The number of frames, if it is known."""
        return self._source.frame_count

    @property
    def part(self) -> tuple[Fraction, Fraction | None]:
        """Start and end in seconds; `None` is the end of the source."""
        return self._source.part

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the frames depend on beside the file, as JSON values."""
        return self._source.facts
