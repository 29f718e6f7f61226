"""What lies beyond a video's picture: what the camera showed in other frames, else painted.

Each frame on its canvas is the one before, moved as the picture's motion continues beyond its border, with the new
frame laid over it. Done once from the beginning and once from the end, this brings in what has left the picture and
what is still to come. What no frame shows is painted once in a shot, and moves with the rest.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from stylize.frames import Clip, Flow, Image, Map, Motion, Picture, one_by_one, resize
from stylize.motion import CutDetector, motion_between, split_shots, warp
from stylize.scenes.canvas import Canvas, paint_unknown

AHEAD = 48
"""Most frames that wait for what comes after them."""
SIDE = 640
"""Longer side at which the motion is looked for."""
STRAY = 1.5
"""Pixels by which a point may stray from the camera's motion, as a similarity, and still count for it."""
RIM, REACH = 6, 0.25
"""Pixels inside the border at which the picture's motion is read, and how far it holds beyond, in the canvas' width."""
STILL = 0.12
"""Pixels a frame below which nothing moves: flow jitters, and would blur what is carried along."""
FADE, PAINTED = 0.985, 0.02
"""What a frame's distance in time leaves of its weight, and the weight of what is only painted."""
TONE_SIDE = 320
"""Longer side at which tones are compared."""
TONE_BLUR, TONE_REACH = 12.0, 0.1
"""Blur of the difference in tone at the picture's border, and how far it is evened out beyond, in the canvas' width."""


@dataclass(frozen=True, eq=False)
class Wide:
    """A frame on its canvas."""

    picture: Picture
    """The frame itself, for the motion to the next one."""
    image: Image
    """The whole canvas, in 0 to 255."""
    weight: Map
    """How sure each pixel is, in (0, 1]; 1 on the frame."""


def expand_clips(clips: Iterable[Clip], canvas: Canvas, skip: int = 0) -> Iterator[Clip]:
    """Yields the frames on their canvas, in clips of one; each frame itself stays as it is, bit by bit.

    Args:
        clips: all frames from the beginning.
        skip: leave out this many frames in the result.
    """
    before: Wide | None = None
    read = 0
    for stretch in _cut_stretches(clips):
        with tempfile.TemporaryFile() as file:
            later = _look_back(stretch, canvas, file)
            for i, frame in enumerate(stretch):
                before = None if frame.starts_shot else before
                before = lay_out(frame.frames[0], before, canvas)
                read += 1
                if read > skip:
                    shown = _merge(before, later[i], canvas)
                    alpha = None if frame.alpha is None else _lay_alpha(frame.alpha[0], canvas)[None]
                    yield replace(frame, frames=shown[None], alpha=alpha, starts_shot=False)


def _cut_stretches(clips: Iterable[Clip]) -> Iterator[list[Clip]]:
    """Yields the frames of a shot, at most `AHEAD` at once."""
    stretch: list[Clip] = []
    for frame, _ in split_shots(one_by_one(clips), CutDetector()):
        if stretch and (frame.starts_shot or len(stretch) == AHEAD):
            yield stretch
            stretch = []
        stretch.append(frame)
    if stretch:
        yield stretch


def _look_back(stretch: list[Clip], canvas: Canvas, file: object) -> npt.NDArray[np.uint8]:
    """Returns the canvases of a stretch as its later frames know them, `[T, H, W, 4]`, with the weight."""
    width, height = canvas.size
    later = np.memmap(file, np.uint8, "w+", shape=(len(stretch), height, width, 4))  # type: ignore[call-overload]
    after: Wide | None = None
    for i in reversed(range(len(stretch))):
        after = lay_out(stretch[i].frames[0], after, canvas)
        later[i, ..., :3] = np.round(after.image)
        later[i, ..., 3] = np.round(255 * np.where(after.weight > PAINTED, after.weight, 0))
    return np.asarray(later)


def lay_out(picture: Picture, before: Wide | None, canvas: Canvas) -> Wide:
    """Lays a frame on its canvas, over what the frame before it knows of the rest; either way in time."""
    width, height = canvas.size
    if before is None:
        image, weight = np.zeros((height, width, 3), np.float32), np.zeros((height, width), np.float32)
    else:
        flow = continue_motion(_find_motion(before.picture, picture), canvas)
        inside = _stays_inside(flow)
        image = np.asarray(warp(before.image, flow, cubic=True).clip(0, 255), np.float32)
        weight = warp(before.weight, flow) * FADE * inside
    weight[canvas.inside], image[canvas.inside] = 1, picture
    missing = weight < PAINTED / 2
    if missing.any():
        painted = paint_unknown(image.astype(np.uint8), ~missing)
        image[missing], weight[missing] = painted[missing], PAINTED
    return Wide(picture, image, np.maximum(weight, PAINTED).astype(np.float32))


def _find_motion(before: Picture, picture: Picture) -> Motion:
    """Returns the motion between two frames, found at no more than `SIDE`."""
    height, width = picture.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    size = (max(16, round(width * scale)), max(16, round(height * scale)))
    small = motion_between(*(resize(one, size) for one in (before, picture)))
    if size == (width, height):
        return small
    flow = cv2.resize(small.flow, (width, height)) * np.array([width / size[0], height / size[1]], np.float32)
    visible = cv2.resize(small.visible.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    return Motion(np.asarray(flow, np.float32), visible > 0)


def continue_motion(motion: Motion, canvas: Canvas) -> Flow:
    """Returns a picture's motion, continued over its canvas: as at its border, farther out as the camera's."""
    inner, camera = _smooth(motion), _fit_camera(motion)
    rows, columns = canvas.inside
    width, height = canvas.size
    y, x = np.mgrid[:height, :width].astype(np.float32)
    y, x = y - canvas.top, x - canvas.left
    whole = np.stack([camera[0, 0] * x + camera[0, 1] * y + camera[0, 2] - x,
                      camera[1, 0] * x + camera[1, 1] * y + camera[1, 2] - y], -1).astype(np.float32)  # fmt: skip
    difference = (inner - whole[rows, columns])[RIM:-RIM, RIM:-RIM]
    borders = (rows.start, height - rows.stop, columns.start, width - columns.stop)
    top, bottom, left, right = (side + RIM for side in borders)
    spread = np.asarray(cv2.copyMakeBorder(difference, top, bottom, left, right, cv2.BORDER_REPLICATE), np.float32)
    distance = cv2.distanceTransform((~canvas.known).astype(np.uint8), cv2.DIST_L2, 5)
    whole += spread * np.asarray(np.exp(-distance / (REACH * width)), np.float32)[..., None]
    still = np.hypot(whole[..., 0], whole[..., 1]) < STILL
    whole[still] = 0
    return np.asarray(whole, np.float32)


def _smooth(motion: Motion) -> Flow:
    """Smooths a flow at the border, where it is least sure, without mixing what moves differently."""
    flow = np.dstack([cv2.medianBlur(np.ascontiguousarray(motion.flow[..., i]), 5) for i in (0, 1)])
    return np.asarray(flow, np.float32)


def _fit_camera(motion: Motion) -> npt.NDArray[np.float64]:
    """Returns the similarity, `[2, 3]`, from a frame to the one before that fits most of its motion."""
    height, width = motion.flow.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    grid, sparse = np.stack([x, y], -1), np.s_[3 :: max(4, height // 40), 3 :: max(4, width // 60)]
    seen = motion.visible[sparse]
    points, targets = grid[sparse][seen], (grid + motion.flow)[sparse][seen]
    cv2.setRNGSeed(0)  # the same result in every run
    found = cv2.estimateAffinePartial2D(points, targets, ransacReprojThreshold=STRAY)[0] if len(points) > 8 else None
    return np.eye(2, 3) if found is None else np.asarray(found, np.float64)


def _stays_inside(flow: Flow) -> Map:
    height, width = flow.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    to_x, to_y = x + flow[..., 0], y + flow[..., 1]
    inside = (to_x > -0.5) & (to_y > -0.5) & (to_x < width - 0.5) & (to_y < height - 0.5)
    return np.asarray(inside, np.float32)


def _merge(forward: Wide, later: npt.NDArray[np.uint8], canvas: Canvas) -> Picture:
    """Mixes what earlier and later frames know of a canvas, and evens out the tone at the picture's border."""
    weights = [np.asarray(forward.weight**2, np.float32), np.asarray((later[..., 3] / 255) ** 2, np.float32)]
    share = (weights[1] / (weights[0] + weights[1]))[..., None]
    beside = forward.image * (1 - share) + later[..., :3] * share
    rows, columns = canvas.inside
    width, height = canvas.size
    # beyond the border, what is carried goes on in the picture's tone; a change of tone has no detail
    scale = min(1.0, TONE_SIDE / max(width, height))
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    known = cv2.resize(canvas.known.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    small = [cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in (forward.image, beside)]
    continued = paint_unknown(np.asarray(small[0].clip(0, 255), np.uint8), known).astype(np.float32)
    difference = cv2.GaussianBlur(continued - small[1], (0, 0), TONE_BLUR * scale)
    distance = cv2.distanceTransform((~known).astype(np.uint8), cv2.DIST_L2, 5)
    fading = difference * np.exp(-distance / (TONE_REACH * size[0]))[..., None]
    evened = beside + np.asarray(cv2.resize(np.asarray(fading, np.float32), (width, height)), np.float32)
    shown = np.asarray(np.round(evened.clip(0, 255)), np.uint8)
    shown[rows, columns] = forward.picture
    return shown


def _lay_alpha(alpha: npt.NDArray[np.uint8], canvas: Canvas) -> npt.NDArray[np.uint8]:
    """Lays the opacity of a frame on its canvas; beside it, everything is opaque."""
    whole = np.full((canvas.size[1], canvas.size[0]), 255, np.uint8)
    whole[canvas.inside] = alpha
    return whole
