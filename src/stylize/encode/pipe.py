"""Writes a video into a stream as it is made: y4m, MPEG-TS, Matroska or NUT, for the next program of a pipe."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from types import TracebackType
from typing import Any, Literal, Protocol, Self, TypeAlias

import av

from stylize.decode import VideoInfo
from stylize.encode.codecs import choose_encoding
from stylize.encode.target import Target, warn
from stylize.errors import Say, VideoError
from stylize.frames import Clip

PipeFormat: TypeAlias = Literal["y4m", "mpegts", "matroska", "nut"]
MUXERS: dict[PipeFormat, str] = {"y4m": "yuv4mpegpipe", "mpegts": "mpegts", "matroska": "matroska", "nut": "nut"}
IN_MPEGTS = {"aac", "ac3", "eac3", "mp2", "mp2float", "mp3", "mp3float", "opus", "dts", "dca", "truehd"}
"""Decoders of sound that MPEG-TS holds; FFmpeg itself says so of a few only."""
HALF = Fraction(1, 2)


class Writable(Protocol):
    """A stream of bytes, such as `sys.stdout.buffer`."""

    def write(self, content: Any, /) -> int | None:
        """Takes bytes, and returns how many."""
        ...

    def flush(self) -> None:
        """Hands them on."""
        ...


class _Sink:
    """What PyAV sees of a stream: it must not seek in it. Remembers that the reader has gone."""

    def __init__(self, stream: Writable) -> None:
        self._stream = stream
        self.is_closed = False
        self.error: OSError | None = None

    def write(self, content: bytes) -> int:
        rest = memoryview(bytes(content))
        while rest and not self.is_closed and self.error is None:
            try:
                rest = rest[self._stream.write(rest) or 0 :]
                self._stream.flush()
            except (BrokenPipeError, ConnectionResetError):
                self.is_closed = True
            except OSError as error:
                self.error = error
        return len(content)


class PipeWriter:
    """Encodes frames into a stream, H.264 but for y4m, with the sound of the source. A context manager.

    Args:
        kind: the format.
        source: of the frames; gives rate and colour.
        size: width and height of the frames.
        sound: streams of the source, whose packets are written unchanged.
        say: gets a line about what is left out.

    Raises:
        VideoError: the format cannot hold the frames.
        StyleError: crf or preset is out of range.
    """

    def __init__(
        self,
        stream: Writable,
        kind: PipeFormat,
        source: VideoInfo,
        size: tuple[int, int],
        *,
        sound: Sequence[Any] = (),
        crf: int | None = None,
        preset: str = "veryfast",
        say: Say | None = None,
    ) -> None:
        encoding = choose_encoding("pipe.mkv", size, codec="h264", crf=crf, preset=preset, rate=source.frame_rate)
        self._target = Target(source.path, source, size, encoding)
        self._sink = _Sink(stream)
        # nothing waits for a full buffer
        self._container = av.open(self._sink, "w", format=MUXERS[kind], options={"flush_packets": "1"})
        if kind == "y4m":
            self._video = self._container.add_stream("rawvideo", rate=source.frame_rate)
            self._video.width, self._video.height = size
            self._video.pix_fmt = "yuv420p" if size[0] % 2 == size[1] % 2 == 0 else "yuv444p"
            self._base = 1 / source.frame_rate
            self._video.codec_context.sample_aspect_ratio = self._target.aspect
            self._video.time_base = self._video.codec_context.time_base = self._base
        else:
            self._video, self._base = self._target.add_stream(self._container), self._target.base
        self._clock = Fraction(0) if kind == "y4m" else source.clock  # the sound keeps its times
        self._sound, self._last = dict[int, Any](), -1
        self._add_sound(sound, kind, say or warn)

    def _add_sound(self, sound: Sequence[Any], kind: PipeFormat, say: Say) -> None:
        for stream in sound:
            name = stream.codec_context.name if stream.codec_context is not None else "unknown"
            try:
                held = IN_MPEGTS if kind == "mpegts" else self._container.supported_codecs
                if kind == "y4m" or name not in held:
                    raise ValueError(name)
                self._sound[stream.index] = self._container.add_stream_from_template(stream, opaque=True)
            except (ValueError, av.FFmpegError):
                say(f"{kind} does not hold the sound ({name}): it is left out (--pipe-format matroska takes most)")

    @property
    def is_closed(self) -> bool:
        """True if whoever read the stream has gone."""
        return self._sink.is_closed

    def write(self, clip: Clip) -> None:
        """Encodes the clip's frames; y4m has no times, so they go on at the source's rate."""
        for picture, time in zip(clip.frames, clip.times, strict=True):
            frame = self._target.convert(picture, self._video.pix_fmt)
            ticks = max(self._last + 1, math.floor((time + self._clock) / self._base + HALF))
            frame.time_base, frame.pts = self._base, ticks
            self._last = ticks
            self._mux(self._video.encode(frame))

    def write_sound(self, packet: Any) -> None:
        """Writes a packet of the source's sound, if the format holds it."""
        stream = self._sound.get(packet.stream.index)
        if stream is not None:
            packet.stream = stream
            self._mux([packet])

    def _mux(self, packets: Sequence[Any]) -> None:
        for packet in packets:
            try:
                self._container.mux(packet)
            except av.FFmpegError as error:
                if not self.is_closed:
                    what = f"the pipe cannot be written ({error.strerror})"
                    raise VideoError(what, "try --pipe-format nut") from error
        self._check()

    def _check(self) -> None:
        if self._sink.error is not None:
            raise VideoError(f"the pipe cannot be written ({self._sink.error.strerror})", "free space")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error_type is None:
            self._mux(self._video.encode(None))
        self._container.close()
        if error_type is None:
            self._check()
