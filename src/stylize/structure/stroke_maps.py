"""Makes the map of the `strokes` control: lines, stroke field and cells as red, green and blue."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from stylize.errors import StyleError
from stylize.frames import Map, Picture
from stylize.motion import Motion
from stylize.structure.cells import KINDS, Cells, carry_cells, start_cells
from stylize.structure.coarsen import blur_forms
from stylize.structure.screens import SCREEN, draw_screen
from stylize.structure.sheets import SHEET, make_sheets
from stylize.structure.strokes import DrawField, Strokes, carry_strokes, draw_field, draw_lines, start_strokes
from stylize.style import Moments, find_moment

STROKES = "strokes"
"""Name of the control."""
CELL_KINDS = (*KINDS, SCREEN)
"""What the blue of the map can show."""


@dataclass(frozen=True)
class StrokeOrder:
    """What strokes a run wants."""

    seed: int = 0
    """Another one gives another hand: other places for the same strokes."""
    cells: Moments[str | None] = ((Fraction(0), None),)
    """The kind of cells (of `CELL_KINDS`), or none, from each second on, on the source's clock."""
    structure: float = 1.0
    """How tightly lines hold the forms, in [0, 1]."""

    def __post_init__(self) -> None:
        if unknown := {kind for _, kind in self.cells} - {None, *CELL_KINDS}:
            raise StyleError(f"there are no cells '{min(map(str, unknown))}'", f"use {', '.join(CELL_KINDS)}")

    @property
    def kinds(self) -> tuple[str, ...]:
        """Every kind of cells around seeds that the run ever wants; all are carried all the time."""
        return tuple(sorted({kind for _, kind in self.cells if kind in KINDS}))


@dataclass(frozen=True, eq=False)
class StrokeState:
    """The strokes and cells of one frame, which the next one's go on from; nothing at the start of a shot."""

    strokes: Strokes
    cells: tuple[Cells, ...] = field(default=(), repr=False)
    """In the order of `StrokeOrder.kinds`."""


def take_strokes(
    frames: Iterable[tuple[Picture, Motion | None, Fraction]],
    order: StrokeOrder,
    state: StrokeState | None,
    shot: int,
    draw: DrawField = draw_field,
) -> tuple[Map, StrokeState]:
    """Returns the maps of consecutive frames of a shot, and the state after them.

    Args:
        frames: uint8 RGB `[H, W, 3]`, each with the motion back to the frame before it and its second; no motion where
            nothing was before.
        state: of the frame before; `None` at the start of a shot.
        shot: number of the shot: each one has strokes of its own.
        draw: `draw_field`, or `stroke_gpu.draw_on` a device.

    Returns:
        float32 `[T, 3, H, W]` in [0, 1].
    """
    maps = []
    for picture, motion, time in frames:
        if state is None or motion is None:
            state = _start(picture, order, shot, draw)
        else:
            state = _carry(picture, motion, order, state, draw)
        maps.append(_paint(picture, order, state, time))
    assert state is not None
    return np.stack(maps), state


def _start(picture: Picture, order: StrokeOrder, shot: int, draw: DrawField) -> StrokeState:
    rng = np.random.default_rng([order.seed, shot])
    x, y = rng.uniform(0, SHEET, 2)
    strokes = start_strokes(picture, make_sheets(), (float(x), float(y)), draw)
    seeds = rng.integers(2**31, size=len(order.kinds))
    cells = [start_cells(k, picture, strokes.direction, int(s)) for k, s in zip(order.kinds, seeds, strict=True)]
    return StrokeState(strokes, tuple(cells))


def _carry(picture: Picture, motion: Motion, order: StrokeOrder, state: StrokeState, draw: DrawField) -> StrokeState:
    strokes = carry_strokes(state.strokes, picture, motion.flow, motion.visible, make_sheets(), draw)
    cells = [
        carry_cells(cells, picture, strokes.direction, motion.flow, motion.visible, order.seed) for cells in state.cells
    ]
    return StrokeState(strokes, tuple(cells))


def _paint(picture: Picture, order: StrokeOrder, state: StrokeState, time: Fraction) -> Map:
    """Joins lines, stroke field and the cells of the moment to one map, `[3, H, W]`."""
    lines, field = draw_lines(blur_forms(picture, order.structure)), state.strokes.picture
    kind = find_moment(order.cells, time)
    if kind == SCREEN:
        cells = draw_screen(state.strokes)
    else:
        cells = np.zeros_like(field) if kind is None else state.cells[order.kinds.index(kind)].picture
    return np.stack([lines, field, cells]).astype(np.float32)
