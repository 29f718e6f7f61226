"""The dots of a halftone: of one size on the screen, and fixed to what they print."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
import pytest

from media import picture
from stylize.structure import StrokeOrder, take_strokes
from stylize.structure.screens import PERIOD, SCREEN, draw_screen
from stylize.structure.sheets import make_sheets
from stylize.structure.strokes import carry_strokes, start_strokes

SHEETS = make_sheets()
FRAME = picture(3, 192, 144)


def count_dots(screen: np.ndarray) -> int:
    """Local maxima well inside."""
    inner = screen[16:-16, 16:-16]
    return int(((inner == cv2.dilate(inner, np.ones((5, 5)))) & (inner > 0.7)).sum())


def test_it_is_a_map_of_round_dots() -> None:
    screen = draw_screen(start_strokes(FRAME, SHEETS))
    assert screen.shape == FRAME.shape[:2] and screen.dtype == np.float32
    assert screen.min() >= 0 and screen.max() <= 1 and abs(screen.mean() - 0.5) < 0.02
    assert count_dots(screen) == pytest.approx(160 * 112 / PERIOD**2, rel=0.15)
    assert np.abs(np.sort(screen.ravel()) - np.sort(1 - screen.ravel())).mean() < 0.02  # dots and gaps are alike


@pytest.mark.parametrize("shift", [(3, 0), (-4, 2), (0, 7)])
def test_dots_move_with_what_they_print(shift: tuple[int, int]) -> None:
    strokes, frame = start_strokes(FRAME, SHEETS), FRAME
    first, visible = draw_screen(strokes), np.ones(FRAME.shape[:2], bool)
    flow = np.broadcast_to(-np.float32(shift), (*FRAME.shape[:2], 2)).copy()
    for _ in range(4):
        frame = np.roll(frame, shift[::-1], (0, 1))
        strokes = carry_strokes(strokes, frame, flow, visible, SHEETS)
    moved = np.roll(first, (4 * shift[1], 4 * shift[0]), (0, 1))
    inner = np.s_[36:-36, 36:-36]
    assert np.abs(draw_screen(strokes)[inner] - moved[inner]).mean() < 0.02


def test_dots_keep_their_size_where_the_camera_comes_nearer() -> None:
    strokes = start_strokes(FRAME, SHEETS)
    first, visible = draw_screen(strokes), np.ones(FRAME.shape[:2], bool)
    y, x = np.mgrid[:144, :192].astype(np.float32)
    flow = np.dstack([-0.03 * (x - 96), -0.03 * (y - 72)])
    for _ in range(46):  # four times as near
        strokes = carry_strokes(strokes, FRAME, flow, visible, SHEETS)
    assert count_dots(draw_screen(strokes)) == pytest.approx(count_dots(first), rel=0.35)


def test_it_is_the_blue_of_the_map_at_its_seconds_only() -> None:
    order = StrokeOrder(cells=((Fraction(0), SCREEN), (Fraction(2), "stones")))
    assert order.kinds == ("stones",)
    maps, state = take_strokes([(FRAME, None, Fraction(0))], order, None, 0)
    assert np.array_equal(maps[0, 2], draw_screen(state.strokes))
    later, state = take_strokes([(FRAME, None, Fraction(2))], order, None, 0)
    assert np.array_equal(later[0, 2], state.cells[0].picture)
