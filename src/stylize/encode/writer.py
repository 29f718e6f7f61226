"""Videos out: frames at their exact times with all that the source holds beside them, complete or not at all."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np

from stylize.decode import VideoInfo
from stylize.decode.colour import ACCURATE
from stylize.encode.atomic import atomically, to_disk
from stylize.encode.codecs import CODECS, Encoding, choose_encoding, is_rgb
from stylize.encode.join import join, rehearse
from stylize.encode.segments import LENGTH, Manifest, Segment, WorkFolder, with_segment, write_times
from stylize.encode.worker import Worker
from stylize.errors import Say, VideoError, VideoWarning
from stylize.frames import Clip

HALF = Fraction(1, 2)
OWN_ERRORS = 10_000
"""FFmpeg's own error numbers are larger, the system's are smaller."""
FINE, FINEST = 90_000, 1_000_000
"""Ticks a second: MPEG's clock, and the most that a cut may lead to."""


class VideoWriter:
    """Encodes frames; sound, subtitles, chapters and tags come from the source. A context manager.

    The file appears under its name when the block ends without an exception. Until then the frames are in segments in
    a hidden folder beside it, which is gone afterwards; with `keep`, a failed run leaves its whole segments there.

    Args:
        path: the kind of file says how it is encoded: .mp4, .m4v (H.264), .mov (ProRes), .mkv (FFV1), .webm (VP9),
            .gif, or numbered pictures (`frame-%05d.png`).
        source: where time base, pixel aspect, colour and the other tracks come from.
        size: width and height of the frames. Odd sizes are kept exactly.
        encoding: other codec or quality, from `choose_encoding`.
        crf, preset: for the usual encoding of this kind of file, if `encoding` is left out.
        start, end: seconds on the source's clock; the other tracks' `[start, end)` is taken, frames at `start` are
            written at 0. `None` keeps the clock and everything.
        say: is told in a line of what had to be converted or left out; a warning if left out.
        manifest: an unfinished run to go on from.
        comment: is written as the file's, where its container holds one.

    Raises:
        VideoError: the file cannot be written, or its container cannot hold what it is to.
        StyleError: crf or preset out of range.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        source: VideoInfo,
        size: tuple[int, int],
        *,
        encoding: Encoding | None = None,
        crf: int | None = None,
        preset: str = "medium",
        start: Fraction | None = None,
        end: Fraction | None = None,
        say: Say | None = None,
        identity: Mapping[str, Any] | None = None,
        manifest: Manifest | None = None,
        keep: bool = False,
        comment: str = "",
    ) -> None:
        self.path, self.source, self.size = Path(path), source, size
        self.encoding = encoding or choose_encoding(path, size, crf=crf, preset=preset, alpha=source.has_alpha)
        self._start, self._end, self._say, self._keep = start, end, say or _warn, keep
        self._folder, self._identity = WorkFolder(self.path), identity or {}
        self.manifest = manifest or Manifest(self._identity)
        self._resumed = manifest is not None
        self.counts: Mapping[str, int] = self.manifest.counts
        self._open: _OpenSegment | None = None
        self._worker, self.comment = Worker(), comment
        self._unsaved = 0  # frames since the last segment ended
        self._colour = source.colour.written
        self.base = _common_base(source.time_base, start or Fraction(0))
        if source.has_alpha and self.encoding.pixel_format not in (CODECS[self.encoding.codec].alpha, "bgra"):
            self._say(f"{self.encoding.suffix} holds no transparency here: it is left out (.mov, .webm and .mkv do)")

    def __enter__(self) -> Self:
        with self.explained():
            rehearse(self)
            self._take_folder()
        self._worker.__enter__()
        return self

    def _take_folder(self) -> None:
        """Begins the run's folder, or goes on in it; a failure leaves it as it was found."""
        try:
            if not self._resumed:
                if not self._keep and (left := self._folder.manifest()) is not None and left.segments:
                    what = f"{self.path}: an unfinished run is there, {left.frames} frames of it done"
                    raise VideoError(what, "go on with it by --resume, or name another file")
                self._folder.begin(self._identity)
            else:
                self._folder.claim()
                self._folder.save(self.manifest)
        except OSError:
            if self._folder.is_ours and not self._resumed:
                self._folder.remove()
            self._folder.release()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        whole = False
        try:
            with self.explained():
                self._worker.__exit__(kind, error, trace)
                if kind is None:
                    if self._open is not None:
                        self._end_segment(None, self.counts)
                    join(self.path, self._folder.path, self.manifest, self)
                    whole = True
        finally:
            if self._open is not None:
                self._open.close()
            if whole or not self._keep or not self.manifest.segments:
                self._folder.remove()
            else:
                self._folder.release()

    def write(self, clip: Clip) -> None:
        """Encodes the clip's frames at the clip's times, in a thread of its own."""
        self._unsaved += len(clip)
        with self.explained():
            self._worker.do(lambda: self._encode(clip))

    def checkpoint(self, state: Callable[[], bytes] | None, counts: Mapping[str, int]) -> None:
        """A run can go on from here: ends the segment, if it is long enough.

        Args:
            state: makes what the rest of the run needs of this part. It is asked in this thread: once torch has worked
                in a second one, OpenMP's threads wait by sleeping, and the networks lose a quarter of their speed.
            counts: what the report sums up, so far.
        """
        if self._unsaved < LENGTH:
            return
        content, self._unsaved = state() if state is not None else None, 0
        with self.explained():
            self._worker.do(lambda: self._end_segment(content, counts))

    def _encode(self, clip: Clip) -> None:
        if self._open is None:
            number = len(self.manifest.segments)
            self._open = _OpenSegment(self._folder.path / f"{number:05d}.segment", self)
        for i in range(len(clip)):
            pixels = clip.frames[i]
            if clip.alpha is not None:
                pixels = np.concatenate([pixels, clip.alpha[i][..., None]], -1)
            self._open.encode(pixels, clip.times[i] - (self._start or 0), clip.durations[i])

    def _end_segment(self, state: bytes | None, counts: Mapping[str, int]) -> None:
        assert self._open is not None
        segment = self._open.finish()
        self._open, name = None, ""
        if state is not None:
            name = f"state-{len(self.manifest.segments) + 1:05d}.safetensors"
            atomically(self._folder.path / name, state)
        manifest = with_segment(self.manifest, segment, name, counts)
        self._folder.save(manifest)
        self.manifest = manifest

    def add_stream(self, container: Any) -> Any:
        """The encoder for this video on an open container."""
        return self.encoding.add_stream(
            container, self.source.frame_rate, self.size, self.base, self.source.sample_aspect_ratio,
            self._colour, alpha=self.source.has_alpha,
        )  # fmt: skip

    def converted(self, pixels: np.ndarray[Any, np.dtype[np.uint8]], pixel_format: str) -> Any:
        """Pixels as a frame of FFmpeg's, in the format and colour that is encoded."""
        frame = av.VideoFrame.from_ndarray(
            np.ascontiguousarray(pixels), format="rgba" if pixels.shape[-1] == 4 else "rgb24"
        )
        frame = frame.reformat(
            format=pixel_format, threads=1, interpolation=ACCURATE, **self.encoding.target(self._colour)
        )
        if not is_rgb(pixel_format):
            self._colour.tag(frame)
        return frame

    @property
    def part(self) -> tuple[Fraction | None, Fraction | None]:
        """Start and end on the source's clock, as given."""
        return self._start, self._end

    @property
    def say(self) -> Say:
        """Where lines about other tracks go."""
        return self._say

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Disk full, folder gone, rights lost: the system's own words in one line."""
        try:
            yield
        except (av.FFmpegError, OSError) as error:
            what = error.strerror or type(error).__name__
            raise VideoError(f"{self.path}: cannot be written ({what})", _advice(error)) from error


class _OpenSegment:
    """A segment that is being encoded; its times start at 0, the exact ones are kept beside it."""

    def __init__(self, path: Path, writer: VideoWriter) -> None:
        self._path, self._writer = path, writer
        self._container = av.open(str(path), "w", format=writer.encoding.carrier.format)
        self._stream = writer.add_stream(self._container)
        self._base = writer.base
        self._first: int | None = None
        self._durations: dict[int, int] = {}
        self._packets: list[tuple[int, int, int]] = []
        self.frames = 0

    def encode(self, pixels: np.ndarray[Any, np.dtype[np.uint8]], time: Fraction, duration: Fraction) -> None:
        frame = self._writer.converted(pixels, self._stream.pix_fmt)
        ticks = math.floor(time / self._base + HALF)  # `round` takes halves to even ticks, two frames to one
        self._first = ticks if self._first is None else self._first
        frame.time_base, frame.pts = self._base, ticks - self._first
        self._durations[ticks] = max(1, round(duration / self._base))
        self.frames += 1
        self._mux(self._stream.encode(frame))

    def finish(self) -> Segment:
        """Closes the file and makes sure that it is on the disk."""
        self._mux(self._stream.encode(None))
        self._container.close()
        to_disk(self._path)
        segment = Segment(self._path.name, self.frames)
        write_times(self._path.parent, segment, self._packets)
        return segment

    def close(self) -> None:
        with contextlib.suppress(av.FFmpegError, OSError):
            self._container.close()

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            first = self._first or 0
            scale = packet.time_base / self._base
            pts, dts = round(packet.pts * scale) + first, round(packet.dts * scale) + first
            self._packets.append((pts, dts, self._durations.pop(pts, 1)))
            self._container.mux(packet)


def _advice(error: OSError | av.FFmpegError) -> str:
    number = error.errno or 0
    if number == errno.ENAMETOOLONG:
        return "choose a shorter name"
    if number == errno.EINVAL or number > OWN_ERRORS:
        return "choose another kind of file"
    return "free space or name another folder"


def _common_base(base: Fraction, start: Fraction) -> Fraction:
    """A tick of which both are multiples, so that frames keep their distance from a cut; a fine one if it were tiny."""
    common = Fraction(math.gcd(base.numerator * start.denominator, start.numerator * base.denominator), 1)
    common /= base.denominator * start.denominator
    return common if common.denominator <= FINEST else min(base, Fraction(1, FINE))


def _warn(line: str) -> None:
    warnings.warn(line, VideoWarning, stacklevel=3)
