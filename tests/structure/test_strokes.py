"""Stroke fields: noise along the forms, of one contrast everywhere, that sticks to what moves."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from media import picture
from stylize import stroke_field
from stylize.structure.sheets import make_sheets
from stylize.structure.strokes import (
    CONTRAST,
    NEIGHBOURHOOD,
    Strokes,
    carry_strokes,
    draw_along,
    start_strokes,
)

SHEETS = make_sheets()


def stripes(angle: float, size: int = 192) -> np.ndarray:
    """Stripes whose edges run at an angle."""
    y, x = np.mgrid[:size, :size]
    wave = np.sin(0.25 * (y * np.cos(angle) - x * np.sin(angle)))
    return np.repeat(np.round(127 + 100 * wave).astype(np.uint8)[..., None], 3, -1)


def slope(field: np.ndarray, angle: float) -> float:
    """Mean change of the inner field in a direction."""
    dx, dy = (cv2.Sobel(field, cv2.CV_32F, *axes)[16:-16, 16:-16] for axes in ((1, 0), (0, 1)))
    return float(np.abs(dx * np.cos(angle) + dy * np.sin(angle)).mean())


def moved(frame: np.ndarray, shift: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The frame shifted by x and y, with the true flow back, and where it can be trusted."""
    x, y = shift
    flow = np.broadcast_to(np.float32([-x, -y]), (*frame.shape[:2], 2)).copy()
    visible = np.ones(frame.shape[:2], bool)
    visible[: max(0, y)] = visible[:, : max(0, x)] = False
    return np.roll(frame, (y, x), (0, 1)), flow, visible


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


@pytest.mark.parametrize("size", [(192, 144), (97, 61), (16, 16)])
def test_it_is_a_map_of_one_contrast(size: tuple[int, int]) -> None:
    field = stroke_field(picture(3, *size))
    assert field.shape == size[::-1] and field.dtype == np.float32 and field.min() >= 0 and field.max() <= 1
    assert abs(field.mean() - 0.5) < 0.05
    if size[0] > 100:
        local = np.sqrt(cv2.GaussianBlur((field - 0.5) ** 2, (0, 0), NEIGHBOURHOOD))
        assert np.abs(local / CONTRAST - 1).max() < 0.25


def test_the_same_seed_gives_the_same_strokes() -> None:
    frame = picture(3, 128, 96)
    assert np.array_equal(stroke_field(frame), stroke_field(frame))
    assert abs(agreement(stroke_field(frame), stroke_field(frame, seed=1))) < 0.3


@pytest.mark.parametrize("degrees", [0, 30, 90, 135])
def test_strokes_run_along_the_forms(degrees: int) -> None:
    angle = np.radians(degrees)
    field = stroke_field(stripes(angle))
    assert slope(field, angle + np.pi / 2) > 2.5 * slope(field, angle)


def test_an_empty_picture_has_strokes_too() -> None:
    field = stroke_field(np.full((128, 128, 3), 90, np.uint8))
    assert np.isfinite(field).all() and field.std() > 0.8 * CONTRAST


def test_a_line_integral_leaves_what_does_not_change_along_the_line() -> None:
    rows = np.repeat(np.float32(np.random.default_rng(0).random((64, 1))), 64, 1)
    along = np.zeros((64, 64, 2), np.float32)
    along[..., 0] = 1
    assert np.abs(draw_along(rows, along, (1.0, 3.0, 9.0)) - rows).max() < 1e-6
    across = draw_along(rows, along[..., ::-1].copy(), (1.0, 3.0, 9.0))
    assert across.std() < 0.4 * rows.std()


@pytest.mark.parametrize("shift", [(3, 0), (-4, 2), (0, 7)])
def test_strokes_move_with_what_they_paint(shift: tuple[int, int]) -> None:
    frame = picture(3, 192, 144)
    strokes = start_strokes(frame, SHEETS)
    first = strokes.values
    for _ in range(4):
        frame, flow, visible = moved(frame, shift)
        strokes = carry_strokes(strokes, frame, flow, visible, SHEETS)
    x, y = 4 * shift[0], 4 * shift[1]
    inner = np.s_[36:-36, 36:-36]
    assert agreement(strokes.values[inner], np.roll(first, (y, x), (0, 1))[inner]) > 0.8
    assert agreement(strokes.values[inner], first[inner]) < 0.5


def zoomed(strokes: Strokes, frame: np.ndarray, rounds: int, factor: float) -> Strokes:
    height, width = frame.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    centre = np.float32([(width - 1) / 2, (height - 1) / 2])
    flow = (np.dstack([x, y]) - centre) * np.float32(1 / factor - 1)
    there = np.dstack([x, y]) + flow
    visible = ((there >= 0) & (there <= (width - 1, height - 1))).all(-1)
    for _ in range(rounds):
        strokes = carry_strokes(strokes, frame, flow, visible, SHEETS)
    return strokes


@pytest.mark.parametrize("factor", [1.012, 0.988])
def test_strokes_keep_their_width_where_the_picture_zooms(factor: float) -> None:
    """By two within 60 frames: the noise alone would be stretched by as much."""
    frame = np.full((144, 192, 3), 128, np.uint8)
    before = start_strokes(frame, SHEETS, (0.4, 0.7))  # between the sheet's pixels, as later frames are
    after = zoomed(before, frame, 60, factor)
    steep = [np.abs(cv2.Laplacian(s.values, cv2.CV_32F)).mean() for s in (before, after)]
    assert 0.7 < steep[1] / steep[0] < 1.3
    assert 0.85 < after.values.std() / before.values.std() < 1.15


def test_where_the_flow_is_lost_strokes_stay_whole() -> None:
    frame, other = picture(3, 192, 144), picture(40, 192, 144)
    strokes = start_strokes(frame, SHEETS)
    wild = np.random.default_rng(0).normal(0, 30, (*frame.shape[:2], 2)).astype(np.float32)
    after = carry_strokes(strokes, other, wild, np.zeros(frame.shape[:2], bool), SHEETS)
    assert np.isfinite(after.values).all()
    assert 0.8 < after.values.std() / CONTRAST < 1.2
    rough = [np.abs(cv2.Laplacian(s.values, cv2.CV_32F)).mean() for s in (strokes, after)]
    assert rough[1] < 1.3 * rough[0]
