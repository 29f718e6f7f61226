"""A canvas larger than a video's picture: where the picture lies on it, and what is painted beside it."""

from __future__ import annotations

import re
from dataclasses import dataclass

import cv2
import numpy as np

from stylize.errors import StyleError
from stylize.frames import Map, Mask, Picture

LARGEST = 8192
SEAM = 16.0
"""Pixels beyond the picture's border over which a look sets in."""
PLACES = {
    "center": (0.5, 0.5), "left": (0.0, 0.5), "right": (1.0, 0.5), "top": (0.5, 0.0), "bottom": (0.5, 1.0),
}  # fmt: skip
"""Shares of the free space that lie to the left of the picture and above it."""


@dataclass(frozen=True)
class Canvas:
    """A picture's place on a larger canvas."""

    size: tuple[int, int]
    """Width and height."""
    left: int
    top: int
    inner: tuple[int, int]
    """Width and height of the picture."""

    @property
    def inside(self) -> tuple[slice, slice]:
        """Rows and columns of the picture."""
        return slice(self.top, self.top + self.inner[1]), slice(self.left, self.left + self.inner[0])

    @property
    def known(self) -> Mask:
        """`[H, W]`: True on the picture."""
        mask = np.zeros((self.size[1], self.size[0]), np.bool_)
        mask[self.inside] = True
        return mask

    @property
    def ramp(self) -> Map:
        """0 on the picture and beside it rising to 1, `[H, W]`."""
        distance = cv2.distanceTransform((~self.known).astype(np.uint8), cv2.DIST_L2, 5)
        return np.asarray(np.clip(distance / SEAM, 0, 1), np.float32)


def place_picture(inner: tuple[int, int], canvas: str, place: str = "center") -> Canvas:
    """Lays a picture on a canvas.

    Args:
        inner: width and height of the picture.
        canvas: "1920x1080", or a shape such as "16:9": the smallest one around the picture.
        place: "center", "left", "right", "top", "bottom", or "X,Y" in pixels.

    Raises:
        StyleError: the texts have no meaning, or the picture does not fit.
    """
    size = _parse_canvas(inner, canvas.strip().lower())
    free = size[0] - inner[0], size[1] - inner[1]
    if min(free) < 0:
        what = f"the canvas {size[0]}x{size[1]} is smaller than the picture, {inner[0]}x{inner[1]}"
        raise StyleError(what, "choose a larger one")
    if max(free) == 0:
        raise StyleError(f"the canvas {size[0]}x{size[1]} is the picture's own size", "choose a larger one")
    if max(size) > LARGEST:
        raise StyleError(f"the canvas {size[0]}x{size[1]} is out of range", f"use sides up to {LARGEST}")
    if place in PLACES:
        across, down = PLACES[place]
        return Canvas(size, round(across * free[0]), round(down * free[1]), inner)
    if not (found := re.fullmatch(r"(\d+),(\d+)", place.strip())):
        raise StyleError(f"'{place}' is not a place", f"use {', '.join(PLACES)}, or X,Y in pixels")
    left, top = int(found[1]), int(found[2])
    if left > free[0] or top > free[1]:
        raise StyleError(f"at {place} the picture leaves the canvas", f"use 0,0 to {free[0]},{free[1]}")
    return Canvas(size, left, top, inner)


def _parse_canvas(inner: tuple[int, int], text: str) -> tuple[int, int]:
    if size := re.fullmatch(r"(\d{1,5})x(\d{1,5})", text):
        return int(size[1]), int(size[2])
    shape = re.fullmatch(r"(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)", text)
    if not shape or not float(shape[1]) or not float(shape[2]):
        raise StyleError(f"'{text}' is not a canvas", "write WIDTHxHEIGHT, or a shape such as 16:9")
    ratio, (width, height) = float(shape[1]) / float(shape[2]), inner
    wide = (max(width, round(height * ratio / 2) * 2), height)
    tall = (width, max(height, round(width / ratio / 2) * 2))
    return wide if width / height < ratio else tall


def paint_unknown(picture: Picture, known: Mask) -> Picture:
    """Paints what is not known of a picture: mirrored at the border of what is known, which keeps its texture.

    Far from it, the colours fade into a smooth continuation (Telea 2004), so that no second picture seems to begin.

    Args:
        picture: uint8 RGB `[H, W, 3]`.
        known: `[H, W]`, True somewhere.
    """
    if known.all():
        return picture
    height, width = known.shape
    distance, labels = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    rows, columns = np.nonzero(known)
    position = np.zeros(int(labels.max()) + 1, np.intp)
    position[labels[known]] = np.arange(len(rows))
    nearest = position[labels]
    y, x = np.mgrid[:height, :width]
    above, left = 2 * rows[nearest] - y, 2 * columns[nearest] - x
    fits = (above >= 0) & (above < height) & (left >= 0) & (left < width)
    above, left = np.where(fits, above, rows[nearest]), np.where(fits, left, columns[nearest])
    inside = known[above, left]
    above, left = np.where(inside, above, rows[nearest]), np.where(inside, left, columns[nearest])
    mirrored = cv2.GaussianBlur(picture[above, left], (0, 0), 1.0)
    scale = 64 / max(height, width)
    size = (max(2, round(width * scale)), max(2, round(height * scale)))
    small_known = cv2.resize(known.astype(np.uint8), size, interpolation=cv2.INTER_AREA)
    filled = np.where(known[..., None], picture, mirrored)
    small = cv2.inpaint(
        cv2.resize(filled, size, interpolation=cv2.INTER_AREA),
        (small_known == 0).astype(np.uint8),
        3,
        cv2.INPAINT_TELEA,
    )
    smooth = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    share = np.clip(distance / (0.5 * min(height, width)), 0, 1)[..., None] ** 2
    painted = mirrored * (1 - share) + smooth * share
    return np.where(known[..., None], picture, painted.clip(0, 255)).astype(np.uint8)
