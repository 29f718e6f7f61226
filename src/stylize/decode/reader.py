"""Reads frames with their exact times, a clip at a time, from video files, folders of pictures and animations."""

from __future__ import annotations

import importlib.util
import itertools
import os
import warnings
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np

from stylize.decode.colour import Colour
from stylize.decode.container import MAX_RATE, check_local
from stylize.decode.packets import Damage, RawFrame, changes_size, decode_frames
from stylize.decode.pictures import Pictures, is_pictures, look_up, read_frames
from stylize.decode.probe import VideoInfo, decord_is_exact, probe
from stylize.decode.times import PacketTimes, jumps_of, packet_times
from stylize.errors import DamagedVideo, StyleError, VideoError, VideoWarning
from stylize.frames import Clip, Map, resize

Backend = Literal["auto", "decord", "av"]
Fields = Literal["deinterlace", "keep"]
TICK = Fraction(1, 90000)
"""Seconds a tick in videos that are made of pictures."""
LEAD = 48
"""Frames that are read before the first one that is wanted: a damaged frame, or a field, needs those before it."""
LONGEST = 1e9
"""Seconds (thirty years) that a time in a video must stay below."""


def _probe(path: str | os.PathLike[str], fps: Fraction | None) -> tuple[VideoInfo, Pictures | None]:
    """Describes a file, a folder or pattern of pictures, or an animation as a video."""
    path = os.fsdecode(path)
    check_local(path)
    if not is_pictures(path):
        if fps is not None:
            raise StyleError("--fps is for pictures", "leave it out: a video has times of its own")
        info = probe(path)
        # where the clock jumps, the header's duration is only the distance between two clocks
        unknown = info.duration is None or info.codec == "gif" or jumps_of(info.path)
        return (_with_measured_length(info) if unknown else info), None
    pictures = look_up(path, fps)
    base = TICK if fps is None or (1 / fps) % TICK == 0 else 1 / fps
    return VideoInfo(
        path=pictures.path, width=pictures.width, height=pictures.height, frame_rate=pictures.rate,
        frame_count_from_header=len(pictures.times) - 1, duration=pictures.times[-1], time_base=base,
        start=Fraction(0), rotation=0, sample_aspect_ratio=Fraction(1), codec="pictures",
        pixel_format="rgba" if pictures.has_alpha else "rgb24", colour=Colour(), untagged_hd=False, bits=8,
        has_alpha=pictures.has_alpha, has_audio=False,
    ), pictures  # fmt: skip


def _with_measured_length(info: VideoInfo) -> VideoInfo:
    """Returns the facts with count and duration from the packets; without, if these have no times."""
    packets = packet_times(info)
    if not len(packets.times):
        return replace(info, duration=None)
    ticks = int(packets.times[-1] - packets.times[0]) + packets.last_duration
    return replace(info, frame_count_from_header=len(packets.times), duration=ticks * info.time_base)


class VideoReader:
    """Reads the frames of a video, a clip at a time; as a context manager, it closes what it opened.

    Where a frame cannot be decoded, the frame before is repeated; `damage` counts and locates such frames.

    Args:
        path: any file that FFmpeg reads, a folder or pattern (`shots/*.png`) of pictures, an animated WebP.
        start, end: seconds from the first frame; frames shown in `[start, end)` are read.
        size: width and height that frames are resized to.
        backend: "av", "decord", or "auto", which takes decord where it is exact.
        fps: pictures a second, for pictures that come without times; 25 if left out.
        fields: "deinterlace" makes whole pictures of interlaced ones, whose two fields show different moments; "keep"
            leaves them.
        strict: raise an error for a damaged or truncated source instead of repeating frames.

    Raises:
        VideoError: the source cannot be read, or the backend is not installed.
    """

    matte: Map | None = None

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        start: float | None = None,
        end: float | None = None,
        size: tuple[int, int] | None = None,
        backend: Backend = "auto",
        fps: Fraction | None = None,
        strict: bool = False,
        fields: Fields = "deinterlace",
    ) -> None:
        if fps is not None and not 0 < fps <= MAX_RATE:
            raise VideoError(f"{fps} is not a frame rate", f"give one up to {MAX_RATE}")
        self.info, self._pictures = _probe(path, fps)
        if fields == "keep":
            self.info = replace(self.info, interlaced=False)
        self.size = size or (self.info.width, self.info.height)
        self.strict, self.damage = strict, Damage()
        for seconds in (start, end):
            if seconds is not None and not 0 <= seconds < LONGEST:
                raise VideoError(f"{seconds} is not a time in a video", "give seconds with 0 <= start < end")
        begin = self.info.start + self.info.clock  # `_first` and `_last` are on the file's own clock
        self._first = begin + _to_fraction(start or 0)
        self._last = None if end is None else begin + _to_fraction(end)
        if self._last is not None and self._last <= self._first:
            raise VideoError(f"start {start} and end {end} leave no frame", "give seconds with 0 <= start < end")
        if backend == "auto":
            whole = start is None and end is None  # a part needs seeking, which PyAV does with checks
            backend = "decord" if self._pictures is None and whole and decord_is_exact(self.info) else "av"
        if backend == "decord" and importlib.util.find_spec("decord") is None:
            raise VideoError("decord is not installed", "choose the backend 'av'")
        self.backend = backend
        self._resources = ExitStack()
        self._exact_count: int | None = None
        self._offset = 0  # number, in the source, of the first frame that is read

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes what it opened; it can be read again."""
        self._resources.close()

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the frames depend on beside the file, as JSON values."""
        return {"backend": self.backend, "deinterlaced": self.info.interlaced}

    @property
    def part(self) -> tuple[Fraction, Fraction | None]:
        """Start and end of what is read, in seconds on the clips' clock; `None` is the end of the file."""
        clock = self.info.clock
        return self._first - clock, None if self._last is None else self._last - clock

    @property
    def frame_count(self) -> int | None:
        """The number of frames that are read: by the header, or, once reading has begun, counted from the packets."""
        if self._exact_count is not None:
            return self._exact_count
        info = self.info
        first, last = self.part
        if info.frame_count is None or (first == info.start and last is None):
            return info.frame_count
        end = info.start + info.frame_count / info.frame_rate
        seconds = (end if last is None else min(end, last)) - first
        return max(1, round(seconds * info.frame_rate))

    def clips(self, length: int = 8, *, skip: int = 0) -> Iterator[Clip]:
        """Yields clips of `length` frames; the last one may be shorter.

        Args:
            skip: frames to leave out at the beginning; `Clip.index` is still the number in the source.

        Raises:
            DamagedVideo: no frame can be decoded; with `strict`, any damage.
            VideoError: no frame lies between start and end.
        """
        index, read = skip, 0
        selected = self._select_frames(skip)
        self._resources.callback(selected.close)  # so the file is closed with the reader, even if not read to its end
        while frames := list(itertools.islice(selected, length)):
            yield self._clip(frames, self._offset + index)
            index, read = index + len(frames), read + len(frames)
        if read == skip == 0:
            raise VideoError(f"{self.info.path}: no frame between start and end", "choose another range")
        if self.damage.concealed:
            self._report_damage()

    def _clip(self, frames: list[RawFrame], index: int) -> Clip:
        shown = np.stack([resize(frame.picture, self.size) for frame in frames])
        times = tuple(frame.pts * self.info.time_base - self.info.clock for frame in frames)
        durations = tuple(frame.duration * self.info.time_base for frame in frames)
        alpha = np.ascontiguousarray(shown[..., 3]) if shown.shape[-1] == 4 else None
        return Clip(np.ascontiguousarray(shown[..., :3]), times, durations, index, alpha=alpha)

    def _select_frames(self, skip: int) -> Generator[RawFrame, None, None]:
        frames, first = self._start_reading(skip)
        to_skip = skip if first is None else 0
        for frame in frames:
            time = frame.pts * self.info.time_base
            if self._last is not None and time >= self._last:
                return
            if time >= (self._first if first is None else first):
                if self.strict and self.damage.concealed:
                    self._report_damage()
                if to_skip == 0:
                    yield frame
                to_skip = max(0, to_skip - 1)

    def _warn_of_changes(self) -> None:
        """Warns of changes that are made to the pictures as they are read."""
        if self.info.rotation or self.info.mirrored:
            changes = ["is flipped upside down"] if self.info.mirrored else []
            changes += [f"is turned upright, by {self.info.rotation} degrees"] if self.info.rotation else []
            warnings.warn(f"{self.info.path}: {' and '.join(changes)}", VideoWarning, 3)
        if self.info.interlaced:
            what = "is interlaced: whole pictures are made of its fields (--fields keep leaves them)"
            warnings.warn(f"{self.info.path}: {what}", VideoWarning, 3)
        if self._pictures is None and jumps_of(self.info.path):
            warnings.warn(f"{self.info.path}: its clock jumps, what follows is joined there", VideoWarning, 3)
        if self.info.colour.is_hdr:
            what = "is in high dynamic range, which is brought down to BT.709"
            warnings.warn(f"{self.info.path}: {what}", VideoWarning, 3)

    def _start_reading(self, skip: int) -> tuple[Iterator[RawFrame], Fraction | None]:
        """Opens the source, near the frame after `skip` frames if the source can be sought in.

        Returns:
            Frames, and the second from which they count, if the source was sought in; else `skip` are too many.
        """
        self._warn_of_changes()
        if self._pictures is not None:
            self._offset = sum(time < self._first for time in self._pictures.times[:-1])
            sought = min(self._offset + skip, len(self._pictures.times) - 1)
            return read_frames(self._pictures, self.info.time_base, sought), Fraction(0)
        packets = packet_times(self.info, self._last)
        base = self.info.time_base
        low = np.searchsorted(packets.times, float(self._first / base))
        high = len(packets.times) if self._last is None else np.searchsorted(packets.times, float(self._last / base))
        self._offset = int(low)
        self._exact_count = max(1, int(high - low)) if len(packets.times) else None
        # reported now, not when a night's work has reached the end of a truncated file
        self.damage.truncated, gap = packets.missing, packets.gap()
        if gap is not None:
            self.damage.gap = gap[0] * base - self.info.clock, gap[1] * base - self.info.clock
        if packets.missing or gap:
            self._report_damage()
        sought = int(low) + skip
        seeks = self.info.has_times and self.info.codec != "gif" and not jumps_of(self.info.path)
        if not 0 < skip <= sought < len(packets.times) or not seeks:
            sought = 0
        first = int(packets.times[sought]) * base if sought else None
        lead = max(0, sought - LEAD)
        # decord stretches pictures of another size, and says nothing; what it seeks in open groups may be another frame
        if self.backend == "decord" and not sought and not packets.missing and not changes_size(self.info):
            return self._decode_with_decord(packets), first
        begin = int(packets.times[lead]) * base if lead else self._first
        return decode_frames(self.info, begin, packets.times[lead:], self.damage), first

    def _report_damage(self) -> None:
        if self.strict:
            raise DamagedVideo(
                f"{self.info.path}: {self.damage}",
                "download or repair it, stop there with --end, or leave out --strict",
            )
        warnings.warn(f"{self.info.path}: {self.damage}", VideoWarning, stacklevel=2)

    def _decode_with_decord(self, packets: PacketTimes) -> Iterator[RawFrame]:
        """Yields decord's pixels with the container's times, since decord gives times as floats that start at 0.

        Where decord meets damage, PyAV continues from there, packet by packet.
        """
        import decord

        times = packets.times
        done = 0
        try:  # one thread: with more, decord 0.6 fails on VP9 now and then (it takes EAGAIN for an error)
            reader = decord.VideoReader(str(self.info.path.absolute()), num_threads=1)
            if len(reader) == len(times):
                for i, pts in enumerate(times):
                    duration = int(times[i + 1] - pts) if i + 1 < len(times) else packets.last_duration
                    yield RawFrame(int(pts), duration, reader[i].asnumpy())
                    done = i + 1
                return
        except (decord.DECORDError, RuntimeError):
            pass
        begin = int(times[done]) * self.info.time_base if done < len(times) else self._first
        for frame in decode_frames(self.info, begin, times[done:], self.damage):
            if done == 0 or frame.pts > times[done - 1]:
                yield frame


def _to_fraction(value: float) -> Fraction:
    """Returns the number that a person means: for 0.4 two fifths, not the binary number a little above it."""
    return Fraction(value).limit_denominator(1_000_000)
