"""Fusion on a device against fusion on the CPU; torch's CPU stands in for a device where there is no other."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scenes import picture
from stylize.frames import to_floats
from stylize.motion import FramePair, Motion, fuse, motion_between
from stylize.motion.gpu import fuse_on

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def check(device: str, earlier: np.ndarray, later: np.ndarray, motion: Motion, weight: float) -> None:
    rng = np.random.default_rng(0)
    looks = [
        np.clip(1 - to_floats(f) + rng.normal(0, 0.05, f.shape), 0, 1).astype(np.float32) for f in (earlier, later)
    ]
    before = FramePair(earlier, looks[0])
    expected = fuse(before, later, looks[1], motion, weight)
    result = fuse_on(torch.device(device), weight)(before, later, looks[1], motion)
    assert result.dtype == np.float32 and result.flags.c_contiguous
    assert np.abs(result - expected).max() < 1 / 255


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("size", [(96, 64), (97, 61), (128, 72), (40, 25)])
def test_a_pan_is_fused_alike(device: str, size: tuple[int, int]) -> None:
    wide = picture(5, 200, 100)
    earlier, later = (np.ascontiguousarray(wide[:size[1], x : x + size[0]]) for x in (10, 14))  # fmt: skip
    check(device, earlier, later, motion_between(earlier, later), 1.0)


@settings(max_examples=12)
@given(
    strength=st.floats(0, 30), weight=st.floats(0.1, 1), light=st.integers(-80, 80), width=st.integers(20, 90),
    height=st.integers(20, 70), seed=st.integers(0, 99),
)  # fmt: skip
def test_any_motion_and_light(strength: float, weight: float, light: int, width: int, height: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    earlier = picture(seed, width, height)
    later = np.clip(np.roll(earlier, 2, 1).astype(int) + light, 0, 255).astype(np.uint8)
    flow = cv2.GaussianBlur(rng.normal(0, strength, (height, width, 2)).astype(np.float32), (0, 0), 3)
    check("cpu", earlier, later, Motion(flow, rng.random((height, width)) > 0.2), weight)
