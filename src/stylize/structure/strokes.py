"""Draws noise along the forms of a picture, as a painter lays strokes, and carries it along a shot.

A stroke field is white noise smeared along the edges of a picture: line integral convolution (Cabral and Leedom 1993)
along the structure tensor. In a shot the noise is attached to the surfaces: its coordinates travel with the optical
flow, so strokes move with what they paint, and frames that show the same carry the same strokes. Where the picture
zooms, another octave of the noise is read, so that strokes keep their width on the screen (compare Benard, Bousseau and
Thollot, "Dynamic solid textures", 2009).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from stylize.frames import Map, Picture
from stylize.motion import warp
from stylize.structure.sheets import Floats, Sheets, make_sheets, read_octaves, weigh_octaves

LINE, LINE_CONTRAST, LINE_FLOOR = 1.1, 8.0, 0.98
"""Width of lines in pixels; their contrast; and the share of the wider Gaussian that is taken away: below 1, so that
faint lines on bright ground do not count."""
FORMS = 4.0
"""Standard deviation of the blur that gathers the directions of the forms, in pixels."""
REACH = (1.0, 3.0)
"""Steps of the line integral, in pixels; each triples the length of a stroke."""
LONG, SHORT = 9.0, 3.0
"""The last step of broad strokes, and of their bristles."""
BROAD, FINE = 0.35, 0.21
"""Shares of broad strokes and of their bristles in a field."""
CONTRAST = 0.168
"""Standard deviation of a stroke field, in any neighbourhood of `NEIGHBOURHOOD` pixels."""
NEIGHBOURHOOD = 24.0
KEEP_FORMS, KEEP_FIELD, KEEP_LEVEL = 0.85, 0.6, 0.9
"""Shares of the frame before that are kept: of the structure tensor, as strokes must not turn with a sensor's noise;
of the field; and of the octave, as octaves that change with every wobble of the flow would flicker."""
ZOOM_BLUR = 12.0
"""Standard deviation of the blur of the measured zoom, in pixels."""
SHEARED = 2.2
"""Stretch of the coordinates, as a ratio of two directions, above which a field is drawn anew."""


@dataclass(frozen=True, eq=False)
class Strokes:
    """The strokes of one frame, and all that the next one's go on from; geometry at half the frame's size."""

    values: Floats = field(repr=False)
    """`[H, W]` around 0; `picture` is the map."""
    coordinates: Floats = field(repr=False)
    """`[H/2, W/2, 2]`, x and y in the sheets."""
    level: Floats = field(repr=False)
    """`[H/2, W/2]`, log2 of how many pixels of the sheets lie in a pixel of the screen; followed slowly."""
    forms: Floats = field(repr=False)
    """`[H/2, W/2, 3]`, the structure tensor."""
    direction: Floats = field(repr=False)
    """`[H, W, 2]`, x and y of the strokes' direction; its sense means nothing."""

    @property
    def picture(self) -> Map:
        """The field as a control map, `[H, W]` in [0, 1], a half on average."""
        return np.asarray(np.clip(self.values + 0.5, 0, 1), np.float32)


DrawField: TypeAlias = Callable[[tuple[int, ...], Sheets, Floats, Floats, Floats], tuple[Floats, Floats]]
"""`draw_field`, or what does the same elsewhere."""


def stroke_field(picture: Picture, seed: int = 0) -> Map:
    """Draws the strokes of a single picture.

    Args:
        picture: uint8 RGB `[H, W, 3]`.
        seed: of the noise.

    Returns:
        float32 `[H, W]` in [0, 1], a half on average, with a standard deviation of `CONTRAST`.
    """
    return start_strokes(picture, make_sheets(seed)).picture


def draw_lines(picture: Picture) -> Map:
    """Draws the lines of a picture: a difference of Gaussians of its lightness (XDoG, Winnemoeller 2011).

    Unlike Canny edges it is no yes or no: a look can take fine or bold lines out of it, and between neighbouring frames
    it changes as little as the picture does.

    Args:
        picture: uint8 RGB `[H, W, 3]`.

    Returns:
        float32 `[H, W]` in [0, 1]: a half and a little more on flat ground, less on the dark side of an edge.
    """
    gray = cv2.bilateralFilter(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), 7, 40, 5).astype(np.float32) / 255
    narrow, wide = (cv2.GaussianBlur(gray, (0, 0), LINE * factor) for factor in (1.0, 1.6))
    return np.asarray(np.clip(0.5 + LINE_CONTRAST * (narrow - LINE_FLOOR * wide), 0, 1), np.float32)


def draw_field(
    shape: tuple[int, ...], sheets: Sheets, coordinates: Floats, level: Floats, forms: Floats
) -> tuple[Floats, Floats]:
    """Draws the noise at the coordinates along the forms.

    Args:
        shape: H and W of the frame.
        coordinates, level, forms: as in `Strokes`, at half the size.

    Returns:
        `Strokes.values` and `Strokes.direction`.
    """
    octaves = weigh_octaves(level)
    direction = _find_direction(forms, read_octaves(sheets.turns, coordinates, octaves), shape)
    full = cv2.resize(coordinates, shape[::-1])
    octaves = [(octave, cv2.resize(weight, shape[::-1])) for octave, weight in octaves]
    noise = np.dstack([read_octaves(sheet, full, octaves) for sheet in (sheets.broad, sheets.fine)])
    noise = draw_along(noise, direction, REACH)
    broad = draw_along(np.ascontiguousarray(noise[..., 0]), direction, (LONG,))
    fine = draw_along(np.ascontiguousarray(noise[..., 1]), direction, (SHORT,))
    return _even(BROAD * broad + FINE * fine), direction


def start_strokes(
    picture: Picture, sheets: Sheets, offset: tuple[float, float] = (0.0, 0.0), draw: DrawField = draw_field
) -> Strokes:
    """Lays the strokes of the first frame of a shot, uint8 RGB `[H, W, 3]`.

    Args:
        offset: where the frame's corner lies in the sheets, x and y in pixels.
        draw: `draw_field`, or `stroke_gpu.draw_on` a device.
    """
    shape = _half(picture.shape[:2])
    coordinates = _half_grid(*shape) + np.array(offset, np.float32)
    level, forms = np.zeros(shape, np.float32), _measure_forms(picture)
    values, direction = draw(picture.shape[:2], sheets, coordinates, level, forms)
    return Strokes(values, coordinates, level, forms, direction)


def carry_strokes(
    strokes: Strokes,
    picture: Picture,
    flow: Floats,
    visible: npt.NDArray[np.bool_],
    sheets: Sheets,
    draw: DrawField = draw_field,
) -> Strokes:
    """Carries the strokes to the next frame of a shot.

    Args:
        strokes: of the frame before.
        picture: the next frame, uint8 RGB `[H, W, 3]`.
        flow: from it to the frame before, `[H, W, 2]` in pixels.
        visible: where the flow can be trusted, `[H, W]`; elsewhere the nearest shift that can be is continued, as
            strokes that are dealt anew pixel by pixel are torn.
        draw: `draw_field`, or `stroke_gpu.draw_on` a device.
    """
    size = strokes.level.shape[::-1]
    where = (
        _half_grid(*strokes.level.shape) / 2
        - np.float32(0.25)
        + cv2.resize(flow, size, interpolation=cv2.INTER_AREA) / 2
    )
    lost = _tidy(cv2.resize(visible.astype(np.float32), size, interpolation=cv2.INTER_AREA) < 0.5)
    grid = _half_grid(*strokes.level.shape)
    coordinates = grid + _fill_nearest(_carry(strokes.coordinates, where) - grid, lost)
    measured, sheared = _measure_zoom(coordinates)
    followed = KEEP_LEVEL * _carry(strokes.level, where) + (1 - KEEP_LEVEL) * measured
    level = np.where(lost, measured, followed).astype(np.float32)
    kept = np.float32(KEEP_FORMS) * ~lost[..., None]
    forms = kept * _carry(strokes.forms, where) + (1 - kept) * _measure_forms(picture)
    drawn, direction = draw(picture.shape[:2], sheets, coordinates, level, forms)
    again = cv2.resize((lost | _tidy(sheared)).astype(np.float32), flow.shape[1::-1])
    before = warp(strokes.values, flow, cubic=True)
    share = KEEP_FIELD * (1 - again)
    return Strokes(_even(share * before + (1 - share) * drawn), coordinates, level, forms, direction)


def draw_along(picture: Floats, direction: Floats, steps: tuple[float, ...]) -> Floats:
    """Averages a picture along lines: each step triples the samples, so a few stand for a long line integral.

    Args:
        picture: `[H, W]` or `[H, W, C]`.
        direction: `[H, W, 2]`, unit vectors.
        steps: distances of the samples of each round, in pixels.
    """
    grid = _grid(*direction.shape[:2])
    for step in steps:
        ahead, behind = (
            cv2.remap(picture, grid + side * direction, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
            for side in (np.float32(step), np.float32(-step))
        )
        picture = (picture + ahead + behind) / np.float32(3)
    return picture


def _even(values: Floats) -> Floats:
    """Gives the field the same contrast everywhere."""
    power = _blur_coarsely(values * values, NEIGHBOURHOOD)
    return np.asarray(values * np.clip(CONTRAST / (np.sqrt(np.maximum(power, 0)) + 1e-4), 0.5, 2), np.float32)


def _measure_forms(picture: Picture) -> Floats:
    """Returns the structure tensor: mean products of the gradients, `[H/2, W/2, 3]`."""
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(gray, _half(picture.shape[:2])[::-1], interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    dx, dy = cv2.Sobel(small, cv2.CV_32F, 1, 0), cv2.Sobel(small, cv2.CV_32F, 0, 1)
    return np.asarray(cv2.GaussianBlur(np.dstack([dx * dx, dx * dy, dy * dy]), (0, 0), FORMS / 2), np.float32)


def _find_direction(forms: Floats, turns: Floats, shape: tuple[int, ...]) -> Floats:
    """Returns unit vectors along the edges, `[H, W, 2]`; where there are none, along the `turns`."""
    xx, xy, yy = (forms[..., k] for k in range(3))
    # vectors of twice the angle: a direction and its opposite are one
    across = np.dstack([yy - xx, -2 * xy])
    length, total = np.sqrt((across * across).sum(-1)), xx + yy  # of OpenCV, magnitudes depend on places in memory
    edged = np.clip(1.6 * length / (total + 1e-4) * np.clip(4.5 * np.sqrt(np.maximum(total, 0)), 0, 1), 0, 1)
    flat = np.dstack([turns[..., 0] ** 2 - turns[..., 1] ** 2, 2 * turns[..., 0] * turns[..., 1]])
    flat /= np.hypot(turns[..., 0], turns[..., 1])[..., None] ** 2 + 1e-6
    twice = edged[..., None] * across / (length[..., None] + 1e-6) + (1 - edged[..., None]) * flat
    twice = cv2.resize(cv2.GaussianBlur(twice.astype(np.float32), (0, 0), 1), shape[::-1])
    angle = cv2.phase(twice[..., 0], twice[..., 1]) / 2
    return np.dstack(cv2.polarToCart(np.ones_like(angle), angle))


def _measure_zoom(coordinates: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Returns log2 of the pixels of the sheet in a pixel of the screen, smoothed; and where coordinates are sheared."""
    # of Sobel's 8, as sides; of half sizes, two pixels of the screen
    dx, dy = (cv2.Sobel(coordinates, cv2.CV_32F, *axes) / 16 for axes in ((1, 0), (0, 1)))
    area = np.abs(dx[..., 0] * dy[..., 1] - dx[..., 1] * dy[..., 0])
    size = (dx * dx + dy * dy).sum(-1)
    known = (size < 32) & (area > 1e-3)
    log = np.where(known, 0.5 * np.log2(np.clip(area, 1e-3, 64)), 0).astype(np.float32)
    level = _blur_coarsely(log, ZOOM_BLUR / 2) / (_blur_coarsely(known.astype(np.float32), ZOOM_BLUR / 2) + 1e-3)
    return level, known & (size / (2 * area + 1e-6) > SHEARED)


def _carry(values: Floats, where: Floats) -> Floats:
    return np.asarray(cv2.remap(values, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)


def _tidy(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Removes specks, and widens what is left."""
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    return np.asarray(cv2.dilate(cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, disk), disk) > 0)


def _fill_nearest(values: Floats, holes: npt.NDArray[np.bool_]) -> Floats:
    """Gives each pixel of the holes the value of the nearest one outside; `[H, W, C]`."""
    if not holes.any():
        return values
    if holes.all():
        return np.zeros_like(values)
    _, nearest = cv2.distanceTransformWithLabels(holes.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    table = np.zeros((nearest.max() + 1, values.shape[-1]), np.float32)
    table[nearest[~holes]] = values[~holes]
    return np.asarray(np.where(holes[..., None], table[nearest], values), np.float32)


def _blur_coarsely(values: Floats, deviation: float) -> Floats:
    """Blurs at a quarter of the size, or less."""
    height, width = values.shape
    factor = max(4, 2 ** int(np.log2(deviation / 3)))
    small = cv2.resize(values, (-(-width // factor), -(-height // factor)), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(cv2.GaussianBlur(small, (0, 0), deviation / factor), (width, height)), np.float32)


def _half(shape: tuple[int, ...]) -> tuple[int, int]:
    return -(-shape[0] // 2), -(-shape[1] // 2)


@functools.lru_cache(maxsize=4)
def _grid(height: int, width: int) -> Floats:
    return np.ascontiguousarray(np.mgrid[:height, :width][::-1].transpose(1, 2, 0), np.float32)


@functools.lru_cache(maxsize=4)
def _half_grid(height: int, width: int) -> Floats:
    """Places of the half size's pixels, in pixels of the full size."""
    return 2 * _grid(height, width) + np.float32(0.5)
