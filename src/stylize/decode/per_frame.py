"""Reads pictures that accompany a source, one for each frame: mattes, depth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stylize.decode.reader import VideoReader
from stylize.errors import VideoError
from stylize.frames import Clip

ADVICE = "give one for each frame"


class PerFrame:
    """Gives the picture for each frame of the source, from a video or folder.

    The pictures are read in order; a step back to an earlier one reads them again.

    Args:
        what: one word for the pictures, for messages.
        advice: tells the user what to do if there are fewer pictures than frames.

    Raises:
        VideoError: the pictures cannot be read.
    """

    def __init__(self, path: Path, what: str, advice: str = ADVICE) -> None:
        self._path, self._what, self._advice = path, what, advice
        self._reader = VideoReader(path)
        self._clips: Iterator[Clip] = iter(())
        self._next = -1

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the pictures."""
        return self._reader.size

    def check_enough(self, frames: int) -> None:
        """Raises VideoError if there are fewer pictures than frames, as far as is known before reading."""
        count = self._reader.frame_count
        if count is not None and count < frames:
            raise too_few(self._path, count, self._what, self._advice)

    def at(self, index: int) -> Clip:
        """Returns the picture for frame `index`, as a clip of one frame.

        Raises:
            VideoError: there is no picture for this frame.
        """
        if not 0 <= self._next <= index:
            self._reader.close()  # what an earlier reading has opened
            self._clips, self._next = self._reader.clips(1, skip=index), index
        for clip in self._clips:
            self._next += 1
            if self._next > index:
                return clip
        count = self._reader.frame_count  # exact, now that reading has begun
        raise too_few(self._path, self._next if count is None else count, self._what, self._advice)


def too_few(path: Path, count: int, what: str, advice: str = ADVICE) -> VideoError:
    """Returns the error for pictures that end before the video does."""
    return VideoError(f"{path}: has {count} {what}, the video has more frames", advice)
