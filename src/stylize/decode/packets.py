"""Decodes frames with PyAV, packet by packet; conceals, counts and locates those that cannot be decoded."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import av
import numpy as np
import numpy.typing as npt

from stylize.decode.colour import ACCURATE, tone_mapped
from stylize.decode.container import BROKEN, open_container, read_packets, video_stream, with_alpha
from stylize.decode.fields import Deinterlacer
from stylize.decode.probe import VideoInfo, reads_like_decord
from stylize.decode.times import continuous, jumps_of
from stylize.errors import DamagedVideo, VideoWarning
from stylize.frames import Picture, fit_inside, resize


class RawFrame(NamedTuple):
    """A picture with its time."""

    pts: int
    """In ticks of the stream's time base."""
    duration: int
    picture: Picture
    """uint8 `[H, W, 3]` RGB, or `[H, W, 4]` with alpha."""


TimedPicture: TypeAlias = tuple[int, int, Picture, bool]
"""Time and duration in ticks, the picture, and whether it replaces one that could not be decoded."""


@dataclass
class Damage:
    """The damage found in a source so far."""

    concealed: int = 0
    """Frames that could not be decoded and show the frame before instead."""
    first: Fraction | None = None
    last: Fraction | None = None
    """Times of the first and the last of them, in seconds."""
    truncated: str = ""
    """Amount that the file holds, such as "105 of 200 frames", if the header promises more; empty otherwise."""
    gap: tuple[Fraction, Fraction] | None = None
    """Begin and end, in seconds, of the longest time without a picture, if pictures otherwise come evenly."""

    def conceal(self, time: Fraction) -> None:
        """Counts a frame that could not be decoded, and whose time is `time` seconds."""
        self.first = time if self.first is None else self.first
        self.concealed, self.last = self.concealed + 1, time

    def __str__(self) -> str:
        problems = [f"is truncated ({self.truncated} are there)"] if self.truncated else []
        if self.gap is not None:
            problems.append(f"pictures are missing between {float(self.gap[0]):.2f} and {float(self.gap[1]):.2f} s")
        if self.first is not None and self.last is not None:
            where = f"at {float(self.first):.2f} s"
            if self.last != self.first:
                where = f"between {float(self.first):.2f} and {float(self.last):.2f} s"
            frames = "frame repeats" if self.concealed == 1 else "frames repeat"
            problems.append(f"{where}, {self.concealed} damaged {frames} the one before")
        return "; ".join(problems)


def decode_frames(
    info: VideoInfo, begin: Fraction, expected: npt.NDArray[np.int64], damage: Damage
) -> Iterator[RawFrame]:
    """Yields frames from a little before `begin` seconds on, each once the next one tells how long it is shown.

    Args:
        expected: times of all frames, in ticks; where decoding failed, the frame before is shown again at these times.
        damage: counts each of these repeated frames.
    """
    tick = max(1, round(1 / (info.frame_rate * info.time_base)))
    waiting: tuple[int, int, Picture] | None = None
    for pts, duration, picture, repaired in _repair_late_times(_decode_timed(info, begin, expected), tick):
        if repaired:
            damage.conceal(pts * info.time_base - info.clock)
        if waiting is not None:
            pts = max(pts, waiting[0] + 1)
            yield RawFrame(waiting[0], pts - waiting[0], waiting[2])
        waiting = pts, duration, picture
    if waiting is not None:
        yield RawFrame(waiting[0], waiting[1] or tick, waiting[2])


def _repair_late_times(timed: Iterator[TimedPicture], tick: int) -> Iterator[TimedPicture]:
    """Repairs single broken time stamps that are later than the next frame's: they become a little earlier than it."""
    waiting: TimedPicture | None = None
    before: int | None = None
    for frame in timed:
        if waiting is not None:
            late = frame[0] < waiting[0] and (before is None or frame[0] > before)
            if late:
                time = frame[0] - tick if before is None else max(before + 1, frame[0] - tick)
                waiting = time, *waiting[1:]
            yield waiting
            before = waiting[0]
        waiting = frame
    if waiting is not None:
        yield waiting


def _decode_timed(info: VideoInfo, begin: Fraction, expected: npt.NDArray[np.int64]) -> Iterator[TimedPicture]:
    """Yields the decoded frames, and a copy of the frame before at each `expected` time that could not be decoded."""
    tick = max(1, round(1 / (info.frame_rate * info.time_base)))
    last: tuple[int, Picture] | None = None
    lost, shown, size = False, 0, (info.width, info.height)
    for frame in _decode_from(info, begin if len(expected) else info.start + info.clock):  # no seeking in raw streams
        if frame is None:
            lost = True
            continue
        pts = frame.pts if frame.pts is not None else (0 if last is None else last[0] + tick)
        if not info.has_times and shown < len(expected):  # decoders give frames in the order in which they are shown
            pts, shown = int(expected[shown]), shown + 1
        picture = to_rgb(info, frame)
        if picture.shape[1::-1] != (info.width, info.height):
            if size == (info.width, info.height):
                size = picture.shape[1], picture.shape[0]
                _warn_of_size(info, size, pts * info.time_base - info.clock)
            picture = _fit(picture, info)
        if lost:
            for time in _select_times(expected, None if last is None else last[0], pts):
                yield time, 0, picture if last is None else last[1], True
        yield pts, frame.duration or 0, picture, False
        last, lost = (pts, picture), False
    if last is None:
        raise DamagedVideo(f"{info.path}: no frame of it can be decoded", "download or record it again")
    for time in _select_times(expected, last[0], None) if lost else ():
        yield time, 0, last[1], True


def changes_size(info: VideoInfo) -> bool:
    """Whether the pictures change their size, told from the keyframes; True, too, where these cannot be decoded."""
    now = info.path.stat()
    return _changes_size(info.path.absolute(), now.st_size, now.st_mtime_ns)


@functools.lru_cache(maxsize=16)
def _changes_size(path: Path, _size: int, _changed: int) -> bool:
    size: tuple[int, int] | None = None
    with open_container(path) as container:
        stream = video_stream(container)
        stream.codec_context.skip_frame, stream.thread_type = "NONKEY", "AUTO"
        try:
            for frame in container.decode(stream):
                if size not in (None, (frame.width, frame.height)):
                    return True
                size = frame.width, frame.height
        except BROKEN:
            return True
    return False


def _warn_of_size(info: VideoInfo, size: tuple[int, int], time: Fraction) -> None:
    change = f"its size changes from {info.width}x{info.height} to {size[0]}x{size[1]} at {float(time):.2f} s"
    warnings.warn(f"{info.path}: {change}; all is fitted into the first", VideoWarning, stacklevel=2)


def _fit(picture: Picture, info: VideoInfo) -> Picture:
    """Fits a picture of another size into the video's, with black (or clear) bars where its shape differs."""
    height = picture.shape[0]
    if height == info.height:  # broadcasters change the width of pixels with the number of them
        return resize(picture, (info.width, height))
    return fit_inside(picture, (info.width, info.height))


def _select_times(expected: npt.NDArray[np.int64], after: int | None, before: int | None) -> list[int]:
    low = 0 if after is None else int(np.searchsorted(expected, after, "right"))
    high = len(expected) if before is None else int(np.searchsorted(expected, before, "left"))
    return [int(time) for time in expected[low:high]]


def _decode_from(info: VideoInfo, begin: Fraction) -> Iterator[Any]:
    """Yields frames from a little before `begin` on, and `None` where something could not be decoded.

    Starts at the very first frame if the container cannot seek exactly, or if its keyframe needs frames before it
    (such a keyframe decodes to garbage and is marked as corrupt).
    """
    seeks = info.has_times and info.codec != "gif" and not jumps_of(info.path)  # a GIF's times are not the container's
    if begin > info.start + info.clock and seeks:
        frames = _decode_packets(info, int(begin / info.time_base))
        first = next(frames, None)
        if first is not None and not first.is_corrupt and (first.pts or 0) * info.time_base <= begin:
            yield first
            yield from frames
            return
        frames.close()
    yield from _decode_packets(info, None)


def _decode_packets(info: VideoInfo, position: int | None) -> Generator[Any, None, None]:
    """Yields the frames from `position` on, and `None` where something could not be decoded."""
    frames = _decode_all(info, position)
    if not info.interlaced:
        yield from frames
        return
    deinterlace = Deinterlacer(info.time_base)
    for frame in frames:
        yield from deinterlace(frame)
        if frame is None:
            yield None
    yield from deinterlace(None)


def _decode_all(info: VideoInfo, position: int | None) -> Generator[Any, None, None]:
    with open_container(info.path) as container:
        stream = video_stream(container)
        decoder = with_alpha(stream)
        stream.thread_type = "AUTO"
        if position is not None:
            try:
                container.seek(position, stream=stream)
            except av.FFmpegError:  # a broken index
                return
        started, broken = False, set[int | None]()
        packets = continuous(info.path, read_packets(container, stream))
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except BROKEN:
                yield None
                return
            try:
                frames = decoder.decode(packet if packet.size else None)
            except av.FFmpegError:
                yield None
                continue
            if packet.is_corrupt and packet.pts is not None:
                broken.add(packet.pts)
            for frame in frames:
                # corrupt frames before the first intact one are kept: a recording can begin between two keyframes
                bad = frame.is_corrupt or frame.pts in broken
                yield None if bad and started else frame
                started |= not bad
                broken.discard(frame.pts)


def to_rgb(info: VideoInfo, frame: Any) -> Picture:
    """Converts a decoded frame to upright RGB, uint8 `[H, W, 3]`, or `[H, W, 4]` where the source has transparency."""
    # one thread: swscale's automatic threads cost three times the conversion itself
    options: dict[str, Any] = {"threads": 1}
    if info.untagged_hd:
        options["src_colorspace"] = "itu709"
    if not reads_like_decord(info):
        options["interpolation"] = ACCURATE
    if info.colour.is_hdr:
        deep = frame.reformat(format="rgba64le" if info.has_alpha else "rgb48le", **options).to_ndarray()
        picture = tone_mapped(deep[..., :3], info.colour.transfer)
        if info.has_alpha:
            picture = np.concatenate([picture, (deep[..., 3:] >> 8).astype(np.uint8)], -1)
    else:
        picture = frame.reformat(format="rgba" if info.has_alpha else "rgb24", **options).to_ndarray()
    if picture.shape[:2] != (frame.height, frame.width):
        picture = picture[: frame.height, : frame.width]
    if any(info.crop):
        left, top, right, bottom = info.crop
        picture = picture[top : frame.height - bottom, left : frame.width - right]
    if info.mirrored:
        picture = picture[::-1]
    turns = (frame.rotation // 90) % 4
    return np.ascontiguousarray(np.rot90(picture, turns))
