"""Cuts are found; fades, pans, flashes and noise are not cuts."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import cv2
import numpy as np
import pytest

from stylize.frames import Clip, one_by_one
from stylize.motion import CutDetector, split_shots

HEIGHT, WIDTH = 72, 128


def scene(seed: int, width: int = WIDTH) -> np.ndarray:
    """Random soft coloured forms, the same for the same seed."""
    noise = np.random.default_rng(seed).random((6, 10 * width // WIDTH, 3)).astype(np.float32)
    return (cv2.resize(noise, (width, HEIGHT), interpolation=cv2.INTER_CUBIC).clip(0, 1) * 255).astype(np.uint8)


def starts(frames: list[np.ndarray], chunk: int = 7) -> list[int]:
    clips = [
        Clip(
            np.stack(frames[i : i + chunk]),
            tuple(Fraction(j, 25) for j in range(i, min(i + chunk, len(frames)))),
            (Fraction(1, 25),) * len(frames[i : i + chunk]),
            i,
        )
        for i in range(0, len(frames), chunk)
    ]
    parts = [part for part, _ in split_shots(one_by_one(clips), CutDetector())]
    assert np.array_equal(np.concatenate([p.frames for p in parts]), np.stack(frames))
    return [part.index for part in parts if part.starts_shot]


def still(seed: int) -> list[np.ndarray]:
    return [scene(seed)] * 15


def pan(step: int) -> list[np.ndarray]:
    wide = scene(3, 8 * WIDTH)
    return [wide[:, i * step : i * step + WIDTH] for i in range(30)]


def fade() -> list[np.ndarray]:
    a, b = scene(1).astype(np.float32), scene(2).astype(np.float32)
    return [(a + (b - a) * np.clip((i - 10) / 15, 0, 1)).astype(np.uint8) for i in range(40)]


def flash() -> list[np.ndarray]:
    bright = (scene(1) * 0.3 + 170).astype(np.uint8)
    return [scene(1)] * 10 + [bright] * 2 + [scene(1)] * 10


def noisy() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [(scene(1) + rng.normal(0, 12, (HEIGHT, WIDTH, 3))).clip(0, 255).astype(np.uint8) for _ in range(20)]


def test_cuts_are_found_at_their_frame() -> None:
    assert starts(still(1) + still(2) + still(5)) == [0, 15, 30]


def test_a_cut_out_of_motion_is_found() -> None:
    assert starts(pan(6) + still(2)) == [0, 30]


@pytest.mark.parametrize(
    "frames", [lambda: still(1), lambda: pan(2), lambda: pan(20), fade, flash, noisy], ids=[
        "still", "slow pan", "fast pan", "fade", "flash", "noise"
    ]
)  # fmt: skip
def test_what_is_no_cut(frames: Callable[[], list[np.ndarray]]) -> None:
    assert starts(frames()) == [0]


@pytest.mark.parametrize("chunk", [1, 2, 15, 100])
def test_reading_in_other_clips_finds_the_same_cuts(chunk: int) -> None:
    assert starts(still(1) + still(2), chunk) == [0, 15]
