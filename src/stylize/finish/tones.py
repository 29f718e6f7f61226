"""Gives results the palette and the contrasts of a reference picture, by one mapping that a shot keeps.

A small network learns a painting's hand, but says colours only roughly; statistics say them exactly. Colours go through
the linear map that turns one mean and covariance into another and moves colours least (Pitie and Kokaram 2007, "The
linear Monge-Kantorovitch linear colour mapping"). Before it, each band of lightness gets the share of the contrast that
it has in the reference (after Heeger and Bergen 1995): calm paintings make calm pictures, rough ones rough pictures.
Each of the two undoes some of the other, as does the end of the colours at black and white, so both are done twice.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from stylize.frames import Image, Picture, to_floats

Numbers: TypeAlias = npt.NDArray[np.float32]

BLURS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Standard deviations of the blurs between which the bands of lightness lie, in pixels."""
COARSE, SHRUNK = 4.0, 4
"""Blur from which on pictures are blurred at a smaller size, and how many times smaller that is."""
LEAST_GAIN, MOST_GAIN = 0.4, 2.5
"""Of a band, in a round: flat pictures must not get the noise of rough ones."""
MOST_STRETCH = 4.0
"""How many times colours are drawn apart in a round, at most: what networks leave on flat ground must not be seen."""
ROUNDS = 2
"""Of mapping contrasts and colours, one after the other."""
FAINT = 4.0 / 255
"""Added to all standard deviations: of a picture of one colour, nothing is to be stretched."""
PATIENCE = 250.0
"""Frames over which the colours of a shot are followed; more slowly than eyes see."""
USUAL_SPREAD, LEAST_SPREAD = 0.2, 0.03
"""Standard deviations of the lightness: of an ordinary frame (flatter ones count less, as in a fade), and from which on
frames are mapped fully (what is black is to stay black)."""
EVERY = 3
"""Of the pixels that colours are counted in, one in so many, in both directions."""


@dataclass(frozen=True, eq=False)
class Tones:
    """Colours and contrasts of a picture, or of the frames of a shot so far."""

    contrasts: Numbers = field(repr=False)
    """`[len(BLURS)]`, the standard deviation of each band of lightness, as a share of the picture's own."""
    mean: Numbers
    """`[3]`, of the colours in [0, 1]."""
    covariance: Numbers = field(repr=False)
    """`[3, 3]`."""
    weight: float = 1.0
    """Of the frames that it was measured in, at most 1 each and no more than `PATIENCE` together."""


def measure_tones(picture: Picture, short_side: int) -> Tones:
    """Measures a reference, uint8 RGB `[H, W, 3]`.

    Args:
        short_side: of the results, in pixels: the reference is looked at in their size, or its own where that is less.
    """
    scale = short_side / min(picture.shape[:2])
    if scale < 1:
        size = [max(1, round(scale * side)) for side in picture.shape[1::-1]]
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    image = to_floats(picture)
    return Tones(_measure_contrasts(image), *_measure_colours(image))


def match_tones(
    image: Image, wanted: Tones, before: Sequence[Tones] = (), share: float = 1.0
) -> tuple[Image, tuple[Tones, ...]]:
    """Gives a frame the palette and the contrasts that are wanted.

    Args:
        image: RGB `[H, W, 3]` in [0, 1].
        wanted: of the reference.
        before: of the frames before it in its shot, at the start of each of the `ROUNDS`; none for the first one.
        share: how much of the mapping, in [0, 1].

    Returns:
        The frame, and the tones of the shot with it: colours of a shot are followed slowly, so that what passes through
        the picture does not change them.
    """
    spread = float(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).std())
    counts, shown = min(1.0, spread / USUAL_SPREAD) ** 2, min(1.0, spread / LEAST_SPREAD)
    mapped, followed = image, list[Tones]()
    rounds: Sequence[Tones | None] = before or [None] * ROUNDS
    for old in rounds:
        mapped, tones = _map_once(mapped, wanted, old, counts)
        followed.append(tones)
    result = image + np.float32(share * shown) * (mapped - image)
    return np.clip(result, 0, 1, dtype=np.float32), tuple(followed)


def _map_once(image: Image, wanted: Tones, before: Tones | None, counts: float) -> tuple[Image, Tones]:
    """One round; the frame counts so much, in [0, 1], among those of its shot."""
    weight = min(PATIENCE, counts + (0.0 if before is None else before.weight))

    def follow(name: str, measured: Numbers) -> Numbers:
        old = measured if before is None else getattr(before, name)
        return np.asarray(old + (measured - old) * np.float32(counts / max(weight, 1e-6)), np.float32)

    contrasts = follow("contrasts", _measure_contrasts(image))
    gains = np.clip(wanted.contrasts / contrasts, LEAST_GAIN, MOST_GAIN)
    evened = _weigh_bands(image, gains)
    mean, covariance = (follow(n, x) for n, x in zip(("mean", "covariance"), _measure_colours(evened), strict=True))
    matrix = _map_colours(covariance, wanted.covariance)
    offset = wanted.mean - matrix @ mean
    mapped = cv2.transform(evened, np.column_stack([matrix, offset]).astype(np.float32))
    return np.clip(mapped, 0, 1, dtype=np.float32), Tones(contrasts, mean, covariance, weight)


def _measure_contrasts(image: Image) -> Numbers:
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    levels = [gray, *_blur_levels(gray)]
    bands = [float((one - other).std()) for one, other in itertools.pairwise(levels)]
    return np.array(bands, np.float32) / np.float32(gray.std() + FAINT) + np.float32(1e-3)


def _measure_colours(image: Image) -> tuple[Numbers, Numbers]:
    colours = image[::EVERY, ::EVERY].reshape(-1, 3).astype(np.float64)
    mean = colours.mean(0)
    apart = colours - mean
    return mean.astype(np.float32), (apart.T @ apart / len(colours)).astype(np.float32)


def _weigh_bands(image: Image, gains: Numbers) -> Image:
    """Multiplies the bands by their gains; what is coarser than all of them stays."""
    total = image * np.float32(gains[0])
    for level, (one, other) in zip(_blur_levels(image), itertools.pairwise([*gains, 1.0]), strict=True):
        total += np.float32(other - one) * level
    return np.asarray(total, np.float32)


def _blur_levels(image: Any) -> list[Any]:
    """Blurs a picture by each of `BLURS`, the wide ones at a smaller size."""
    height, width = image.shape[:2]
    small = cv2.resize(image, (-(-width // SHRUNK), -(-height // SHRUNK)), interpolation=cv2.INTER_AREA)
    return [
        cv2.GaussianBlur(image, (0, 0), blur) if blur < COARSE
        else cv2.resize(cv2.GaussianBlur(small, (0, 0), blur / SHRUNK), (width, height))
        for blur in BLURS
    ]  # fmt: skip


def _map_colours(own: Numbers, wanted: Numbers) -> npt.NDArray[np.float64]:
    """Returns the symmetric matrix that turns one covariance into another, stretching no direction too far."""
    floor = FAINT**2 * np.eye(3)
    root = _take_root(own + floor)
    back = np.linalg.inv(root)
    matrix = back @ _take_root(root @ (wanted + floor) @ root) @ back
    values, axes = np.linalg.eigh((matrix + matrix.T) / 2)
    return np.asarray((axes * np.minimum(values, MOST_STRETCH)) @ axes.T)


def _take_root(matrix: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    values, axes = np.linalg.eigh(matrix.astype(np.float64))
    return np.asarray((axes * np.sqrt(np.maximum(values, 0))) @ axes.T)
