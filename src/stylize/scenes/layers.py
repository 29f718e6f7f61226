"""A still in space: its pixels at their depths, and behind its edges what may come into view (layered depth image).

Layered depth images: Shade et al. 1998. What lies behind an object is not known; it is continued from the background
beside it, mirrored at the object's edge, so that it has the background's texture and nothing of the object.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from stylize.frames import Map, Mask, Picture, to_floats

Places: TypeAlias = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]
"""Rows and columns, `[H, W]` each."""
EDGE = 4.0
"""Pixels outside of an object's edge from which on the colours are the background's alone."""
STEP = 0.06
"""Change of the scaled inverse depth, in [0, 1], within a pixel or two, that is an edge of an object."""
BEHIND = 0.14
"""How far behind an object the background is continued, in the picture's width."""
SHARPENINGS = 4
"""Rounds in which pixels on a slope of depth go to one of its sides; each steepens it by two pixels at both ends."""
GUIDE_RADIUS, GUIDE_SMOOTHNESS = 6, 1e-3
"""Window in pixels and smoothness of the guided filter that moves the edges of depth to those of the picture."""


@dataclass(frozen=True, eq=False)
class Layer:
    """A picture whose pixels have depths; the picture is larger than the still by `margin` on every side."""

    picture: Picture
    """uint8 RGB `[H, W, 3]`."""
    depth: Map
    """Inverse depth `[H, W]`, above 0."""
    there: Mask
    """`[H, W]`: where the layer has anything."""
    margin: int = 0


def make_layers(still: Picture, depth: Map, margin: int) -> tuple[Layer, Layer]:
    """Returns the still as a layer, continued beyond its borders, and the layer behind the edges of its objects.

    Args:
        still: uint8 RGB `[H, W, 3]`.
        depth: inverse depth `[H, W]`, above 0.
        margin: pixels to continue the picture on every side; it is mirrored there.
    """
    border = (margin,) * 4
    picture = cv2.copyMakeBorder(still, *border, cv2.BORDER_REFLECT_101)
    wide = cv2.copyMakeBorder(depth, *border, cv2.BORDER_REFLECT_101)
    front = Layer(np.asarray(picture, np.uint8), np.asarray(wide, np.float32), np.ones(wide.shape, np.bool_), margin)
    return front, _make_background(front, round(BEHIND * still.shape[1]))


def sharpen_depth(depth: Map, still: Picture) -> Map:
    """Returns depth whose edges are steps and lie where the still's are.

    A network's depth changes over some pixels at an edge; rendered, such a slope is a rubber sheet. The guided filter
    (He et al. 2010) moves the slope to the picture's edge; then every pixel on it becomes near or far.

    Args:
        depth: inverse depth `[H, W]` in [0, 1].
    """
    guided = _filter_guided(to_floats(np.asarray(cv2.cvtColor(still, cv2.COLOR_RGB2GRAY), np.uint8)), depth)
    sharp, window = guided, np.ones((5, 5), np.uint8)
    for _ in range(SHARPENINGS):
        near, far = cv2.dilate(sharp, window), cv2.erode(sharp, window)
        stepped = np.where(near - sharp < sharp - far, near, far)
        sharp = np.where(near - far > STEP, stepped, sharp).astype(np.float32)
    # pixels on a silhouette are mixed of both: they go with the object, or its colours would stay on the background
    return np.asarray(cv2.dilate(cv2.medianBlur(sharp, 5), np.ones((5, 5), np.uint8)), np.float32)


def scale_depth(raw: Map, nearness: float = 8.0) -> Map:
    """Scales raw inverse depth, whose scale and shift are unknown, to inverse distances from 1 / nearness to 1.

    Args:
        nearness: how many times as far as the nearest point the farthest is taken to be.
    """
    low, high = (float(x) for x in np.percentile(raw, (1, 99)))
    share = np.clip((raw - low) / max(high - low, 1e-6), 0, 1)
    return np.asarray(1 / nearness + (1 - 1 / nearness) * share, np.float32)


def find_distance(depth: Map) -> float:
    """Returns the distance to the subject: what is near in the middle of the picture."""
    height, width = depth.shape
    middle = depth[height // 4 : -height // 4, width // 4 : -width // 4]
    return 1 / float(np.percentile(middle, 75))


def _make_background(front: Layer, reach: int) -> Layer:
    """Continues the background behind objects, up to `reach` pixels from their edges."""
    depth, span = front.depth, max(float(np.ptp(front.depth)), 1e-6)
    far = cv2.erode(depth, np.ones((5, 5), np.uint8))
    edge = (depth - cv2.erode(depth, np.ones((3, 3), np.uint8))) > STEP * span
    if not edge.any():
        return Layer(front.picture, depth, np.zeros(depth.shape, np.bool_), front.margin)
    distance, nearest = _find_nearest(edge)
    behind = np.asarray(cv2.GaussianBlur(far[nearest], (0, 0), 2), np.float32)
    hidden = (distance < reach) & (depth - behind > STEP * span / 2)
    picture = _mirror_background(front.picture, hidden, nearest)
    return Layer(picture, np.where(hidden, behind, depth), hidden, front.margin)


def _find_nearest(where: Mask) -> tuple[Map, Places]:
    """Returns each pixel's distance to the nearest pixel that is true, and the rows and columns of that pixel."""
    distance, labels = cv2.distanceTransformWithLabels(
        (~where).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    rows, columns = np.nonzero(where)
    position = np.zeros(int(labels.max()) + 1, np.intp)
    position[labels[where]] = np.arange(len(rows))
    found = position[labels]
    return np.asarray(distance, np.float32), (rows[found], columns[found])


def _mirror_background(picture: Picture, hidden: Mask, edge: Places) -> Picture:
    """Fills in hidden pixels with those as far from the object's edge on its other side.

    Args:
        edge: rows and columns of each pixel's nearest pixel on an edge.
    """
    y, x = np.mgrid[: hidden.shape[0], : hidden.shape[1]]
    down, right = edge[0] - y, edge[1] - x
    steps = np.maximum(np.hypot(down, right), 1)
    filled, missing = picture.copy(), hidden.copy()
    for factor in (2.0, 1 + EDGE / steps):  # mirrored, else what lies just outside of the object
        above, left = (np.rint(at + factor * to).astype(np.intp) for at, to in ((y, down), (x, right)))
        fits = (above >= 0) & (above < hidden.shape[0]) & (left >= 0) & (left < hidden.shape[1])
        above, left = np.where(fits, above, 0), np.where(fits, left, 0)
        taken = missing & fits & ~hidden[above, left]
        filled[taken] = picture[above[taken], left[taken]]
        missing &= ~taken
    filled = np.asarray(cv2.inpaint(filled, missing.astype(np.uint8), 3, cv2.INPAINT_TELEA), np.uint8)
    soft = cv2.GaussianBlur(filled, (0, 0), 1.5)  # the borders between mirrors
    return np.asarray(np.where(hidden[..., None], soft, picture), np.uint8)


def _filter_guided(guide: Map, image: Map) -> Map:
    """Smooths `image` except along the edges of `guide`."""

    def mean(x: Map) -> Map:
        size = 2 * GUIDE_RADIUS + 1
        return np.asarray(cv2.blur(x, (size, size)), np.float32)

    average, level = mean(guide), mean(image)
    slope = (mean(guide * image) - average * level) / (mean(guide * guide) - average * average + GUIDE_SMOOTHNESS)
    offset = np.asarray(level - slope * average, np.float32)
    return np.asarray(mean(np.asarray(slope, np.float32)) * guide + mean(offset), np.float32)
