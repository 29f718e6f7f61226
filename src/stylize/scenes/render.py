"""Renders a scene from any camera, with the exact depth and motion of every pixel."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from stylize.frames import Flow, Geometry, Image, Map, Mask, Motion, Picture
from stylize.scenes.camera import Camera
from stylize.scenes.layers import Layer

REFINEMENTS = 3
"""Steps that bring a pixel's place in the layer to a fraction of a pixel."""
MISS = 0.8
"""Pixels by which a place may miss after them; more lies beyond the edge of a surface."""
SPACING = 1.05
"""Most pixels from one splatted point to the next, so that few are missed."""
CRACK = 0.5
"""Share of a pixel and its neighbours that is covered from which on the pixel is a crack between points, not a hole."""
SQUARE = np.ones((3, 3), np.uint8)
TEAR = np.ones((5, 5), np.uint8)
"""Gaps in a surface up to this size are tears, not views of what lies behind."""
IN_FRONT = 0.02
"""Share of its inverse depth by which a surface must be nearer than another one to hide it."""


@dataclass(frozen=True, eq=False)
class View:
    """A scene from one camera."""

    picture: Picture
    """uint8 RGB `[H, W, 3]`."""
    depth: Map
    """Inverse depth `[H, W]` for this camera, above 0."""
    camera: Camera


def render(layers: tuple[Layer, ...], still: Camera, camera: Camera) -> View:
    """Renders layers, the front one first, from a camera; what no layer has is filled in from around it.

    Args:
        still: the camera that sees the first layer without its margin as it is.
    """
    width, height = camera.size
    picture, depth = np.zeros((height, width, 3), np.float32), np.zeros((height, width), np.float32)
    torn = np.zeros((height, width), np.bool_)
    for layer in layers:
        pixels, inverse = _render_layer(layer, still, camera)
        in_front = inverse > depth * (1 + IN_FRONT)
        picture[in_front], depth[in_front] = pixels[in_front], inverse[in_front]
        shown = (inverse > 0).astype(np.uint8)
        torn |= (cv2.morphologyEx(shown, cv2.MORPH_CLOSE, TEAR) > shown) & (layer is layers[0])
    depth[torn] = 0
    holes = depth == 0
    rounded = np.asarray(cv2.convertScaleAbs(picture), np.uint8)
    if holes.all():
        return View(rounded, np.full_like(depth, float(layers[0].depth.min())), camera)
    if holes.any():
        rounded = np.asarray(cv2.inpaint(rounded, holes.astype(np.uint8), 3, cv2.INPAINT_TELEA), np.uint8)
        depth = _fill_far(depth, holes)
    return View(rounded, depth, camera)


def _fill_far(depth: Map, holes: Mask) -> Map:
    """Gives holes the far depth beside them, as backgrounds come into view, not objects."""
    filled, least = np.where(holes, np.float32(1e9), depth).astype(np.float32), SQUARE
    while (filled == 1e9).any():
        filled = np.where(filled == 1e9, cv2.erode(filled, least), filled).astype(np.float32)
    return filled


def _render_layer(layer: Layer, still: Camera, camera: Camera) -> tuple[Image, Map]:
    """Returns colours `[H, W, 3]` in 0 to 255 and inverse depth, 0 where the layer shows nothing."""
    splatted = _splat(layer, still, camera)
    # far points that shine through gaps between near ones: try first whether the near surface goes on there
    closed = np.asarray(cv2.morphologyEx(splatted, cv2.MORPH_CLOSE, SQUARE), np.float32)
    x, y, depth = _find_points(layer, still, camera, closed)
    again = (depth == 0) & (splatted > 0)
    if again.any():
        other_x, other_y, other = _find_points(layer, still, camera, np.where(again, splatted, 0).astype(np.float32))
        x, y, depth = np.where(again, other_x, x), np.where(again, other_y, y), np.where(again, other, depth)
    m = np.float32(layer.margin)
    colours = cv2.remap(layer.picture, x + m, y + m, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(colours, np.float32), depth


def _find_points(layer: Layer, still: Camera, camera: Camera, rough: Map) -> tuple[Map, Map, Map]:
    """Returns the place in the layer, x and y, that each pixel shows, and its inverse depth for the camera.

    Args:
        rough: about that depth; 0 where nothing is shown.

    Returns:
        Depth 0 where no point of the layer is there.
    """
    width, height = camera.size
    y, x = np.mgrid[:height, :width].astype(np.float32)
    from_x, from_y, _ = still.project(camera.unproject(x, y, np.where(rough > 0, rough, 1).astype(np.float32)))
    scale = np.float32(still.focal / camera.focal)
    for step in range(REFINEMENTS + 1):
        inverse = _sample_depth(layer, from_x, from_y)
        reached_x, reached_y, depth = camera.project(still.unproject(from_x, from_y, inverse))
        if step < REFINEMENTS:
            by = scale**2 / np.maximum(scale * depth / np.maximum(inverse, 1e-6), 0.25)
            from_x, from_y = from_x + (x - reached_x) * by, from_y + (y - reached_y) * by
    missed = np.hypot(x - reached_x, y - reached_y)
    shown = (rough > 0) & _is_there(layer, from_x, from_y) & (missed < MISS) & (depth > rough * 0.9)
    return from_x, from_y, np.where(shown, depth, 0).astype(np.float32)


def _sample_depth(layer: Layer, x: np.ndarray, y: np.ndarray) -> Map:
    m = np.float32(layer.margin)
    return np.asarray(cv2.remap(layer.depth, x + m, y + m, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def _is_there(layer: Layer, x: np.ndarray, y: np.ndarray) -> Mask:
    m, there = np.float32(layer.margin), layer.there.astype(np.uint8)
    return np.asarray(cv2.remap(there, x + m, y + m, cv2.INTER_NEAREST, borderValue=0) > 0)


def _splat(layer: Layer, still: Camera, camera: Camera) -> Map:
    """Returns the largest inverse depth of the layer's points that fall on each pixel; 0 where none does."""
    y, x = (values.astype(np.float32) - layer.margin for values in np.nonzero(layer.there))
    inverse = layer.depth[layer.there]
    factor = _choose_factor(still, camera, x, y, inverse)
    width, height = camera.size
    found = np.zeros((height, width), np.float32)
    offsets = (np.arange(factor, dtype=np.float32) + 0.5) / factor - 0.5
    for down in offsets:
        for across in offsets:
            u, v, depth = camera.project(still.unproject(x + across, y + down, inverse))
            kept = (depth > 0) & (u > -0.5) & (v > -0.5) & (u < width - 0.5) & (v < height - 0.5)
            rows, columns = np.rint(v[kept]).astype(np.intp), np.rint(u[kept]).astype(np.intp)
            np.maximum.at(found, (rows, columns), depth[kept])
    crack = (found == 0) & (cv2.blur((found > 0).astype(np.float32), (3, 3)) > CRACK)
    return np.where(crack, cv2.dilate(found, SQUARE), found).astype(np.float32)


def _choose_factor(still: Camera, camera: Camera, x: np.ndarray, y: np.ndarray, inverse: np.ndarray) -> int:
    """Returns how many points a side each pixel is split into, so that near surfaces have no gaps."""
    if not len(inverse):
        return 1
    *_, depth = camera.project(still.unproject(x, y, inverse))
    grown = camera.focal / still.focal * float(np.percentile(depth / inverse, 99))
    return int(np.clip(np.ceil(grown / SPACING), 1, 4))


def find_geometry(view: View, before: View | None) -> Geometry:
    """Returns the depth of a view and its exact motion from and to the view before it."""
    if before is None:
        return Geometry(view.depth)
    return Geometry(view.depth, _find_motion(view, before), _find_motion(before, view))


def _find_motion(view: View, other: View) -> Motion:
    """Returns where each pixel of a view is in another one, and whether it is visible there."""
    width, height = view.camera.size
    y, x = np.mgrid[:height, :width].astype(np.float32)
    to_x, to_y, depth = other.camera.project(view.camera.unproject(x, y, view.depth))
    flow: Flow = np.stack([to_x - x, to_y - y], -1)
    inside = (to_x >= 0) & (to_y >= 0) & (to_x <= width - 1) & (to_y <= height - 1) & (depth > 0)
    there = cv2.remap(cv2.dilate(other.depth, SQUARE), to_x, to_y, cv2.INTER_NEAREST)
    near = cv2.remap(cv2.erode(other.depth, SQUARE), to_x, to_y, cv2.INTER_NEAREST)
    same = (depth > near * (1 - IN_FRONT)) & (depth < there * (1 + IN_FRONT))
    return Motion(flow, np.asarray(inside & same, np.bool_))
