"""Feeds of live sources: pictures as they come, each with its time and turned into RGB only if somebody asks for it."""

from __future__ import annotations

import errno
import functools
import itertools
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import av

from stylize.decode.colour import Colour
from stylize.decode.container import BROKEN, open_container, video_stream
from stylize.decode.fields import Deinterlacer
from stylize.decode.live_address import LiveAddress
from stylize.decode.live_sound import SoundPacket, SoundTrack, describe_sound
from stylize.decode.packets import to_rgb
from stylize.decode.pipe import Peeked, Readable, describe_stream, open_pipe
from stylize.decode.probe import VideoInfo
from stylize.decode.timecode import SIZE, draw_timecode
from stylize.errors import VideoError
from stylize.frames import Picture

OPEN_SECONDS, READ_SECONDS = 10.0, 5.0
"""Seconds until a source that does not answer, and a stream that stands still, count as lost."""
TEST_RATE = 30
"""Pictures a second of the test picture."""


class LivePicture(NamedTuple):
    """A picture as it comes."""

    time: Fraction | None
    """Seconds on the stream's clock; `None` if it has none."""
    to_rgb: Callable[[], Picture]
    """Makes the picture of it, uint8 RGB `[H, W, 3]`."""
    info: VideoInfo
    """The facts of the stream."""


class Feed(Protocol):
    """An open source."""

    tracks: tuple[SoundTrack, ...]
    """The tracks of sound."""

    def pictures(self) -> Iterator[LivePicture | SoundPacket]:
        """Yields pictures as they come, and packets of sound between them on the stream's clock, until it ends.

        Raises:
            av.FFmpegError: it is lost.
        """
        ...

    def close(self) -> None:
        """Gives the source back."""
        ...


def open_feed(address: LiveAddress, stdin: Readable | None = None) -> Feed:
    """Opens a source.

    Args:
        stdin: what `pipe:` reads.

    Raises:
        VideoError: it is not there, or sends no picture.
    """
    if address.kind == "test":
        return _TestFeed()
    return _StreamFeed(address, stdin)


class _StreamFeed:
    """A camera, a screen, a stream or a file, read with PyAV."""

    def __init__(self, address: LiveAddress, stdin: Readable | None) -> None:
        self._address, self._container = address, _open(address, stdin)
        self._stream = video_stream(self._container)
        if self._stream is None:
            self._container.close()
            raise VideoError(f"{address.text}: has no pictures", "name a source that has some")
        self._stream.thread_type = "SLICE"  # threads for whole frames hold several of them back
        self._stream.codec_context.flags |= av.codec.context.Flags.low_delay
        has_sound = address.kind in ("stream", "pipe")
        known = describe_sound(self._container) if has_sound else {}
        self.tracks, self._numbers = tuple(known.values()), {index: i for i, index in enumerate(known)}
        self._paced = address.kind == "loop"

    def pictures(self) -> Iterator[LivePicture | SoundPacket]:
        info, deinterlace = None, Deinterlacer(Fraction(self._stream.time_base))
        for round_number in itertools.count():
            began = time.monotonic()
            for frame in self._decode():
                if isinstance(frame, SoundPacket):
                    yield frame
                    continue
                if info is None or (info.width, info.height) != _upright_size(frame):
                    info = describe_stream(Path(self._address.text), self._stream, frame)
                for whole in deinterlace(frame) if info.interlaced else [frame]:
                    moment = None if whole.pts is None else whole.pts * info.time_base - info.clock
                    self._wait(began, moment)
                    shown = None if self._paced and round_number else moment  # the second round's times begin anew
                    yield LivePicture(shown, functools.partial(_convert, info, whole), info)
            if not self._paced or info is None:
                return
            time.sleep(float(1 / info.frame_rate))
            self._container.seek(0)
            self._stream.codec_context.flush_buffers()

    def _wait(self, began: float, moment: Fraction | None) -> None:
        """Waits until a picture of a file is due; a live source comes when it comes."""
        if self._paced and moment is not None:
            time.sleep(max(0.0, began + float(moment) - time.monotonic()))

    def _decode(self) -> Iterator[Any]:
        """Yields frames and packets of sound; a damaged packet costs its picture."""
        sound = [stream for stream in self._container.streams.audio if stream.index in self._numbers]
        for packet in self._container.demux(self._stream, *sound):
            if (number := self._numbers.get(packet.stream.index)) is not None:
                if packet.size and packet.pts is not None:
                    base = Fraction(packet.time_base)
                    time_and_length = packet.pts * base, (packet.duration or 0) * base
                    yield SoundPacket(number, bytes(packet), *time_and_length, base)
                continue
            try:
                yield from packet.decode()
            except (av.InvalidDataError, av.EOFError):
                continue

    def close(self) -> None:
        self._container.close()


def _upright_size(frame: Any) -> tuple[int, int]:
    return (frame.height, frame.width) if frame.rotation % 180 else (frame.width, frame.height)


def _convert(info: VideoInfo, frame: Any) -> Picture:
    return to_rgb(info, frame)[..., :3]


class _TestFeed:
    """A test picture with the time in it."""

    tracks: tuple[SoundTrack, ...] = ()

    def pictures(self) -> Iterator[LivePicture]:
        width, height = SIZE
        info = VideoInfo(
            path=Path("test:"), width=width, height=height, frame_rate=Fraction(TEST_RATE),
            frame_count_from_header=None, duration=None, time_base=Fraction(1, 1000), start=Fraction(0),
            rotation=0, sample_aspect_ratio=Fraction(1),
            codec="pictures", pixel_format="rgb24", colour=Colour(), untagged_hd=False, bits=8, has_alpha=False,
            has_audio=False,
        )  # fmt: skip
        began = time.monotonic()
        for number in itertools.count():
            due = Fraction(number, TEST_RATE)
            time.sleep(max(0.0, began + float(due) - time.monotonic()))
            now = round(time.monotonic() * 1000)
            yield LivePicture(due, functools.partial(draw_timecode, now), info)

    def close(self) -> None:
        pass


def _open(address: LiveAddress, stdin: Readable | None) -> Any:
    try:
        if address.kind == "loop":
            return open_container(Path(address.url))
        if address.kind == "pipe":
            if stdin is None:
                raise VideoError(f"{address.text}: nothing is piped in", "use it on the command line")
            return open_pipe(Peeked(stdin))
        return av.open(
            address.url, format=address.format, options=dict(address.options), timeout=(OPEN_SECONDS, READ_SECONDS),
            metadata_errors="replace",
        )  # fmt: skip
    except (*BROKEN, OSError, ValueError) as error:
        raise VideoError(f"{address.text}: {explain_loss(error)}", _advise(address, error)) from error


def explain_loss(error: Exception | None) -> str:
    """Says in a few words why a source cannot be read any more."""
    if error is None:
        return "has ended"
    if isinstance(error, av.ExitError | av.TimeoutError):
        return "nothing comes"
    if isinstance(error, av.InvalidDataError):
        return "is not a video that FFmpeg can read"
    if isinstance(error, av.ProtocolNotFoundError):
        return "this protocol is not in PyAV's build of FFmpeg here"
    return str(getattr(error, "strerror", None) or type(error).__name__).lower()


def _advise(address: LiveAddress, error: Exception) -> str:
    number = getattr(error, "errno", 0)
    if address.kind == "camera":
        if number == errno.EBUSY:
            return "close the program that uses the camera"
        return "plug the camera in, allow its use, or name another: camera:1"
    if address.kind == "screen":
        return "name the display as screen:0, and allow its recording"
    return "check the address, and that it is being sent"
