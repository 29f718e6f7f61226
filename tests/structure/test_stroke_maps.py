"""The map of the strokes control, frame by frame or many at a time."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from media import picture
from stylize.motion import motion_between
from stylize.structure import StrokeOrder, stroke_field, take_strokes
from stylize.structure.stroke_maps import StrokeState
from stylize.structure.strokes import draw_lines
from stylize.style import find_moment

FRAMES = [picture(i, 96, 64) for i in range(5)]
STEPS = [
    (frame, motion_between(FRAMES[i - 1], frame) if i else None, Fraction(i, 25)) for i, frame in enumerate(FRAMES)
]


def test_lines_field_and_cells_are_red_green_and_blue() -> None:
    maps, state = take_strokes(STEPS[:1], StrokeOrder(cells=((Fraction(0), "stones"),)), None, 0)
    assert maps.shape == (1, 3, 64, 96) and maps.dtype == np.float32
    assert np.array_equal(maps[0, 0], draw_lines(FRAMES[0]))
    assert np.array_equal(maps[0, 1], state.strokes.picture)
    assert np.array_equal(maps[0, 2], state.cells[0].picture)
    plain, _ = take_strokes(STEPS[:1], StrokeOrder(), None, 0)
    assert not plain[0, 2].any() and np.array_equal(plain[0, 1], maps[0, 1])


def test_one_by_one_or_together_is_the_same() -> None:
    order = StrokeOrder(seed=3, cells=((Fraction(0), "panes"), (Fraction(1, 5), "dabs")))
    together, end = take_strokes(STEPS, order, None, 2)
    state: StrokeState | None = None
    for i, step in enumerate(STEPS):
        alone, state = take_strokes([step], order, state, 2)
        assert np.array_equal(alone[0], together[i])
    assert state is not None and np.array_equal(state.strokes.values, end.strokes.values)


def test_seeds_and_shots_have_strokes_of_their_own() -> None:
    fields = [
        take_strokes(STEPS[:1], StrokeOrder(seed), None, shot)[0][0, 1] for seed, shot in ((0, 0), (1, 0), (0, 1))
    ]
    assert max(abs(np.corrcoef(fields[0].ravel(), other.ravel())[0, 1]) for other in fields[1:]) < 0.3
    assert fields[0].std() == pytest.approx(stroke_field(FRAMES[0]).std(), rel=0.1)


@pytest.mark.parametrize(
    ("second", "kind"), [(-1, None), (0, None), (1.9, None), (2, "dots"), (5, "dots"), (8, "stones")]
)
def test_between_two_prompts_the_nearer_one_has_its_cells(second: float, kind: str | None) -> None:
    order = StrokeOrder(cells=((Fraction(0), None), (Fraction(4), "dots"), (Fraction(8), "stones")))
    assert find_moment(order.cells, Fraction(second)) == kind
    assert order.kinds == ("dots", "stones")
