"""Times of a recording that run on where its clock jumps: programmes joined by hand, a sender that began again."""

from __future__ import annotations

import contextlib
import functools
from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from stylize.decode.container import BROADCAST, BROKEN, MAX_FRAMES, open_container, video_stream
from stylize.decode.probe import VideoInfo
from stylize.errors import VideoError

REORDERED = 64
"""Packets that may lie between one and an earlier shown one."""

BACK, FORWARD = Fraction(1, 2), Fraction(600)
"""Seconds by which a track may step back (a splice), and be silent (a pause): more is another clock."""
NEAR = Fraction(10)
"""Seconds between sound and the pictures that stand beside it in the file, at most: senders send pictures ahead."""
Jumps: TypeAlias = Mapping[int, tuple[tuple[int, Fraction], ...]]
"""By stream: from which of its packets on how many seconds are to be added."""


def continuous(path: Path, packets: Iterable[Any]) -> Iterator[Any]:
    """The packets of one pass from the beginning of the file, with times that run on over every jump.

    Args:
        packets: what `demux` gives, of all streams or of some.
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
    """Where the clock of a broadcast's tracks jumps; nothing for other files, whose times are their own."""
    try:
        now = path.stat()
    except OSError:
        return {}
    return _jumps(path.absolute(), now.st_size, now.st_mtime_ns)


@functools.lru_cache(maxsize=16)
def _jumps(path: Path, _size: int, _changed: int) -> Jumps:
    found = _Tracker()
    with open_container(path) as container:
        if container.format.name not in BROADCAST or (film := video_stream(container)) is None:
            return {}
        with contextlib.suppress(*BROKEN):
            for packet in container.demux():
                if packet.size:
                    found.see(packet, film.index)
    return {} if not found.jumped else {index: tuple(jumps) for index, jumps in found.jumps.items()}


class _Tracker:
    """Follows every track; where it leaps, it goes by the clock that another track leapt to, or by a new one."""

    def __init__(self) -> None:
        self.jumps: dict[int, list[tuple[int, Fraction]]] = {}
        self.jumped = False
        self._counts: dict[int, int] = {}
        self._ends: dict[int, Fraction] = {}
        self._times: dict[int, Fraction] = {}
        self._lengths: dict[int, Fraction] = {}
        self._known = [Fraction(0)]

    def see(self, packet: Any, film: int) -> None:
        index, kind = packet.stream.index, packet.stream.type
        jumps = self.jumps.setdefault(index, [(0, self._now(film))])
        count = self._counts[index] = self._counts.get(index, -1) + 1
        if packet.dts is None:
            return
        time, offset = packet.dts * packet.time_base, self._now(index)
        if kind not in ("audio", "video"):  # subtitles are silent for long: they go by the pictures
            offset = self._now(film)
        elif index not in self._ends and film in self._ends:  # a track that begins now does so beside the pictures
            offset = self._fitting(time, offset, film, NEAR, NEAR)
        elif index in self._ends:
            offset = self._fitting(time, offset, index, BACK, FORWARD)
        if offset != jumps[-1][1]:
            jumps.append((count, offset))
            self.jumped = True
        now = time + offset
        if packet.duration:
            self._lengths[index] = packet.duration * packet.time_base
        elif 0 < (step := now - self._times.get(index, now)) < BACK:  # some files tell no durations
            self._lengths[index] = step
        self._times[index], self._ends[index] = now, now + self._lengths.get(index, Fraction(0))

    def _now(self, index: int) -> Fraction:
        return self.jumps[index][-1][1] if index in self.jumps else Fraction(0)

    def _fitting(self, time: Fraction, offset: Fraction, index: int, back: Fraction, forward: Fraction) -> Fraction:
        """The offset, if the track goes on by it; else the last known one by which it does; else a new one."""
        end = self._ends[index]
        fits = (known for known in (offset, *reversed(self._known)) if end - back <= time + known <= end + forward)
        found = next(fits, end - time)
        self._known += [found] if found not in self._known else []
        return found


@dataclass
class PacketTimes:
    """Every frame's time in ticks, sorted, from the packets alone: 8 bytes a frame."""

    times: npt.NDArray[np.int64]
    last_duration: int
    missing: str = ""
    """"105 of 200 frames" where less is there than the header says."""

    def gap(self) -> tuple[int, int] | None:
        """The longest time without a frame, where frames come evenly but for a few places: packets were lost there."""
        steps = np.diff(self.times)
        if len(steps) < 10:
            return None
        usual = float(np.median(steps))
        uneven = np.abs(steps - usual) > max(0.1 * usual, 1.5)
        widest = int(steps.argmax())
        if uneven.mean() > 0.03 or steps[widest] < 2.5 * usual:
            return None
        return int(self.times[widest]), int(self.times[widest + 1])


def packet_times(info: VideoInfo, until: Fraction | None = None) -> PacketTimes:
    """Reads all packets (up to `until` seconds), decoding none.

    A truncated download decodes without an error; what its header promised tells it.
    """
    times, end, last = array("q"), info.clock, 0
    broken = False
    with open_container(info.path) as container:
        stream = video_stream(container)
        promised, late = stream.frames, 0
        try:
            for packet in continuous(info.path, container.demux()):
                if packet.pts is None or not packet.size:
                    continue
                end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
                if packet.stream.index != stream.index:
                    continue
                times.append(packet.pts)
                last = packet.duration if packet.duration and packet.pts >= max(times[-32:]) else last
                if len(times) > MAX_FRAMES:
                    raise VideoError(f"{info.path}: has over {MAX_FRAMES} frames", "split it")
                late += until is not None and packet.pts * info.time_base >= until
                if late > REORDERED:
                    break
        except BROKEN:
            broken = True
    lasts, missing = info.duration or Fraction(0), ""
    if until is None:
        if len(times) < promised:
            missing = f"{len(times)} of {promised} frames"
        elif (end - info.clock < lasts - max(Fraction(1, 2), lasts / 20) and not jumps_of(info.path)) or broken:
            missing = f"{float(end - info.clock):.2f} of {float(lasts):.2f} s"
    fallback = max(1, round(1 / (info.frame_rate * info.time_base)))
    return PacketTimes(np.sort(np.frombuffer(times, np.int64)), last or fallback, missing)
