"""Describes a video to write, as one value: the file, its encoding, and the source that it belongs to."""

from __future__ import annotations

import contextlib
import errno
import io
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import av
import numpy as np

from stylize.decode import VideoInfo
from stylize.decode.colour import ACCURATE, Colour
from stylize.encode.codecs import CODECS, Encoding, choose_encoding, is_rgb
from stylize.errors import Say, VideoError, VideoWarning
from stylize.frames import Picture, resize

MAX_SYSTEM_ERROR = 10_000
"""The system's error numbers are smaller than this, FFmpeg's own are larger."""
FINE, FINEST = 90_000, 1_000_000
"""Ticks a second: of MPEG's clock, and of the finest clock that a cut may lead to."""


def warn(line: str) -> None:
    """Issues a line as a `VideoWarning`."""
    warnings.warn(line, VideoWarning, stacklevel=3)


@dataclass(frozen=True)
class Target:
    """A video to write."""

    path: Path
    source: VideoInfo
    """The video that time base, pixel aspect, colour and the other tracks come from."""
    size: tuple[int, int]
    """Width and height of the frames."""
    encoding: Encoding
    start: Fraction | None = None
    end: Fraction | None = None
    """Seconds on the source's clock; the other tracks are taken in `[start, end)`, and `start` becomes 0. `None` keeps
    the clock and everything."""
    comment: str = ""
    """Written as the file's comment tag, where its container holds one."""
    say: Say = warn
    """Gets a line about everything that had to be converted or left out."""

    @cached_property
    def base(self) -> Fraction:
        """Seconds a tick of the output's clock."""
        return _find_common_base(self.source.time_base, self.start or Fraction(0))

    @cached_property
    def colour(self) -> Colour:
        """The colour (matrix, range, primaries, transfer) of the output."""
        return self.source.colour.output

    @property
    def aspect(self) -> Fraction:
        """Width of a pixel in heights; if not 1, it changes with the size, so that the picture keeps its shape."""
        aspect, (width, height) = self.source.sample_aspect_ratio, self.size
        if aspect == 1:
            return aspect
        return (aspect * self.source.width * height / (self.source.height * width)).limit_denominator(1000)

    @property
    def loses_alpha(self) -> bool:
        """True if the source has transparency and the encoding holds none."""
        return self.source.has_alpha and self.encoding.pixel_format not in (CODECS[self.encoding.codec].alpha, "bgra")

    @property
    def limits(self) -> Sequence[str]:
        """Lines about what the result lacks, or where it does not play."""
        lines, (width, height) = [], self.size
        if self.loses_alpha:
            lines.append(f"{self.encoding.suffix} holds no transparency here: it is left out (.mov, .webm and .mkv do)")
        if self.encoding.codec in ("h264", "h265") and self.encoding.pixel_format == CODECS[self.encoding.codec].odd:
            even = f"{width + width % 2}x{height + height % 2}"
            lines.append(f"an odd size needs 4:4:4, which phones and QuickTime do not play: --size {even} is for these")
        return lines

    def add_stream(self, container: Any) -> Any:
        """Adds the encoder for this video to an open container, and returns its stream."""
        return self.encoding.add_stream(
            container, self.source.frame_rate, self.size, self.base, self.aspect, self.colour,
            alpha=self.source.has_alpha,
        )  # fmt: skip

    def convert(self, pixels: Picture, pixel_format: str) -> Any:
        """Converts RGB(A) pixels `[H, W, 3 or 4]` to an FFmpeg frame in the format and colour that is encoded."""
        frame = av.VideoFrame.from_ndarray(
            np.ascontiguousarray(pixels), format="rgba" if pixels.shape[-1] == 4 else "rgb24"
        )
        frame = frame.reformat(
            format=pixel_format, threads=1, interpolation=ACCURATE, **self.encoding.target(self.colour)
        )
        if not is_rgb(pixel_format):
            self.colour.tag(frame)
        return frame

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Turns errors (disk full, folder gone, rights lost) into a VideoError: one line, in the system's own words."""
        try:
            yield
        except (av.FFmpegError, OSError) as error:
            what = error.strerror or type(error).__name__
            raise VideoError(f"{self.path}: cannot be written ({what})", _advise(error)) from error


def _advise(error: OSError | av.FFmpegError) -> str:
    number = error.errno or 0
    if number == errno.ENAMETOOLONG:
        return "choose a shorter name"
    if number == errno.EINVAL or number > MAX_SYSTEM_ERROR:
        return "choose another kind of file"
    return "free space or name another folder"


def _find_common_base(base: Fraction, start: Fraction) -> Fraction:
    """Returns a tick that divides both, so that frames keep their distance from a cut.

    If that tick were tiny, returns `base` or MPEG's tick, whichever is finer.
    """
    common = Fraction(math.gcd(base.numerator * start.denominator, start.numerator * base.denominator), 1)
    common /= base.denominator * start.denominator
    return common if common.denominator <= FINEST else min(base, Fraction(1, FINE))


def sample_bytes(pictures: Sequence[Picture], size: tuple[int, int]) -> int:
    """Returns the bytes that a picture takes at `size` (width, height), in the usual encoding of an mp4."""
    memory, rate = io.BytesIO(), Fraction(25)
    with av.open(memory, "w", format="mp4") as container:
        encoding = choose_encoding("sample.mp4", size)
        stream = encoding.add_stream(container, rate, size, 1 / rate, Fraction(1), Colour(), alpha=False)
        for i, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(resize(picture, size), format="rgb24")
            frame = frame.reformat(format=stream.pix_fmt)
            frame.pts, frame.time_base = i, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return memory.getbuffer().nbytes // len(pictures)
