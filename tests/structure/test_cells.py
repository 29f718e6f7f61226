"""Cells: stones, panes, dabs and dots that keep their values while they move."""

from __future__ import annotations

import numpy as np
import pytest

from media import picture
from stylize.structure.cells import KINDS, LOWEST, SPECK, Cells, carry_cells, start_cells
from stylize.structure.sheets import make_sheets
from stylize.structure.strokes import start_strokes

FRAME = picture(3, 160, 120)
DIRECTION = start_strokes(FRAME, make_sheets()).direction
EVERYWHERE = np.ones(FRAME.shape[:2], bool)


def move(cells: Cells, x: float, y: float, frame: np.ndarray = FRAME) -> Cells:
    flow = np.broadcast_to(np.float32([-x, -y]), (*FRAME.shape[:2], 2)).copy()
    return carry_cells(cells, frame, DIRECTION, flow, EVERYWHERE)


@pytest.mark.parametrize("kind", KINDS)
def test_a_map_of_cells(kind: str) -> None:
    cells = start_cells(kind, FRAME, DIRECTION)
    shown = cells.picture
    assert shown.shape == FRAME.shape[:2] and shown.dtype == np.float32
    assert shown.min() >= 0 and shown.max() <= 1 and shown.std() > 0.1
    inside = cells.cover > 0.999
    assert (shown[inside & (cells.labels > 0)] >= LOWEST - 1e-3).all()
    spacing = KINDS[kind].spacing
    assert 0.7 < len(cells.points) / (160 * 120 / spacing**2) < 1.4
    again, other = start_cells(kind, FRAME, DIRECTION), start_cells(kind, FRAME, DIRECTION, seed=1)
    assert np.array_equal(again.picture, shown) and not np.array_equal(other.picture, shown)


@pytest.mark.parametrize("kind", ["stones", "panes"])
def test_every_pixel_has_a_stone_or_a_pane(kind: str) -> None:
    assert start_cells(kind, FRAME, DIRECTION).labels.min() >= 1


def test_no_pane_is_a_speck() -> None:
    cells = start_cells("panes", FRAME, DIRECTION)
    sizes = np.bincount(cells.labels.ravel())
    assert sizes[sizes > 0].min() >= SPECK * KINDS["panes"].spacing ** 2


@pytest.mark.parametrize("kind", KINDS)
def test_cells_keep_their_values_and_move(kind: str) -> None:
    before = start_cells(kind, FRAME, DIRECTION)
    after = move(before, 2.5, 1.25, np.roll(FRAME, (1, 2), (0, 1)))
    kept, rows, mine = np.intersect1d(before.ids, after.ids, return_indices=True)
    assert len(kept) > 0.8 * len(before.ids)
    assert np.array_equal(before.values[rows], after.values[mine])
    assert np.allclose(before.points[rows] + [2.5, 1.25], after.points[mine], atol=1e-3)
    assert len(set(after.ids.tolist())) == len(after.ids)


@pytest.mark.parametrize("kind", KINDS)
def test_holes_are_filled_and_crowds_thinned_out(kind: str) -> None:
    cells = start_cells(kind, FRAME, DIRECTION)
    spacing, count = KINDS[kind].spacing, len(cells.points)
    for _ in range(6):
        cells = move(cells, 6, 0)
    assert 0.6 * count < len(cells.points) < 1.6 * count
    assert (cells.points[:, 0] < 36).any()  # what came in from the left
    y, x = np.mgrid[:120, :160]
    height, width = FRAME.shape[:2]
    centre = np.float32([(width - 1) / 2, (height - 1) / 2])
    shrink = (np.dstack([x, y]).astype(np.float32) - centre) * np.float32(0.5)  # all came from twice as far
    crowded = carry_cells(cells, FRAME, DIRECTION, shrink, EVERYWHERE)
    apart = np.linalg.norm(crowded.points[:, None] - crowded.points[None], axis=-1) + 1e9 * np.eye(len(crowded.points))
    assert apart.min() >= 0.5 * spacing - 1e-3


def test_borders_of_stones_move_by_fractions_of_a_pixel() -> None:
    before = start_cells("stones", FRAME, DIRECTION)
    after = move(before, 0.25, 0)
    change = np.abs(after.cover - before.cover)
    assert change.max() > 0.1 and change.mean() < 0.12
