"""Makes times continuous where a recording's clock jumps: programmes joined by hand, a sender that restarted."""

from __future__ import annotations

import functools
from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import av
import numpy as np
import numpy.typing as npt

from stylize.decode.container import (
    BROADCAST,
    BROKEN,
    MAX_FRAMES,
    open_container,
    read_packets,
    video_stream,
    with_late_tracks,
)  # fmt: skip
from stylize.decode.probe import VideoInfo
from stylize.errors import VideoError

REORDERED = 64
"""Packets still read after the end of a part: they can hold frames that are shown before the end."""

BACK, FORWARD = Fraction(1, 2), Fraction(600)
"""Seconds by which a track may step back (a splice) or be silent (a pause): a larger step means another clock."""
NEAR = Fraction(10)
"""Most seconds between sound and the pictures that are stored beside it: senders send pictures ahead."""
Jumps: TypeAlias = Mapping[int, tuple[tuple[int, Fraction], ...]]
"""For each stream, pairs: the number of a packet, and the seconds to add to the times from that packet on."""


def continuous(path: Path, packets: Iterable[Any]) -> Iterator[Any]:
    """Yields the packets of one pass from the beginning of the file, with times that keep rising where the clock jumps.

    Args:
        packets: from `demux`, of all streams or of some.
    """
    waiting = {index: deque(jumps) for index, jumps in jumps_of(path).items()}
    if not waiting:
        yield from packets
        return
    counts, offsets = dict.fromkeys(waiting, 0), dict.fromkeys(waiting, Fraction(0))
    for packet in packets:
        index = packet.stream.index
        if packet.size and index in waiting:
            while waiting[index] and waiting[index][0][0] <= counts[index]:
                offsets[index] = waiting[index].popleft()[1]
            counts[index] += 1
            ticks = round(offsets[index] / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks
        yield packet


def jumps_of(path: Path) -> Jumps:
    """Returns where the clock of a broadcast's tracks jumps; empty for other files, whose times are used unchanged."""
    try:
        now = path.stat()
    except OSError:
        return {}
    return _find_jumps(path.absolute(), now.st_size, now.st_mtime_ns)


@functools.lru_cache(maxsize=16)
def _find_jumps(path: Path, _size: int, _changed: int) -> Jumps:
    tracker = _Tracker()
    with open_container(path) as container:
        if container.format.name not in BROADCAST or (film := video_stream(container)) is None:
            return {}
        try:
            for packet in container.demux():
                if packet.size:
                    tracker.follow(packet, film.index)
        except IndexError:
            if path not in with_late_tracks:
                with_late_tracks.add(path)
                return _find_jumps.__wrapped__(path, _size, _changed)
        except av.FFmpegError:
            pass
    return {} if not tracker.jumped else {index: tuple(jumps) for index, jumps in tracker.jumps.items()}


class _Tracker:
    """Follows every track; where one jumps, finds the clock that another track has jumped to, or begins a new clock."""

    def __init__(self) -> None:
        self.jumps: dict[int, list[tuple[int, Fraction]]] = {}
        self.jumped = False
        self._counts: dict[int, int] = {}
        self._ends: dict[int, Fraction] = {}
        self._times: dict[int, Fraction] = {}
        self._lengths: dict[int, Fraction] = {}
        self._offsets = [Fraction(0)]

    def follow(self, packet: Any, film: int) -> None:
        index, media = packet.stream.index, packet.stream.type
        jumps = self.jumps.setdefault(index, [(0, self._get_offset(film))])
        count = self._counts[index] = self._counts.get(index, -1) + 1
        if packet.dts is None:
            return
        time, offset = packet.dts * packet.time_base, self._get_offset(index)
        if media not in ("audio", "video"):  # subtitles pause for long: they take the offset of the pictures
            offset = self._get_offset(film)
        elif index not in self._ends and film in self._ends:  # a track that begins now begins near the pictures
            offset = self._fit_offset(time, offset, film, NEAR, NEAR)
        elif index in self._ends:
            offset = self._fit_offset(time, offset, index, BACK, FORWARD)
        if offset != jumps[-1][1]:
            jumps.append((count, offset))
            self.jumped = True
        now = time + offset
        if packet.duration:
            self._lengths[index] = packet.duration * packet.time_base
        elif 0 < (step := now - self._times.get(index, now)) < BACK:  # some files give no durations
            self._lengths[index] = step
        self._times[index], self._ends[index] = now, now + self._lengths.get(index, Fraction(0))

    def _get_offset(self, index: int) -> Fraction:
        return self.jumps[index][-1][1] if index in self.jumps else Fraction(0)

    def _fit_offset(self, time: Fraction, offset: Fraction, index: int, back: Fraction, forward: Fraction) -> Fraction:
        """Returns `offset` if the track is continuous with it, else the latest known one that fits, else a new one."""
        end = self._ends[index]
        fits = (known for known in (offset, *reversed(self._offsets)) if end - back <= time + known <= end + forward)
        chosen = next(fits, end - time)
        self._offsets += [chosen] if chosen not in self._offsets else []
        return chosen


@dataclass
class PacketTimes:
    """The times of all frames in ticks, sorted, from the packets alone: 8 bytes a frame."""

    times: npt.NDArray[np.int64]
    last_duration: int
    longest: npt.NDArray[np.int64]
    """For each frame, the ticks for which the container says that the frame, or one of its neighbours, is shown."""
    missing: str = ""
    """Amount that the file holds, such as "105 of 200 frames", if the header promises more; empty otherwise."""

    def gap(self) -> tuple[int, int] | None:
        """Returns begin and end, in ticks, of the longest gap left by lost packets.

        `None` if no gap is long enough, or if the frames come too unevenly to tell.
        """
        steps = np.diff(self.times)
        if len(steps) < 10:
            return None
        usual = float(np.median(steps))
        uneven = np.abs(steps - usual) > max(0.1 * usual, 1.5)
        widest = int(steps.argmax())
        if uneven.mean() > 0.03 or steps[widest] < 2.5 * usual or self.longest[widest] >= 0.9 * steps[widest]:
            return None
        return int(self.times[widest]), int(self.times[widest + 1])


class _Collector:
    """Collects the times of a stream's packets, and what the container promises of them."""

    def __init__(self, info: VideoInfo, stream: Any) -> None:
        self._info, self._stream = info, stream
        self.times, self.lengths, self.broken = array("q"), array("q"), False
        self.last_length = 0
        self._shown, self._end = 0, info.clock

    def add(self, packet: Any) -> None:
        """Takes a packet of any stream."""
        length, pictures = packet.duration or 0, packet.stream.index == self._stream.index
        if pictures and packet.is_discard:  # an edit list hides it
            return
        if not packet.size:  # an empty packet says that the frame before stays
            if pictures and self.times:
                self.lengths[-1] = max(self.lengths[-1], packet.pts + length - self.times[-1])
            return
        self._end = max(self._end, (packet.pts + length) * packet.time_base)
        if not pictures:
            return
        self.times.append(packet.pts)
        self.lengths.append(length)
        self._shown = max(self._shown, packet.pts + length)
        self.last_length = length if length and packet.pts >= max(self.times[-32:]) else self.last_length
        if len(self.times) > MAX_FRAMES:
            raise VideoError(f"{self._info.path}: has over {MAX_FRAMES} frames", "split it")

    def missing(self) -> str:
        """Returns what is there, in words, if the header promises more; else an empty text."""
        stream, info, end = self._stream, self._info, self._end - self._info.clock
        promised = info.duration or Fraction(0)
        # an edit list hides frames that the header counts: what is shown to the promised end is whole
        last = None if stream.duration is None else (stream.start_time or 0) + stream.duration
        whole = not self.broken and last is not None and self._shown + self.last_length > last
        if len(self.times) < stream.frames and not whole:
            return f"{len(self.times)} of {stream.frames} frames"
        short = end < promised - max(Fraction(1, 2), promised / 20) and not jumps_of(info.path)
        return f"{float(end):.2f} of {float(promised):.2f} s" if short or self.broken else ""


def packet_times(info: VideoInfo, until: Fraction | None = None) -> PacketTimes:
    """Reads the times of all packets (up to `until` seconds) without decoding them.

    A truncated download decodes without an error; only a comparison with its header shows that frames are missing.
    """
    with open_container(info.path) as container:
        found, late = _Collector(info, stream := video_stream(container)), 0
        try:
            for packet in continuous(info.path, read_packets(container)):
                if packet.pts is None:
                    continue
                found.add(packet)
                if until is not None and packet.stream.index == stream.index:
                    late += packet.pts * info.time_base >= until
                if late > REORDERED:
                    break
        except BROKEN:
            found.broken = True
        missing = found.missing() if until is None else ""
    times, lengths = (np.frombuffer(values, np.int64) for values in (found.times, found.lengths))
    order = np.argsort(times, kind="stable")
    last = found.last_length or max(1, round(1 / (info.frame_rate * info.time_base)))
    return PacketTimes(times[order], last, _spread(lengths[order]), missing)


def _spread(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Returns the largest of each length and its neighbours': reordered packets take the lengths of one another."""
    if len(lengths) < 2:
        return lengths
    padded = np.pad(lengths, 2, mode="edge")
    return np.asarray(np.max([padded[i : i + len(lengths)] for i in range(5)], axis=0), np.int64)
