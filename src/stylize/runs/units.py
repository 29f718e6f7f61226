"""Units: parts of a video that can be restyled without each other, and in any order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from stylize.decode.source import Source
from stylize.encode.segments import LENGTH
from stylize.frames import one_by_one
from stylize.motion import CutDetector, split_shots

STRETCH, WARM_UP = 240, 16
"""Frames of a stretch that a long shot is cut into, and those before it that are restyled and thrown away."""


@dataclass(frozen=True)
class Unit:
    """Consecutive frames that are restyled by themselves: whole shots, or a stretch of one.

    The first frame of a shot depends on nothing of the shots before it but the style anchor and their number.
    """

    first: int = 0
    """Number of the first frame."""
    last: int | None = None
    """Number of the frame after the last one; `None` is the end of the video."""
    shot: int = 0
    """Number of the shot that it begins with."""
    warm_up: int = 0
    """Frames before the first one that are restyled, too, and thrown away."""
    state: str = ""
    """File with the state to go on from, in the run's folder; empty at the start of a shot."""
    border: int | None = None
    """Frame at which the unit would begin if nothing were done yet; `None` is `first`."""

    @property
    def frames(self) -> int:
        """The number of frames, those of the warm-up not among them."""
        return 0 if self.last is None else self.last - self.first


WHOLE = Unit()
"""A whole video."""


def find_shots(reader: Source, look: Callable[[int], None] | None = None) -> tuple[list[int], int]:
    """Returns the first frames of all shots, and the number of frames, as a run at the reader's size finds them.

    Args:
        look: called after every frame with the number of frames so far; what it raises ends the search.
    """
    starts, frames = [], 0
    with reader:
        for frame, _ in split_shots(one_by_one(reader.clips()), CutDetector()):
            if frame.starts_shot:
                starts.append(frames)
            frames += 1
            if look is not None:
                look(frames)
    return starts, frames


def is_border(first: int, border: int) -> bool:
    """Tells whether a shot that starts at frame `first` starts a unit, too, if the unit before starts at `border`.

    Segments of the encoded video end at these borders in every run, so that it does not matter who makes them.
    """
    return first - border >= LENGTH


def plan_units(starts: Iterable[int], frames: int, *, split: bool = False) -> list[Unit]:
    """Cuts a video into units, in their order.

    Args:
        starts: the first frames of the shots, in their order; the first is 0.
        frames: the number of all frames.
        split: cut long shots into stretches. They differ a little from those of an uncut run.
    """
    begins: list[tuple[int, int]] = []
    for shot, first in enumerate(starts):
        if not begins or is_border(first, begins[-1][0]):
            begins.append((first, shot))
    ends = [first for first, _ in begins[1:]] + [frames]
    units = [Unit(first, last, shot) for (first, shot), last in zip(begins, ends, strict=True)]
    return [part for unit in units for part in (_split(unit, starts) if split else [unit])]


def _split(unit: Unit, starts: Iterable[int]) -> Sequence[Unit]:
    """Cuts the last shot of a unit into stretches, where it is long."""
    assert unit.last is not None
    inside = [(shot, first) for shot, first in enumerate(starts) if unit.first <= first < unit.last]
    shot, begin = inside[-1]
    cuts = range(begin + STRETCH, unit.last - STRETCH // 2, STRETCH)
    if not cuts:
        return [unit]
    head = Unit(unit.first, cuts[0], unit.shot)
    ends = [*cuts[1:], unit.last]
    return [head, *(Unit(first, last, shot, WARM_UP) for first, last in zip(cuts, ends, strict=True))]


def units_after(units: Sequence[Unit], done: int, state: str, border: int) -> list[Unit]:
    """Returns what is left of the units if the first `done` frames are there already.

    Args:
        state: file with the state after them.
        border: the last frame at which a unit begins among them.
    """
    left = [unit for unit in units if unit.last is not None and unit.last > done]
    if left and left[0].first < done:
        left[0] = Unit(done, left[0].last, left[0].shot, state=state, border=border)
    return left
