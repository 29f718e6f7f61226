"""What goes with a source, one picture a frame: mattes, depth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stylize.decode.reader import VideoReader
from stylize.errors import VideoError
from stylize.frames import Clip

ADVICE = "give one for each frame"


class PerFrame:
    """Pictures of a video or folder, by the number of the source's frame; read in order, again for an earlier one.

    Args:
        what: the pictures in a word, for messages.
        advice: what to do where there are fewer of them than frames.

    Raises:
        VideoError: they cannot be read.
    """

    def __init__(self, path: Path, what: str, advice: str = ADVICE) -> None:
        self._path, self._what, self._advice = path, what, advice
        self._reader = VideoReader(path)
        self._clips: Iterator[Clip] = iter(())
        self._next = -1

    def at(self, index: int) -> Clip:
        """The picture of a frame, as a clip of one.

        Raises:
            VideoError: there is none for this frame.
        """
        if not 0 <= self._next <= index:
            self._clips, self._next = self._reader.clips(1, skip=index), index
        for clip in self._clips:
            self._next += 1
            if self._next > index:
                return clip
        count = self._reader.frame_count  # counted, now that reading has begun
        raise too_few(self._path, self._next if count is None else count, self._what, self._advice)


def too_few(path: Path, count: int, what: str, advice: str = ADVICE) -> VideoError:
    """The error for pictures that end before the video does."""
    return VideoError(f"{path}: has {count} {what}, the video has more frames", advice)
