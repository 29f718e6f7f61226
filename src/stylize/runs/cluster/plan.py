"""Plans a run on many workers: its units, who gets which when, and how long all of it will take."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from stylize.runs.cluster.video import check_spreadable
from stylize.runs.jobs import Job
from stylize.runs.units import Unit, find_shots, plan_units
from stylize.style import Style


@dataclass(frozen=True)
class Assignment:
    """A unit of a video, and when a worker will have it, in seconds from the beginning."""

    video: int
    unit: Unit
    worker: int
    begin: float
    end: float


@dataclass(frozen=True)
class SpreadPlan:
    """Who will restyle what, and when."""

    assignments: Sequence[Assignment]
    workers: int

    @property
    def seconds(self) -> float:
        """Seconds until the last worker is done."""
        return max((one.end for one in self.assignments), default=0.0)

    @property
    def idle(self) -> float:
        """Share of the workers' time in which they have nothing to do, 0 to 1."""
        busy = sum(one.end - one.begin for one in self.assignments)
        return 1 - busy / (self.workers * self.seconds) if self.seconds else 0.0


def find_units(job: Job, style: Style, *, split: bool = False) -> list[Unit]:
    """Finds the units of a video.

    Raises:
        StylizeError: the source cannot be read, or the run cannot be spread.
    """
    check_spreadable(job, style)
    reader = job.open()
    reader.size = style.fit_to(style.size or reader.size)
    starts, frames = find_shots(reader)
    return plan_units(starts, frames, split=split)


def simulate(
    videos: Sequence[Sequence[Unit]], workers: int, seconds_a_frame: float, *, anchor_frames: int = 8
) -> SpreadPlan:
    """Hands units to workers as a run does: the longest first, each to the worker that is free first.

    Args:
        videos: the units of each video.
        anchor_frames: frames after which the first unit of a video lets the others begin: a batch.
    """
    free = [(0.0, worker) for worker in range(workers)]
    left = {number: list(units) for number, units in enumerate(videos) if units}
    anchored = dict.fromkeys(left, float("inf"))
    assignments: list[Assignment] = []
    while left:
        now, worker = heapq.heappop(free)
        ready = [
            (unit, number) for number, units in left.items() for unit in units
            if unit.first == 0 or anchored[number] <= now
        ]  # fmt: skip
        if not ready:  # waits for the first frame of a video
            heapq.heappush(free, (min(time for time in (anchored[n] for n in left) if time > now), worker))
            continue
        unit, number = max(ready, key=lambda pair: pair[0].frames)
        left[number].remove(unit)
        if not left[number]:
            del left[number]
        end = now + (unit.frames + unit.warm_up) * seconds_a_frame
        if unit.first == 0:
            anchored[number] = now + min(anchor_frames, unit.frames) * seconds_a_frame
        assignments.append(Assignment(number, unit, worker, now, end))
        heapq.heappush(free, (end, worker))
    return SpreadPlan(tuple(assignments), workers)
