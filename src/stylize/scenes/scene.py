"""A still and a camera path: the views that the camera sees on its way."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from fractions import Fraction

import cv2
import numpy as np

from stylize.frames import Map, Picture, resize
from stylize.scenes.camera import Camera, place_camera
from stylize.scenes.layers import Layer, find_distance, make_layers, scale_depth, sharpen_depth
from stylize.scenes.render import View, render
from stylize.style.camera import CameraPath

FIELD_OF_VIEW = 55.0
"""Degrees from one side of a still to the other, as of a 35 mm lens; a still does not say what took it."""
MARGIN = 0.25
"""Most that the still is continued beyond each side, in its longer side."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A still in space with a camera that moves through it."""

    still: Picture
    """uint8 RGB `[H, W, 3]`; the first view."""
    depth: Map
    """Its inverse depth `[H, W]`, above 0."""
    path: CameraPath
    seconds: float
    """How long the whole path takes."""
    layers: tuple[Layer, ...] = field(default=(), repr=False)

    @property
    def focal(self) -> float:
        """Focal length of the still, in pixels."""
        return float(self.still.shape[1] / 2 / np.tan(np.radians(FIELD_OF_VIEW / 2)))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.still.shape[1], self.still.shape[0]

    def camera_at(self, second: float) -> Camera:
        """Returns the camera at a time."""
        distance = find_distance(self.depth)
        return place_camera(self.path.at(second, self.seconds), self.size, self.focal, distance)

    def view(self, second: float) -> View:
        """Renders the scene at a time; where the camera is at rest, the still itself."""
        camera, rest = self.camera_at(second), Camera.of_still(self.size, self.focal)
        if camera.is_at_rest and camera.focal == rest.focal:
            return View(self.still, self.depth, rest)
        return render(self.layers, rest, camera)


def make_scene(still: Picture, raw_depth: Map, path: CameraPath, seconds: float) -> Scene:
    """Builds a scene of a still and its estimated depth.

    Args:
        raw_depth: relative inverse depth `[H, W]`, near is large; scale and shift do not matter.
    """
    depth = sharpen_depth(scale_depth(raw_depth), still)
    scene = Scene(still, depth, path, seconds)
    margin = _find_margin(scene)
    return Scene(still, depth, path, seconds, make_layers(still, depth, margin))


def _find_margin(scene: Scene) -> int:
    """Returns how far beyond the still the camera sees on its way, in pixels, at most `MARGIN`."""
    width, height = scene.size
    rest, beyond = Camera.of_still(scene.size, scene.focal), 0.0
    corners = np.array(list(itertools.product((0, width - 1), (0, height - 1))), np.float32)
    for second in np.linspace(0, scene.seconds, 33):
        camera = scene.camera_at(float(second))
        for inverse in (float(scene.depth.min()), float(scene.depth.max())):
            points = camera.unproject(corners[:, 0], corners[:, 1], np.full(4, inverse, np.float32))
            x, y, _ = rest.project(points)
            beyond = max(beyond, float(-x.min()), float(-y.min()), float(x.max()) - width, float(y.max()) - height)
    return int(np.ceil(min(beyond + 4, MARGIN * max(width, height), min(width, height) - 2)))


def fit_still(picture: Picture, size: tuple[int, int] | None, longest: int) -> Picture:
    """Resizes a still to a size, cropping what does not fit in the middle; else so that its longer side fits.

    Both sides become even.
    """
    height, width = picture.shape[:2]
    if size is None:
        scale = min(1.0, longest / max(width, height))
        size = (max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2))
    scale = max(size[0] / width, size[1] / height)
    inner = max(size[0], round(width * scale)), max(size[1], round(height * scale))
    grown = resize(picture, inner, enlarge=cv2.INTER_LANCZOS4)
    left, top = (inner[0] - size[0]) // 2, (inner[1] - size[1]) // 2
    return np.ascontiguousarray(grown[top : top + size[1], left : left + size[0]])


def frame_times(seconds: float, rate: Fraction) -> tuple[Fraction, ...]:
    """Returns the time of every frame of a video that lasts so long, and the end as the last one."""
    count = max(1, round(Fraction(seconds).limit_denominator(1000) * rate))
    return tuple(i / rate for i in range(count + 1))
