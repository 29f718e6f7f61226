"""Reads a video from a stream that can be read only once, such as stdin: y4m, MPEG-TS, Matroska, NUT, raw RGB."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av
import numpy as np

from stylize.decode.colour import colour_of
from stylize.decode.container import BROKEN, MAX_RATE, check_size, open_container, video_stream
from stylize.decode.fields import Deinterlacer
from stylize.decode.packets import Damage, to_rgb
from stylize.decode.probe import VideoInfo
from stylize.errors import VideoError
from stylize.frames import Clip, Map, resize

SNIFFED = {b"YUV4MPEG2": "yuv4mpegpipe", b"\x1aE\xdf\xa3": "matroska", b"nut/multimedia": "nut", b"G": "mpegts"}
"""FFmpeg's names of the formats, by the bytes that they begin with."""
STDIN = Path("-")
FIRST = 16
"""Bytes that tell a format."""


class Readable(Protocol):
    """A stream of bytes, such as `sys.stdin.buffer`."""

    def read(self, size: int, /) -> bytes:
        """Returns up to `size` bytes; none at the end."""
        ...


class Peeked:
    """A stream whose first bytes have been looked at; PyAV must not see more of it than `read`, or it would seek."""

    def __init__(self, stream: Readable) -> None:
        # what has come is taken, however little: a live sender's next bytes may be far off
        self._read = getattr(stream, "read1", stream.read)
        self._first = b""
        while len(self._first) < FIRST and (more := stream.read(FIRST - len(self._first))):
            self._first += more
        self.is_empty = not self._first
        self.format = next((name for begin, name in SNIFFED.items() if self._first.startswith(begin)), "")
        """FFmpeg's name of the format; empty if it is not known."""

    def read(self, size: int) -> bytes:
        """Returns up to `size` bytes; none at the end."""
        if self._first:
            taken, self._first = self._first[:size], self._first[size:]
            return taken
        return bytes(self._read(size))


class PipeReader:
    """A source that is read once, from its beginning, as it comes.

    Args:
        stream: the stream, or the file of one that can be sought in.
        raw: width, height and frames a second of raw RGB (8 bits), which says nothing of itself.

    Raises:
        VideoError: the stream is empty, of another format, or shows no picture.
    """

    matte: Map | None = None
    part: tuple[Fraction, Fraction | None] = (Fraction(0), None)
    frame_count: int | None = None

    def __init__(self, stream: Peeked | Path, raw: tuple[int, int, Fraction] | None = None) -> None:
        self.damage, self._waiting = Damage(), deque[Any]()
        self.sound = deque[Any]()
        """Packets of the sound, in the order of their coming; whoever writes the result takes them."""
        try:
            self._container = open_container(stream) if isinstance(stream, Path) else open_pipe(stream, raw)
            self.format = self._container.format.name
            self._stream: Any = video_stream(self._container)
            self.sound_streams = tuple(self._container.streams.audio)
            self._packets = self._container.demux(*(s for s in (self._stream, *self.sound_streams) if s is not None))
            frame = next(self._decode(), None) if self._stream is not None else None
        except (*BROKEN, ValueError) as error:
            raise VideoError("what comes through the pipe is damaged or not a video", "try to play it") from error
        if frame is None:
            raise VideoError("no picture comes through the pipe", "send a video that has some")
        self._waiting.append(frame)
        self.info = describe_stream(STDIN, self._stream, frame)
        self.size = self.info.width, self.info.height

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the frames depend on beside the file."""
        return {}

    def clips(self, length: int = 1, *, skip: int = 0) -> Iterator[Clip]:
        """Yields clips of `length` frames as they come; can be called once.

        A frame is taken to be shown until the next one should come at the stream's rate: waiting for it would be late.
        """
        base, shown = self.info.time_base, 1 / self.info.frame_rate
        numbered = enumerate(self._make_whole(itertools.chain(self._waiting, self._decode())))
        selected = itertools.islice(numbered, skip, None)
        last: Fraction | None = None
        while frames := list(itertools.islice(selected, length)):
            times = []
            for number, frame in frames:
                time = number * shown if frame.pts is None else frame.pts * base - self.info.clock
                last = time if last is None or time > last else last + base
                times.append(last)
            pictures = np.stack([resize(to_rgb(self.info, frame), self.size) for _, frame in frames])
            yield Clip(np.ascontiguousarray(pictures[..., :3]), tuple(times), (shown,) * len(frames), frames[0][0])

    def _decode(self) -> Iterator[Any]:
        while (packet := self._next_packet()) is not None:
            if packet.stream.type == "audio":
                if packet.size:
                    self.sound.append(packet)
                continue
            try:
                yield from packet.decode()
            except av.FFmpegError:
                self.damage.concealed += 1  # a picture less, where a live sender began in the middle

    def _next_packet(self) -> Any:
        try:
            return next(self._packets, None)
        except BROKEN:  # the sender broke off
            return None

    def _make_whole(self, frames: Iterator[Any]) -> Iterator[Any]:
        if not self.info.interlaced:
            yield from frames
            return
        deinterlace = Deinterlacer(self.info.time_base)
        for frame in itertools.chain(frames, [None]):
            yield from deinterlace(frame)

    def __enter__(self) -> PipeReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()


def describe_stream(path: Path, stream: Any, frame: Any) -> VideoInfo:
    """Returns the facts of a stream that is read as it comes, told from its first picture.

    Raises:
        VideoError: it claims to be larger than any real camera's.
    """
    colour = colour_of(frame, stream.codec_context)
    rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
    rate = rate if rate <= MAX_RATE else Fraction(25)
    check_size(path, frame.width, frame.height, 0, rate)
    sideways = frame.rotation % 180 != 0
    width, height = (frame.height, frame.width) if sideways else (frame.width, frame.height)
    return VideoInfo(
        path=path, width=width, height=height, frame_rate=rate, frame_count_from_header=None, duration=None,
        time_base=Fraction(stream.time_base), start=Fraction(0), rotation=frame.rotation,
        sample_aspect_ratio=Fraction(stream.sample_aspect_ratio or 1) or Fraction(1), codec="pictures",
        pixel_format=frame.format.name, colour=colour, untagged_hd=colour.assumed_hd,
        bits=max(component.bits for component in frame.format.components), has_alpha=False,
        clock=(frame.pts or 0) * Fraction(stream.time_base), has_audio=bool(stream.container.streams.audio),
        interlaced=bool(frame.interlaced_frame),
    )  # fmt: skip


def open_pipe(stream: Peeked, raw: tuple[int, int, Fraction] | None = None) -> Any:
    """Opens a stream of bytes as a video; see `PipeReader`."""
    if raw:
        width, height, rate = raw
        check_size(STDIN, width, height, 0, rate)
        options = {"video_size": f"{width}x{height}", "framerate": str(rate), "pixel_format": "rgb24"}
        return av.open(stream, format="rawvideo", options=options)
    if not stream.format:
        what = "nothing comes through the pipe" if stream.is_empty else "what comes through the pipe is not known"
        raise VideoError(what, "send y4m, MPEG-TS, Matroska or NUT; raw RGB with --pipe-size and --pipe-fps")
    return av.open(stream, format=stream.format)


def without_fields(reader: PipeReader) -> None:
    """Leaves interlaced pictures as they are."""
    reader.info = replace(reader.info, interlaced=False)
