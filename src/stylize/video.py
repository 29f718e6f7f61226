"""Video files in: what a file says of itself, and its frames with their exact times, a clip at a time."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import av
import cv2
import numpy as np

from stylize.errors import DamagedVideo, VideoError
from stylize.frames import Clip, Picture

Backend = Literal["auto", "decord", "av"]
RawFrame = tuple[int, int, Picture]
"""Presentation time and duration in ticks of the stream's time base, and the picture."""

UNSPECIFIED_COLOUR = 2  # AVCOL_SPC_UNSPECIFIED
DECORD_CONTAINERS = {".mp4", ".m4v", ".mov", ".mkv", ".webm"}
DECORD_CODECS = {"h264", "hevc", "vp8", "vp9"}


@dataclass(frozen=True)
class VideoInfo:
    """What a video file says of itself, checked against its first frame."""

    path: Path
    width: int
    """As shown, that is after rotation."""
    height: int
    frame_rate: Fraction
    """Average frames a second; single frames may be shown longer or shorter."""
    frame_count_from_header: int | None
    """`None` where the container does not say; headers can be wrong."""
    duration: Fraction | None
    """Seconds, of the longest stream, from the header."""
    time_base: Fraction
    """Seconds a tick: every frame time is a multiple of it."""
    start: Fraction
    """Time of the first frame in seconds."""
    rotation: int
    """Degrees that the file asks to turn its pictures by, already applied to all that is read."""
    sample_aspect_ratio: Fraction
    codec: str
    pixel_format: str
    untagged_hd: bool
    """No colour matrix given and HD: read as BT.709, where decoders by themselves assume BT.601."""
    has_audio: bool

    @property
    def frame_count(self) -> int | None:
        """The header's count, or an estimate from duration and rate, for progress and estimates only."""
        if self.frame_count_from_header:
            return self.frame_count_from_header
        return max(1, round(self.duration * self.frame_rate)) if self.duration else None


def open_container(path: Path) -> Any:
    """Opens a local file for reading; never treats a name as a protocol."""
    if not path.exists():
        raise VideoError(f"{path}: no such file", "check the name and the folder")
    if not path.is_file():
        raise VideoError(f"{path}: not a file", "name one video file")
    try:
        return av.open(f"file:{path.absolute()}")
    except (av.FFmpegError, OSError) as error:
        if isinstance(error, PermissionError):
            raise VideoError(f"{path}: permission denied", "make the file readable") from error
        what = "is empty" if path.stat().st_size == 0 else "not a video that FFmpeg can read, or truncated"
        raise VideoError(f"{path}: {what}", "try to play it, or download it again") from error


def probe(path: str | os.PathLike[str]) -> VideoInfo:
    """Reads the header and the first frame.

    Raises:
        VideoError: no such file, not a video, no video stream, or no frame in it.
    """
    path = Path(path)
    with open_container(path) as container:
        if not container.streams.video:
            raise VideoError(f"{path}: has no video stream", "name a file with pictures in it")
        stream = container.streams.video[0]
        try:
            frame = next(container.decode(stream), None)
        except av.FFmpegError as error:
            raise DamagedVideo(f"{path}: its first frame cannot be decoded", "download or record it again") from error
        if frame is None:
            raise VideoError(f"{path}: has no frames", "name a video that has some")
        sideways = frame.rotation % 180 != 0
        hd = frame.height >= 720 or frame.width >= 1280
        return VideoInfo(
            path=path,
            width=frame.height if sideways else frame.width,
            height=frame.width if sideways else frame.height,
            frame_rate=Fraction(stream.average_rate or stream.guessed_rate or 25),
            frame_count_from_header=stream.frames or None,
            duration=Fraction(container.duration, av.time_base) if container.duration else None,
            time_base=Fraction(stream.time_base),
            start=(frame.pts or 0) * Fraction(stream.time_base),
            rotation=frame.rotation,
            sample_aspect_ratio=Fraction(stream.sample_aspect_ratio or 1) or Fraction(1),
            codec=stream.codec_context.name,
            pixel_format=frame.format.name,
            untagged_hd=hd and int(frame.colorspace) == UNSPECIFIED_COLOUR,
            has_audio=bool(container.streams.audio),
        )


def decord_is_exact(info: VideoInfo) -> bool:
    """Whether decord reads this file exactly as PyAV does (measured: see docs/decoding.md)."""
    return (
        info.path.suffix.lower() in DECORD_CONTAINERS
        and info.codec in DECORD_CODECS
        and info.pixel_format == "yuv420p"
        and not info.untagged_hd
        and info.rotation == 0
        and info.start == 0
        and importlib.util.find_spec("decord") is not None
    )


class VideoReader:
    """The frames of a video file, a clip at a time; as a context manager, it closes what it opened.

    Args:
        path: any file that FFmpeg reads.
        start, end: seconds from the first frame; frames shown in `[start, end)` are read.
        size: width and height that frames are resized to.
        backend: "av", "decord", or "auto", which takes decord where it is exact.

    Raises:
        VideoError: the file cannot be read; the backend is not installed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        start: float | None = None,
        end: float | None = None,
        size: tuple[int, int] | None = None,
        backend: Backend = "auto",
    ) -> None:
        self.info = probe(path)
        self.size = size or (self.info.width, self.info.height)
        self._first = self.info.start + _seconds(start or 0)
        self._last = None if end is None else self.info.start + _seconds(end)
        if (start is not None and start < 0) or (self._last is not None and self._last <= self._first):
            raise VideoError(f"start {start} and end {end} leave no frame", "give seconds with 0 <= start < end")
        if backend == "auto":
            backend = "decord" if decord_is_exact(self.info) else "av"
        if backend == "decord" and importlib.util.find_spec("decord") is None:
            raise VideoError("decord is not installed", "choose the backend 'av'")
        self.backend = backend
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.close()

    @property
    def part(self) -> tuple[Fraction, Fraction | None]:
        """Start and end of what is read, in seconds on the file's own clock; `None` is the end of the file."""
        return self._first, self._last

    @property
    def frame_count(self) -> int | None:
        """How many frames there will be, as far as the header tells; for progress and estimates only."""
        info = self.info
        if info.frame_count is None or (self._first == info.start and self._last is None):
            return info.frame_count
        end = info.start + info.frame_count / info.frame_rate
        seconds = (end if self._last is None else min(end, self._last)) - self._first
        return max(1, round(seconds * info.frame_rate))

    def clips(self, length: int = 8) -> Iterator[Clip]:
        """Clips of `length` frames, the last one shorter.

        Raises:
            DamagedVideo: the file ends early or a frame cannot be decoded.
            VideoError: no frame lies between start and end.
        """
        frames: list[RawFrame] = []
        index = 0
        for frame in self._selected():
            frames.append(frame)
            if len(frames) == length:
                yield self._clip(frames, index)
                index, frames = index + length, []
        if frames:
            yield self._clip(frames, index)
        elif index == 0:
            raise VideoError(f"{self.info.path}: no frame between start and end", "choose another range")

    def _clip(self, frames: list[RawFrame], index: int) -> Clip:
        pictures = np.stack([self._resized(picture) for _, _, picture in frames])
        times = tuple(pts * self.info.time_base for pts, _, _ in frames)
        durations = tuple(duration * self.info.time_base for _, duration, _ in frames)
        return Clip(pictures, times, durations, index)

    def _resized(self, picture: Picture) -> Picture:
        height, width = picture.shape[:2]
        if (width, height) == self.size:
            return picture
        shrinks = self.size[0] * self.size[1] < width * height
        way = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        return np.asarray(cv2.resize(picture, self.size, interpolation=way), np.uint8)

    def _selected(self) -> Iterator[RawFrame]:
        frames = self._decord_frames() if self.backend == "decord" else self._av_frames()
        for pts, duration, picture in frames:
            if self._last is not None and pts * self.info.time_base >= self._last:
                return
            if pts * self.info.time_base >= self._first:
                yield pts, duration, picture

    def _av_frames(self) -> Iterator[RawFrame]:
        """Each frame once its successor is known, because that tells how long it is shown."""
        tick = 1 / (self.info.frame_rate * self.info.time_base)
        waiting: Any = None
        for frame in self._decoded_from_start():
            if frame.pts is None:
                frame.pts = 0 if waiting is None else waiting.pts + round(tick)
            if waiting is not None:
                frame.pts = max(frame.pts, waiting.pts + 1)
                yield waiting.pts, frame.pts - waiting.pts, self._rgb(waiting)
            waiting = frame
        if waiting is not None:
            yield waiting.pts, waiting.duration or max(1, round(tick)), self._rgb(waiting)

    def _decoded_from_start(self) -> Iterator[Any]:
        """Frames from a little before the start on; from the very first where the container cannot seek exactly."""
        if self._first > self.info.start:
            frames = self._decoded(*self._opened(int(self._first / self.info.time_base)))
            first = next(frames, None)
            if first is not None and first.pts is not None and first.pts * self.info.time_base <= self._first:
                yield first
                yield from frames
                return
        yield from self._decoded(*self._opened(None))

    def _opened(self, position: int | None) -> tuple[Any, Any]:
        container = self._resources.enter_context(open_container(self.info.path))
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        if position is not None:
            container.seek(position, stream=stream)
        return container, stream

    def _decoded(self, container: Any, stream: Any) -> Iterator[Any]:
        packets, end = 0, Fraction(0)
        try:
            for packet in container.demux():
                if packet.pts is not None:
                    end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
                if packet.stream.index == stream.index:
                    packets += packet.size > 0
                    yield from packet.decode()
        except av.FFmpegError as error:
            raise DamagedVideo(
                f"{self.info.path}: cannot be decoded after {float(end):.2f} s", "repair it, or stop there with --end"
            ) from error
        if self._first == self.info.start:
            self._check_complete(stream.frames, packets, end)

    def _check_complete(self, promised: int, packets: int, end: Fraction) -> None:
        """The header says how much there should be; a truncated download has less and decodes without an error."""
        lasts = self.info.duration or Fraction(0)
        if packets < promised:
            found = f"{packets} of {promised} frames"
        elif lasts and end < lasts - max(Fraction(1, 2), lasts / 20):
            found = f"{float(end):.2f} of {float(lasts):.2f} s"
        else:
            return
        raise DamagedVideo(
            f"{self.info.path}: is truncated ({found} are there)", "download it again, or stop there with --end"
        )

    def _rgb(self, frame: Any) -> Picture:
        # one thread: swscale's automatic threads cost three times the conversion itself
        matrix = {"src_colorspace": "itu709"} if self.info.untagged_hd else {}
        picture = frame.reformat(format="rgb24", threads=1, **matrix).to_ndarray()
        turns = (frame.rotation // 90) % 4
        return np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture

    def _decord_frames(self) -> Iterator[RawFrame]:
        """decord's pixels, the container's times: decord gives times as floats that start at 0."""
        import decord

        times, last = self._packet_times()
        try:  # one thread: with more, decord 0.6 fails on VP9 now and then (it takes EAGAIN for an error)
            reader = decord.VideoReader(str(self.info.path.absolute()), num_threads=1)
        except (decord.DECORDError, RuntimeError) as error:
            raise DamagedVideo(f"{self.info.path}: decord cannot open it", "choose the backend 'av'") from error
        if len(reader) != len(times):
            raise DamagedVideo(
                f"{self.info.path}: decord sees {len(reader)} of {len(times)} frames", "choose the backend 'av'"
            )
        begin = int(np.searchsorted(times, int(self._first / self.info.time_base)))
        for i in range(begin, len(times)):
            try:
                picture = reader[i].asnumpy()
            except (decord.DECORDError, RuntimeError) as error:
                raise DamagedVideo(
                    f"{self.info.path}: frame {i} cannot be decoded", "repair it, or stop there with --end"
                ) from error
            duration = int(times[i + 1] - times[i]) if i + 1 < len(times) else last
            yield int(times[i]), duration, picture

    def _packet_times(self) -> tuple[np.ndarray, int]:
        """Every frame's time in ticks (8 bytes a frame), and how long the last one is shown."""
        with open_container(self.info.path) as container:
            stream = container.streams.video[0]
            times, end, last = [], Fraction(0), 0
            for packet in container.demux():
                if packet.pts is None:
                    continue
                end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
                if packet.stream.index == stream.index and packet.size:
                    times.append(packet.pts)
                    last = packet.duration if packet.pts == max(times[-8:]) and packet.duration else last
            self._check_complete(stream.frames, len(times), end)
        fallback = max(1, round(1 / (self.info.frame_rate * self.info.time_base)))
        return np.sort(np.array(times, np.int64)), last or fallback


def _seconds(value: float) -> Fraction:
    """What a person means by 0.4: two fifths, not the binary number a little above it."""
    return Fraction(value).limit_denominator(1_000_000)
