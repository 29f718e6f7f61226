"""Mattes: which part of a frame is the subject, from files, from what moves, from a box, or from a network."""

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
"""Longer side at which GrabCut works, and its rounds a frame."""
MOVED, MOST = 0.6, 0.5
"""The subject moves otherwise than the camera by so many pixels, and by this share of what the most do (a hand-held
camera and depth move the ground as well)."""
RIM = 0.22
"""Width of the picture's rim, as a share of its sides."""
CARRY = 0.8
"""How much of the matte before counts beside what moves now."""


class MatteMaker(Protocol):
    """Makes the matte of one frame after the other."""

    def __call__(self, picture: Picture, before: MattedFrame | None, index: int, time: Fraction = Fraction(0)) -> Matte:
        """Of `picture`, uint8 RGB `[H, W, 3]`, the source's frame number `index`, shown at `time` on its clock.

        Args:
            before: the frame before with its matte, if there was one in this shot.
        """
        ...


def to_matte(picture: npt.NDArray[np.uint8], size: tuple[int, int]) -> Matte:
    """A picture of a matte, grey, in colour, or with transparency (which is then the matte), at `size`."""
    if picture.ndim == 3 and picture.shape[2] == 4:
        picture = picture[..., 3]
    elif picture.ndim == 3:
        picture = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.float32) / np.float32(255)


class StillMatte:
    """One matte for all frames."""

    def __init__(self, path: Path) -> None:
        found = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if found is None:
            raise StyleError(f"{path}: cannot be read as a matte", "name a picture, a video, or a folder of pictures")
        deep = (found / 257).astype(np.uint8) if found.dtype == np.uint16 else found
        self._matte = deep if deep.ndim == 2 or deep.shape[2] == 4 else deep[..., ::-1]

    def __call__(self, picture: Picture, before: MattedFrame | None, index: int, time: Fraction = Fraction(0)) -> Matte:
        return to_matte(np.ascontiguousarray(self._matte), (picture.shape[1], picture.shape[0]))


class FilmMattes:
    """A matte for each frame, from a video or a folder of pictures."""

    def __init__(self, path: Path) -> None:
        self._pictures = PerFrame(path, "mattes", "give one for each frame, or a single picture")

    def __call__(self, picture: Picture, before: MattedFrame | None, index: int, time: Fraction = Fraction(0)) -> Matte:
        """As `MatteMaker`."""
        clip = self._pictures.at(index)
        shown = clip.frames[0] if clip.alpha is None else clip.alpha[0]
        return to_matte(shown, (picture.shape[1], picture.shape[0]))


class MovingMattes:
    """What moves otherwise than the camera, cut out by GrabCut (Rother et al. 2004)."""

    AHEAD = 4
    """Frames that tell what will move in the first one."""

    def __init__(self, source: Path | None) -> None:
        if source is None:
            raise StyleError("a mask from motion needs a video file", "give a matte, or a box")
        self._source = source

    def __call__(self, picture: Picture, before: MattedFrame | None, index: int, time: Fraction = Fraction(0)) -> Matte:
        if before is None:
            return cut_out(picture, self._at_first(picture, time))
        flow = optical_flow(picture, before[0])
        seen = CARRY * warp(before[1], flow) + (1 - CARRY) * motion_matte(flow)
        return cut_out(picture, np.asarray(seen, np.float32))

    def _at_first(self, picture: Picture, time: Fraction) -> Matte:
        height, width = picture.shape[:2]
        start = max(0.0, float(time - VideoReader(self._source).info.start) - 1e-4)  # seconds are rounded
        with VideoReader(self._source, start=start, size=(width, height)) as reader:
            ahead = next(reader.clips(self.AHEAD)).frames
        found = [motion_matte(optical_flow(ahead[0], later)) for later in ahead[1:]]
        return np.asarray(np.mean(found, 0) if found else np.zeros((height, width)), np.float32)


class Box:
    """What is in a box in the first frame, followed along the motion and cut out anew in every frame."""

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
        """Its left, upper, right and lower side; the picture may be smaller than the source.

        Raises:
            StyleError: it leaves the picture.
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
    """How surely each pixel moves otherwise than the camera.

    The camera's motion is the similarity that fits most of the picture's rim (all but its lower side), where the
    subject seldom is: of the whole picture, a subject that fills half of it would be taken for the ground.
    """
    height, width = flow.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    here = np.stack([x, y], -1)
    rim = (x < RIM * width) | (x > (1 - RIM) * width) | (y < RIM * height)
    sparse = np.s_[4::8, 4::8]
    points, moved = (side[sparse][rim[sparse]] for side in (here, here + flow))
    camera, _ = cv2.estimateAffinePartial2D(points, moved, ransacReprojThreshold=1.0)
    if camera is None:
        return np.zeros((height, width), np.float32)
    expected = here @ camera[:, :2].T.astype(np.float32) + camera[:, 2].astype(np.float32)
    off = length(flow + here - expected)
    bound = max(MOVED, MOST * float(np.percentile(off, 90)))
    return np.asarray(1 / (1 + np.exp(np.clip(3.6 * (1 - off / bound), -50, 50))), np.float32)


def cut_out(picture: Picture, seed: Matte) -> Matte:
    """GrabCut: borders go where colours change; `seed` says how surely each pixel is the subject."""
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
    if 20 < subject.sum() < labels.size - 20:  # it needs some of both
        cv2.setRNGSeed(0)  # the same cut in every run
        cv2.grabCut(small, labels, None, np.zeros((1, 65)), np.zeros((1, 65)), GRABCUT_ROUNDS, cv2.GC_INIT_WITH_MASK)
        subject = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
    return np.asarray(
        cv2.resize(subject.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR), np.float32
    )
