"""Divides a picture into cells around seeds, as mosaics and dabs of paint do, and carries the seeds along a shot.

Each cell has a random value that stays with it: a painter's choice of colour for one stone or dab. Five kinds: `stones`
(each pixel belongs to the nearest seed), `panes` (regions that meet at the picture's edges, by watershed), `dabs`
(ellipses along the strokes), `brush` (broader ones) and `dots`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from stylize.frames import Map, Picture
from stylize.structure.sheets import Floats

Labels = npt.NDArray[np.int32]
"""`[H, W]`, the row of each pixel's seed and 1; 0 where no cell lies."""

SHIFT = 4
"""Bits of the fractions of a pixel that OpenCV draws with."""
CROWDED, EMPTY = 0.5, 0.85
"""Distances in spacings: of two seeds the younger goes below the first; above the second a new one is set."""
LOWEST = 0.2
"""Lowest value of a cell in the map, where 0 is between cells."""
SPECK = 0.12
"""Panes smaller than this share of a spacing's square join their neighbours."""
FLOW_BLUR = 9
"""Side of the square over which the flow of a seed is averaged, in pixels: neighbours should move alike."""
GROWN_FROM = 3
"""Side of the square by which panes shrink before they grow anew, in pixels: their borders may move by half of it."""

LEAD_BLUR = 0.7
"""Standard deviation of the blur of drawn borders, in pixels."""
Drawn: TypeAlias = tuple[Labels, Floats]
"""Labels and cover of cells."""


@dataclass(frozen=True)
class CellKind:
    """How cells lie."""

    spacing: float
    """Mean distance of the seeds, in pixels."""
    jitter: float
    """How far seeds lie off a grid, in spacings."""
    length: float = 0.0
    """Half axes of ellipses, in pixels."""
    width: float = 0.0


KINDS = {
    "stones": CellKind(9, 0.55), "panes": CellKind(26, 0.8), "dots": CellKind(5, 0.9, 2.6, 2.6),
    "dabs": CellKind(6, 0.95, 7.5, 3.2), "brush": CellKind(9, 0.9, 14, 5.5),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of one frame, and all that the next one's go on from."""

    kind: str
    points: Floats = field(repr=False)
    """`[N, 2]`, x and y of the seeds; older ones first."""
    values: Floats = field(repr=False)
    """`[N]` in [0, 1]."""
    ids: Labels = field(repr=False)
    """`[N]`, numbers that no other seed of the shot has."""
    born: int
    """How many seeds there were so far."""
    labels: Labels = field(repr=False)
    cover: Floats = field(repr=False)
    """`[H, W]` in [0, 1], 0 in the joints between cells; fractions count, or joints would shake."""

    @property
    def picture(self) -> Map:
        """The cells as a control map, `[H, W]` in [0, 1]: 0 between cells, else from `LOWEST` to 1 by their values."""
        table = np.concatenate([[0], LOWEST + (1 - LOWEST) * self.values]).astype(np.float32)
        return np.asarray(table[self.labels] * self.cover, np.float32)


def start_cells(kind: str, picture: Picture, direction: Floats, seed: int = 0) -> Cells:
    """Sets the seeds of the first frame of a shot.

    Args:
        kind: of `KINDS`.
        picture: uint8 RGB `[H, W, 3]`.
        direction: of the strokes, `[H, W, 2]`.
        seed: of the places and values.
    """
    rng, rule = np.random.default_rng(seed), KINDS[kind]
    height, width = picture.shape[:2]
    half, end = rule.spacing / 2, rule.spacing
    x, y = np.meshgrid(np.arange(-half, width + end, end), np.arange(-half, height + end, end))
    places = np.stack([x.ravel(), y.ravel()], 1) + rule.jitter * rule.spacing * (rng.random((x.size, 2)) - 0.5)
    points = places[_inside(places, picture.shape)].astype(np.float32)
    values, ids = rng.random(len(points), np.float32), np.arange(1, len(points) + 1, dtype=np.int32)
    nothing = np.zeros(picture.shape[:2], np.float32)
    cells = Cells(kind, points, values, ids, len(points), nothing.astype(np.int32), nothing)
    labels, cover = DRAWN[kind](cells, picture, direction, None)
    return replace(cells, labels=labels, cover=cover)


def carry_cells(
    cells: Cells, picture: Picture, direction: Floats, flow: Floats, visible: npt.NDArray[np.bool_], seed: int = 0
) -> Cells:
    """Carries the seeds to the next frame of a shot; crowded ones go, and holes get new ones.

    Args:
        picture: the next frame, uint8 RGB `[H, W, 3]`.
        flow: from it to the frame before, `[H, W, 2]` in pixels.
        visible: where the flow can be trusted, `[H, W]`.
    """
    spacing = KINDS[cells.kind].spacing
    points = _follow(cells.points, flow)
    stay = _inside(points, picture.shape)
    stay[stay] = _apart(points[stay], CROWDED * spacing)
    new = _find_holes(points[stay], picture.shape, spacing)
    moved = Cells(
        cells.kind,
        np.concatenate([points[stay], new]).astype(np.float32),
        np.concatenate([cells.values[stay], np.random.default_rng([seed, cells.born]).random(len(new), np.float32)]),
        np.concatenate([cells.ids[stay], np.arange(cells.born + 1, cells.born + 1 + len(new), dtype=np.int32)]),
        cells.born + len(new),
        cells.labels,
        cells.cover,
    )
    grown = _shrink_panes(cells, moved, flow, visible) if cells.kind == "panes" else None
    labels, cover = DRAWN[cells.kind](moved, picture, direction, grown)
    return replace(moved, labels=labels, cover=cover)


def _follow(points: Floats, flow: Floats) -> Floats:
    """Returns where points of the frame before are now, by a flow that leads back: a fixed point of three rounds."""
    now, flow = points, cv2.blur(flow, (FLOW_BLUR, FLOW_BLUR))
    for _ in range(3):
        places = np.ascontiguousarray(now[:, None])
        now = points - cv2.remap(flow, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[:, 0]
    return np.asarray(now, np.float32)


def _inside(points: npt.NDArray[np.floating], shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    return np.asarray(((points >= 0) & (points <= np.array(shape[1::-1]) - 1)).all(1))


def _apart(points: Floats, least: float) -> npt.NDArray[np.bool_]:
    """Which seeds stay when of two that are too near the older one does; older ones come first."""
    stay = np.ones(len(points), bool)
    for older, younger in sorted(cKDTree(points).query_pairs(least)):
        if stay[older]:
            stay[younger] = False
    return stay


def _find_holes(points: Floats, shape: tuple[int, ...], spacing: float) -> Floats:
    """Returns seeds for the middles of holes, until there are none."""
    new = np.zeros((0, 2), np.float32)
    size = 2 * int(spacing) + 1
    while True:
        free = np.full(shape[:2], 255, np.uint8)
        x, y = _to_pixels(np.concatenate([points, new]), shape)
        free[y, x] = 0
        far = cv2.distanceTransform(free, cv2.DIST_L2, 5)
        middles = np.argwhere((far > EMPTY * spacing) & (far == cv2.dilate(far, np.ones((size, size)))))[:, ::-1]
        if not len(middles):
            return new
        _, first = np.unique(np.floor(middles / spacing), axis=0, return_index=True)
        found = middles[first].astype(np.float32)
        new = np.concatenate([new, found[_apart(found, CROWDED * spacing)]])


def _to_pixels(points: Floats, shape: tuple[int, ...]) -> tuple[Labels, Labels]:
    x, y = np.rint(points).astype(np.int32).T
    return x.clip(0, shape[1] - 1), y.clip(0, shape[0] - 1)


def _draw_stones(cells: Cells, picture: Picture, direction: Floats, grown: Labels | None) -> Drawn:
    """Draws Voronoi cells with joints between them."""
    height, width = picture.shape[:2]
    plane = cv2.Subdiv2D((-width, -height, 3 * width, 3 * height))
    vertices = [plane.insert((float(x), float(y))) for x, y in cells.points]
    facets, _ = plane.getVoronoiFacetList(vertices)
    labels, joints = np.zeros((height, width), np.int32), np.zeros((height, width), np.uint8)
    corners = [np.rint(facet * 2**SHIFT).astype(np.int32) for facet in facets]
    for label, polygon in enumerate(corners, 1):
        cv2.fillConvexPoly(labels, polygon, label, cv2.LINE_8, SHIFT)
    cv2.polylines(joints, corners, True, 255, 1, cv2.LINE_AA, SHIFT)
    return labels, 1 - joints.astype(np.float32) / np.float32(255)


def _draw_panes(cells: Cells, picture: Picture, direction: Floats, grown: Labels | None) -> Drawn:
    """Draws regions that grow from the seeds, or from `grown`, to the picture's edges, with lead between them."""
    marks = np.zeros(picture.shape[:2], np.int32) if grown is None else grown.copy()
    x, y = _to_pixels(cells.points, picture.shape)
    free = marks[y, x] == 0  # a seed inside another's pane would be a speck
    marks[y[free], x[free]] = np.arange(1, len(x) + 1)[free]
    labels = np.maximum(cv2.watershed(np.ascontiguousarray(cv2.GaussianBlur(picture, (0, 0), 1.5)), marks), 0)
    sizes = np.bincount(labels.ravel())
    specks = sizes < SPECK * KINDS["panes"].spacing ** 2
    specks[0] = True
    _, nearest = cv2.distanceTransformWithLabels(
        specks[labels].astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    table = np.zeros(nearest.max() + 1, np.int32)
    table[nearest[~specks[labels]]] = labels[~specks[labels]]
    labels = table[nearest]
    joints = np.zeros(labels.shape, np.uint8)
    joints[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    joints[1:] |= labels[1:] != labels[:-1]
    lead = cv2.dilate(joints, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3)))
    return labels, 1 - cv2.GaussianBlur(lead.astype(np.float32), (0, 0), LEAD_BLUR)


def _shrink_panes(before: Cells, now: Cells, flow: Floats, visible: npt.NDArray[np.bool_]) -> Labels:
    """Returns what panes grow from: what they were, a little smaller, so that borders only move with the edges."""
    row_of = np.zeros(now.born + 1, np.float32)
    row_of[now.ids] = np.arange(1, len(now.ids) + 1)
    rows = np.concatenate([[0], row_of[before.ids]]).astype(np.float32)[before.labels]
    height, width = rows.shape
    where = np.dstack(np.meshgrid(np.arange(width), np.arange(height))).astype(np.float32) + flow
    moved = cv2.remap(rows, where, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    square = np.ones((GROWN_FROM, GROWN_FROM), np.uint8)
    # lead is 3 pixels wide: what was beside it grows over it first
    inside = (cv2.erode(moved, square) == cv2.dilate(moved, square)) & visible
    return np.where(inside, moved, 0).astype(np.int32)


def _draw_dabs(cells: Cells, picture: Picture, direction: Floats, grown: Labels | None) -> Drawn:
    """Draws ellipses along the strokes, one over the other in an order of chance that stays."""
    rule, labels = KINDS[cells.kind], np.zeros(picture.shape[:2], np.int32)
    x, y = _to_pixels(cells.points, picture.shape)
    turns = np.degrees(np.arctan2(direction[y, x, 1], direction[y, x, 0])).tolist()
    centres = np.rint(cells.points * 2**SHIFT).astype(int).tolist()
    axes = round(rule.length * 2**SHIFT), round(rule.width * 2**SHIFT)
    for k in np.argsort(997 * cells.values % 1).tolist():
        cv2.ellipse(labels, centres[k], axes, turns[k], 0, 360, k + 1, -1, cv2.LINE_8, SHIFT)
    return labels, cv2.GaussianBlur((labels > 0).astype(np.float32), (0, 0), LEAD_BLUR)


DRAWN: dict[str, Callable[[Cells, Picture, Floats, Labels | None], Drawn]] = {
    "stones": _draw_stones, "panes": _draw_panes, "dabs": _draw_dabs, "dots": _draw_dabs, "brush": _draw_dabs
}  # fmt: skip
