"""Makes mattes, which mark the subject of a frame: from files, from motion, or from a box."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Protocol, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from stylize.decode import PerFrame, VideoReader
from stylize.errors import StyleError
from stylize.frames import Picture
from stylize.motion import warp
from stylize.motion.flow import length, optical_flow

Matte: TypeAlias = npt.NDArray[np.float32]
"""`[H, W]` in [0, 1]; 1 is the subject."""
MattedFrame: TypeAlias = tuple[Picture, Matte]
"""A source frame, uint8 RGB `[H, W, 3]`, and its matte."""

GRABCUT_SIDE, GRABCUT_ROUNDS = 320, 2
"""Longer side in pixels at which GrabCut works, and its iterations per frame."""
MIN_DEVIATION, MIN_SHARE = 0.6, 0.5
"""The subject's motion deviates from the camera's by at least so many pixels, and by at least this share of the 90th
percentile of all deviations (a hand-held camera and depth move the ground as well)."""
RIM = 0.22
"""Width of the picture's rim, as a share of each side."""
CARRY = 0.8
"""Weight of the previous matte; the rest is the weight of the current motion."""


class MatteMaker(Protocol):
    """Makes the mattes of consecutive frames."""

    def __call__(self, picture: Picture, before: MattedFrame | None, index: int, time: Fraction = Fraction(0)) -> Matte:
        """Returns the matte of `picture`, uint8 RGB `[H, W, 3]`: the source's frame number `index`, shown at `time`.

        Args:
            before: the previous frame of this shot with its matte; `None` for the first frame of a shot.
            time: the frame's time on the source's clock.
        """
        ...


def to_matte(picture: npt.NDArray[np.uint8], size: tuple[int, int]) -> Matte:
    """Converts a picture to a matte of `size`: its transparency if it has one, otherwise its lightness."""
    if picture.ndim == 3 and picture.shape[2] == 4:
        picture = picture[..., 3]
    elif picture.ndim == 3:
        picture = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.float32) / np.float32(255)


class StillMatte:
    """One matte for all frames."""

    def __init__(self, path: Path) -> None:
        stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if stored is None:
            raise StyleError(f"{path}: cannot be read as a matte", "name a picture, a video, or a folder of pictures")
        image = (stored / 257).astype(np.uint8) if stored.dtype == np.uint16 else stored
        self._matte = image if image.ndim == 2 or image.shape[2] == 4 else image[..., ::-1]

    def __call__(self, picture: Picture, before: MattedFrame | None, index: int, time: Fraction = Fraction(0)) -> Matte:
        return to_matte(np.ascontiguousarray(self._matte), (picture.shape[1], picture.shape[0]))


class FilmMattes:
    """A matte for each frame, from a video or a folder of pictures."""

    def __init__(self, path: Path) -> None:
        self._pictures = PerFrame(path, "mattes", "give one for each frame, or a single picture")

    def __call__(self, picture: Picture, before: MattedFrame | None, index: int, time: Fraction = Fraction(0)) -> Matte:
        """Returns the matte, as `MatteMaker` does."""
        clip = self._pictures.at(index)
        shown = clip.frames[0] if clip.alpha is None else clip.alpha[0]
        return to_matte(shown, (picture.shape[1], picture.shape[0]))


class MovingMattes:
    """Finds the parts that move differently from the camera, and cuts them out with GrabCut (Rother et al. 2004)."""

    AHEAD = 4
    """Number of frames, from the first of a shot on, that are read to find the motion in the first one."""

    def __init__(self, source: Path | None) -> None:
        if source is None:
            raise StyleError("a mask from motion needs a video file", "give a matte, or a box")
        self._source = source

    def __call__(self, picture: Picture, before: MattedFrame | None, index: int, time: Fraction = Fraction(0)) -> Matte:
        if before is None:
            return cut_out(picture, self._find_first_motion(picture, time))
        flow = optical_flow(picture, before[0])
        seed = CARRY * warp(before[1], flow) + (1 - CARRY) * motion_matte(flow)
        return cut_out(picture, np.asarray(seed, np.float32))

    def _find_first_motion(self, picture: Picture, time: Fraction) -> Matte:
        height, width = picture.shape[:2]
        # a little earlier, as seconds are rounded
        start = max(0.0, float(time - VideoReader(self._source).info.start) - 1e-4)
        with VideoReader(self._source, start=start, size=(width, height)) as reader:
            ahead = next(reader.clips(self.AHEAD)).frames
        mattes = [motion_matte(optical_flow(ahead[0], later)) for later in ahead[1:]]
        return np.asarray(np.mean(mattes, 0) if mattes else np.zeros((height, width)), np.float32)


class Box:
    """Follows the content of a box in the first frame along the motion, and cuts it out anew in every frame."""

    def __init__(self, text: str, source: Path | None = None) -> None:
        numbers = text.removeprefix("box:").split(",")
        if len(numbers) != 4 or not all(number.strip().isdigit() for number in numbers):
            raise StyleError(f"'{text}' is not a box", "write box:X,Y,WIDTH,HEIGHT in pixels of the source")
        self._box = tuple(int(number) for number in numbers)
        self._size = None if source is None else VideoReader(source).size

    def __call__(self, picture: Picture, before: MattedFrame | None, index: int, time: Fraction = Fraction(0)) -> Matte:
        if before is not None:
            return cut_out(picture, warp(before[1], optical_flow(picture, before[0])))
        left, upper, right, lower = self.corners(picture)
        seed = np.zeros(picture.shape[:2], np.float32)
        seed[upper:lower, left:right] = 0.6
        return cut_out(picture, seed)

    def corners(self, picture: Picture) -> tuple[int, int, int, int]:
        """Returns the box's left, upper, right and lower side in `picture`, which may be smaller than the source.

        Raises:
            StyleError: the box leaves the picture.
        """
        height, width = picture.shape[:2]
        across, down = self._size or (width, height)
        x, y, wide, high = self._box
        if x + wide > across or y + high > down or not wide or not high:
            raise StyleError(f"box {self._box} leaves the picture", f"it is {across}x{down}")
        sides = (x * width, y * height, (x + wide) * width, (y + high) * height)
        left, upper, right, lower = (round(a / b) for a, b in zip(sides, (across, down) * 2, strict=True))
        return left, upper, max(right, left + 1), max(lower, upper + 1)


def motion_matte(flow: npt.NDArray[np.float32]) -> Matte:
    """Returns the confidence, in [0, 1], that each pixel moves differently from the camera.

    The camera's motion is the similarity transform that fits most of the picture's rim (without its lower side), where
    the subject seldom is. Fitted to the whole picture, it would follow a subject that fills half of it.
    """
    height, width = flow.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    grid = np.stack([x, y], -1)
    rim = (x < RIM * width) | (x > (1 - RIM) * width) | (y < RIM * height)
    sparse = np.s_[4::8, 4::8]
    points, targets = (side[sparse][rim[sparse]] for side in (grid, grid + flow))
    camera, _ = cv2.estimateAffinePartial2D(points, targets, ransacReprojThreshold=1.0)
    if camera is None:
        return np.zeros((height, width), np.float32)
    expected = grid @ camera[:, :2].T.astype(np.float32) + camera[:, 2].astype(np.float32)
    deviation = length(flow + grid - expected)
    bound = max(MIN_DEVIATION, MIN_SHARE * float(np.percentile(deviation, 90)))
    return np.asarray(1 / (1 + np.exp(np.clip(3.6 * (1 - deviation / bound), -50, 50))), np.float32)


def cut_out(picture: Picture, seed: Matte) -> Matte:
    """Returns the subject with borders where colours change (GrabCut); `seed` is the confidence that it is there."""
    height, width = seed.shape
    scale = min(1.0, GRABCUT_SIDE / max(height, width))
    size = max(16, round(width * scale)), max(16, round(height * scale))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    hints = cv2.resize(seed, size, interpolation=cv2.INTER_AREA)
    labels = np.full(hints.shape, cv2.GC_PR_BGD, np.uint8)
    labels[hints > 0.4] = cv2.GC_PR_FGD
    labels[cv2.erode(hints, np.ones((7, 7))) > 0.8] = cv2.GC_FGD
    labels[cv2.dilate(hints, np.ones((21, 21))) < 0.1] = cv2.GC_BGD
    subject = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
    if 20 < subject.sum() < labels.size - 20:  # GrabCut needs pixels of both classes
        cv2.setRNGSeed(0)  # the same result in every run
        cv2.grabCut(small, labels, None, np.zeros((1, 65)), np.zeros((1, 65)), GRABCUT_ROUNDS, cv2.GC_INIT_WITH_MASK)
        subject = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
    return np.asarray(
        cv2.resize(subject.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR), np.float32
    )
