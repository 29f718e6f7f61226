"""Units: every frame belongs to one, and each begins where nothing of the frames before it is needed."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from stylize.encode.segments import LENGTH
from stylize.runs.cluster.plan import simulate
from stylize.runs.units import STRETCH, WARM_UP, Unit, plan_units, units_after

LENGTHS = st.lists(st.integers(1, 900), min_size=1, max_size=40)


def starts_of(lengths: list[int]) -> tuple[list[int], int]:
    starts = [0]
    for length in lengths:
        starts.append(starts[-1] + length)
    return starts[:-1], starts[-1]


def assert_whole(units: list[Unit], first: int, frames: int) -> None:
    assert units[0].first == first and units[-1].last == frames
    assert all(one.last == other.first for one, other in itertools.pairwise(units))
    assert all(unit.frames > 0 for unit in units)


@given(LENGTHS)
def test_units_are_whole_shots(lengths: list[int]) -> None:
    starts, frames = starts_of(lengths)
    units = plan_units(starts, frames)
    assert_whole(units, 0, frames)
    assert all(starts[unit.shot] == unit.first and unit.warm_up == 0 for unit in units)
    assert all(unit.frames >= LENGTH for unit in units[:-1])  # so that their number is bounded


@given(LENGTHS)
def test_stretches(lengths: list[int]) -> None:
    starts, frames = starts_of(lengths)
    units = plan_units(starts, frames, split=True)
    assert_whole(units, 0, frames)
    for unit in units:
        assert unit.frames <= LENGTH + 2 * STRETCH
        assert starts[unit.shot] == unit.first or (unit.warm_up == WARM_UP and starts[unit.shot] < unit.first)
    for one, other in itertools.pairwise(units):
        if other.warm_up:
            assert other.first - other.warm_up >= max(s for s in starts if s < other.first)  # of its own shot
            assert one.frames >= STRETCH or one.first in starts


@given(LENGTHS, st.data())
def test_what_is_left(lengths: list[int], data: st.DataObject) -> None:
    starts, frames = starts_of(lengths)
    units, done = plan_units(starts, frames), data.draw(st.integers(1, frames - 1)) if frames > 1 else 0
    if not done:
        return
    border = max(unit.first for unit in units if unit.first <= done)
    left = units_after(units, done, "state.safetensors", border)
    assert_whole(left, done, frames)
    assert all(unit in units for unit in left[1:])
    assert left[0] in units or (left[0].state == "state.safetensors" and left[0].border == border)


@given(st.lists(LENGTHS, min_size=1, max_size=4), st.integers(1, 64))
def test_a_plan(lengths: list[list[int]], workers: int) -> None:
    videos = [plan_units(*starts_of(one)) for one in lengths]
    plan = simulate(videos, workers, 0.1)
    assert sorted((one.video, one.unit.first) for one in plan.assignments) == sorted(
        (number, unit.first) for number, units in enumerate(videos) for unit in units
    )
    work = sum(unit.frames for units in videos for unit in units) * 0.1
    longest = max(unit.frames for units in videos for unit in units) * 0.1
    assert work / workers - 1e-6 <= plan.seconds <= work / workers + longest + 0.8 + 1e-6  # Graham's bound, an anchor
    assert 0 <= plan.idle < 1
    for worker in range(workers):
        times = sorted((one.begin, one.end) for one in plan.assignments if one.worker == worker)
        assert all(one[1] <= other[0] + 1e-9 for one, other in itertools.pairwise(times))
