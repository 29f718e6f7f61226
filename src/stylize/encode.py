"""Video files out: frames at their exact times, the source's sound packets unchanged, complete or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np

from stylize.container import VideoInfo, open_container
from stylize.errors import StyleError, VideoError
from stylize.frames import Clip, Picture

FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
BT709, LIMITED_RANGE = 1, 1


def check_output(path: str | os.PathLike[str], *, source: str | os.PathLike[str], force: bool) -> Path:
    """That `path` can become a video, found out before any work is done.

    Raises:
        VideoError: unknown extension, no such folder, folder not writable, file exists, or it is the source itself.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise VideoError(f"{path}: cannot write this kind of file", f"end the name in {', '.join(FORMATS)}")
    if path.is_dir():
        raise VideoError(f"{path}: is a folder", "name a file in it")
    if not path.parent.is_dir():
        raise VideoError(f"{path}: the folder {path.parent} does not exist", "make it, or name another")
    if not os.access(path.parent, os.W_OK):
        raise VideoError(f"{path}: the folder {path.parent} is not writable", "name another")
    if path.exists() and Path(source).exists() and path.samefile(source):
        raise VideoError(f"{path}: is the input itself", "give the output another name")
    if path.exists() and not force:
        raise VideoError(f"{path}: exists already", "name another file, or pass --force to replace it")
    return path


def check_encoder(crf: int, preset: str) -> None:
    """Raises StyleError where x264 would not understand its settings."""
    if not 0 <= crf <= 51:
        raise StyleError(f"crf {crf} is out of range", "use 0 to 51")
    if preset not in PRESETS:
        raise StyleError(f"unknown preset '{preset}'", f"use one of {', '.join(PRESETS)}")


class VideoWriter:
    """Encodes H.264 in BT.709 and copies the sound of the source; a context manager.

    The file appears under its name when the block ends without an exception; otherwise nothing is left.

    Args:
        path: ends in .mp4, .mov or .mkv.
        source: where time base, pixel aspect and sound come from.
        size: width and height of the frames. Odd sizes are kept exactly, in 4:4:4.
        crf: constant rate factor of x264, 0 (lossless) to 51; 17 is visually lossless.
        preset: x264's speed, "ultrafast" to "veryslow".
        start, end: seconds on the source's clock; sound packets in `[start, end)` are copied, frames at `start` are
            written at 0. `None` keeps the clock and all sound.

    Raises:
        VideoError: the file cannot be written, or its container cannot hold the source's sound.
        StyleError: crf or preset out of range.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        source: VideoInfo,
        size: tuple[int, int],
        *,
        crf: int = 17,
        preset: str = "medium",
        start: Fraction | None = None,
        end: Fraction | None = None,
    ) -> None:
        check_encoder(crf, preset)
        self.path, self.source, self.size = Path(path), source, size
        self._options = {"crf": str(crf), "preset": preset}
        self._start, self._end = start, end
        self._part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        self._durations: dict[int, int] = {}
        self._ticks = 0
        self._last: Any = None  # held back: in mp4 it must make up for what reordered frames lack in duration
        self._first_dts: Any = None
        self._first_pts: Any = None
        self._sums_durations = FORMATS.get(self.path.suffix.lower()) in ("mp4", "mov")
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo, self._explained():
            undo.callback(self._discard)
            kind = FORMATS[self.path.suffix.lower()]
            flags = {"movflags": "+faststart"} if kind in ("mp4", "mov") else {}
            self._container = av.open(str(self._part), "w", format=kind, options=flags)
            self._video = self._add_video()
            self._sound = self._add_sound()
            undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                with self._explained():
                    self._finish()
        finally:
            self._discard()

    def write(self, clip: Clip) -> None:
        """Encodes the clip's frames at the clip's times."""
        with self._explained():
            for picture, time, duration in zip(clip.frames, clip.times, clip.durations, strict=True):
                self._write(picture, time - (self._start or 0), duration)

    def _write(self, picture: Picture, time: Fraction, duration: Fraction) -> None:
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24").reformat(
            format=self._video.pix_fmt, dst_colorspace=BT709, dst_color_range=LIMITED_RANGE, threads=1
        )
        base = self._video.codec_context.time_base
        frame.time_base, frame.pts = base, round(time / base)
        self._durations[frame.pts] = ticks = max(1, round(duration / base))
        self._first_pts = frame.pts if self._first_pts is None else self._first_pts
        self._ticks = frame.pts + ticks - self._first_pts
        self._mux(self._video.encode(frame))
        self._copy_sound(until=time)

    def _add_video(self) -> Any:
        stream = self._container.add_stream("libx264", rate=self.source.frame_rate, options=self._options)
        stream.width, stream.height = self.size
        stream.pix_fmt = "yuv420p" if self.size[0] % 2 == 0 and self.size[1] % 2 == 0 else "yuv444p"
        context = stream.codec_context
        stream.time_base = context.time_base = self.source.time_base
        context.sample_aspect_ratio = self.source.sample_aspect_ratio
        context.color_primaries = context.color_trc = context.colorspace = BT709
        context.color_range = LIMITED_RANGE
        return stream

    def _add_sound(self) -> Iterator[Any]:
        """Declares the sound streams; returns their packets in the order of the file, ready to be muxed."""
        if not self.source.has_audio:
            return iter(())
        source = self._resources.enter_context(open_container(self.source.path))
        copies = {}
        for stream in source.streams.audio:
            try:
                copies[stream.index] = self._container.add_stream_from_template(stream)
            except ValueError as error:
                codec, suffix = stream.codec_context.name, self.path.suffix
                raise VideoError(
                    f"{self.path}: {suffix} cannot hold the source's sound ({codec})",
                    "choose another of .mp4, .mov and .mkv",
                ) from error
        return self._sound_packets(source, copies)

    def _sound_packets(self, source: Any, copies: dict[int, Any]) -> Iterator[Any]:
        for packet in source.demux(source.streams.audio):
            if packet.dts is None or packet.pts is None:
                continue
            time = packet.pts * packet.time_base
            if self._start is not None:
                shift = round(self._start / packet.time_base)
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            if (self._start is None or time >= self._start) and (self._end is None or time < self._end):
                packet.stream = copies[packet.stream.index]
                yield packet

    def _copy_sound(self, until: Fraction | None) -> None:
        """Muxes sound up to the pictures' time, so that the file is interleaved and little waits in memory."""
        for packet in self._sound:
            self._container.mux(packet)
            if until is not None and packet.pts * packet.time_base > until:
                return

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            packet.duration = self._durations.pop(packet.pts, 0)
            if self._last is not None:
                self._container.mux(self._last)
            self._first_dts = packet.dts if self._first_dts is None else self._first_dts
            self._last = packet

    def _finish(self) -> None:
        self._mux(self._video.encode(None))
        if self._last is not None:
            if self._sums_durations:
                self._last.duration = self._ticks - (self._last.dts - self._first_dts)
            self._container.mux(self._last)
        self._copy_sound(until=None)
        self._container.close()
        os.replace(self._part, self.path)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Disk full, folder gone, rights lost: the system's own words in one line."""
        try:
            yield
        except (av.FFmpegError, OSError) as error:
            raise VideoError(
                f"{self.path}: cannot be written ({error.strerror})", "free space or name another folder"
            ) from error

    def _discard(self) -> None:
        with contextlib.suppress(av.FFmpegError, OSError, AttributeError):
            self._container.close()
        self._part.unlink(missing_ok=True)
        self._resources.close()
