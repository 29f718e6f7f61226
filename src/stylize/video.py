"""Video files in: frames with their exact times, a clip at a time."""

from __future__ import annotations

import importlib.util
import os
from array import array
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from types import TracebackType
from typing import Any, Literal, Self

import av
import cv2
import numpy as np
import numpy.typing as npt

from stylize.container import decord_is_exact, open_container, probe
from stylize.errors import DamagedVideo, VideoError
from stylize.frames import Clip, Picture

Backend = Literal["auto", "decord", "av"]
RawFrame = tuple[int, int, Picture]
"""Presentation time and duration in ticks of the stream's time base, and the picture."""


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
            whole = start is None and end is None  # PyAV seeks with care and reads damaged files up to the damage
            backend = "decord" if whole and decord_is_exact(self.info) else "av"
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
        if self._last is None and self.backend == "av":
            self._packet_times()  # found out now, not when a night's work has reached the end of a truncated file
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
        """Frames from a little before the start on.

        From the very first where the container cannot seek exactly, or where what it calls a keyframe needs frames that
        were before it (it then decodes to garbage, marked as corrupt).
        """
        if self._first > self.info.start:
            frames = self._decoded(*self._opened(int(self._first / self.info.time_base)))
            first = next(frames, None)
            if first and not first.is_corrupt and (first.pts or 0) * self.info.time_base <= self._first:
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
        seen, sound = Fraction(0), False
        damaged = "cannot be decoded after {:.2f} s", "repair it, or stop there with --end"
        try:
            for frame in container.decode(stream):
                if frame.is_corrupt and sound:  # the first ones may be: a recording can begin between two keyframes
                    raise DamagedVideo(f"{self.info.path}: " + damaged[0].format(float(seen)), damaged[1])
                sound |= not frame.is_corrupt
                seen = (frame.pts or 0) * self.info.time_base
                yield frame
        except av.FFmpegError as error:
            raise DamagedVideo(f"{self.info.path}: " + damaged[0].format(float(seen)), damaged[1]) from error

    def _packet_times(self) -> tuple[npt.NDArray[np.int64], int]:
        """Every frame's time in ticks, from the packets alone (8 bytes a frame), and how long the last one is shown.

        Raises:
            DamagedVideo: less is there than the header says: a truncated download, which decodes without an error.
        """
        times, end, last = array("q"), Fraction(0), 0
        with open_container(self.info.path) as container:
            stream = container.streams.video[0]
            promised = stream.frames
            try:
                for packet in container.demux():
                    if packet.pts is None or not packet.size:
                        continue
                    end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
                    if packet.stream.index == stream.index:
                        times.append(packet.pts)
                        last = packet.duration if packet.duration and packet.pts >= max(times[-32:]) else last
            except av.FFmpegError as error:
                raise DamagedVideo(f"{self.info.path}: its packets cannot be read", "download it again") from error
        lasts = self.info.duration or Fraction(0)
        if len(times) < promised:
            found = f"{len(times)} of {promised} frames"
        elif end < lasts - max(Fraction(1, 2), lasts / 20):
            found = f"{float(end):.2f} of {float(lasts):.2f} s"
        else:
            fallback = max(1, round(1 / (self.info.frame_rate * self.info.time_base)))
            return np.sort(np.frombuffer(times, np.int64)), last or fallback
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


def _seconds(value: float) -> Fraction:
    """What a person means by 0.4: two fifths, not the binary number a little above it."""
    return Fraction(value).limit_denominator(1_000_000)
