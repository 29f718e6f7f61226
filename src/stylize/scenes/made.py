"""The base of sources whose frames are made here: no file is open, and every time is known."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Self

from stylize.decode import VideoInfo
from stylize.decode.colour import Colour
from stylize.decode.packets import Damage
from stylize.frames import Map


class MadeSource:
    """What sources of made frames share.

    Args:
        path: the still's file, for messages and tags.
        size: width and height of the frames; may be set before reading.
        times: of the frames, and the end, in seconds.
        rate: frames a second.
    """

    matte: Map | None = None

    def __init__(self, path: Path, size: tuple[int, int], times: tuple[Fraction, ...], rate: Fraction) -> None:
        self.size, self._times, self.damage = size, times, Damage()
        self.info = VideoInfo(
            path=path, width=size[0], height=size[1], frame_rate=rate, frame_count_from_header=len(times) - 1,
            duration=times[-1], time_base=1 / rate, start=Fraction(0), rotation=0, sample_aspect_ratio=Fraction(1),
            codec="pictures", pixel_format="rgb24", colour=Colour(), untagged_hd=False, bits=8, has_alpha=False,
            has_audio=False,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    @property
    def frame_count(self) -> int:
        """The number of frames."""
        return len(self._times) - 1

    @property
    def part(self) -> tuple[Fraction, Fraction | None]:
        """From the beginning to the end."""
        return Fraction(0), None
