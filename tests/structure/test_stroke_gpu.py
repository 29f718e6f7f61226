"""Stroke fields on a device against those of the CPU; torch's CPU stands in for a device where there is no other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media import picture
from stylize.structure.sheets import make_sheets
from stylize.structure.stroke_gpu import draw_on
from stylize.structure.strokes import Strokes, carry_strokes, draw_field, start_strokes

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
SHEETS = make_sheets()


def check(one: Strokes, other: Strokes, within: float = 2 / 255) -> None:
    assert other.picture.dtype == np.float32 and other.values.shape == one.values.shape
    assert np.abs(one.picture - other.picture).max() < within
    # the sense of a direction means nothing
    assert np.abs((one.direction * other.direction).sum(-1)).min() > 0.99


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("size", [(512, 288), (97, 61), (40, 25), (16, 16)])
def test_a_picture_has_the_same_strokes(device: str, size: tuple[int, int]) -> None:
    frame = picture(3, *size)
    check(start_strokes(frame, SHEETS), start_strokes(frame, SHEETS, draw=draw_on(device)))


@pytest.mark.parametrize("device", DEVICES)
def test_a_shot_has_the_same_strokes(device: str) -> None:
    """A camera that comes nearer and moves: octaves change, and each field is mixed with the one before."""
    here = there = start_strokes(picture(3, 160, 96), SHEETS)
    y, x = np.mgrid[:96, :160].astype(np.float32)
    flow = np.dstack([-0.03 * (x - 80) - 2, -0.03 * (y - 48) + 1])
    visible = np.ones((96, 160), bool)
    visible[:, 150:] = False
    for number in range(24):
        frame = picture(3 + number // 8, 160, 96)
        here = carry_strokes(here, frame, flow, visible, SHEETS)
        there = carry_strokes(there, frame, flow, visible, SHEETS, draw_on(device))
    check(here, there)


@settings(max_examples=15)
@given(zoom=st.floats(-3, 3), far=st.floats(-1e4, 1e4), seed=st.integers(0, 99))
def test_any_place_of_the_sheets(zoom: float, far: float, seed: int) -> None:
    rng, shape = np.random.default_rng(seed), (24, 40)
    coordinates = np.float32(far) + 2 * np.dstack(np.meshgrid(np.arange(40), np.arange(24))).astype(np.float32)
    level = np.float32(zoom) + rng.uniform(-0.5, 0.5, shape).astype(np.float32)
    forms = rng.random((*shape, 3)).astype(np.float32)
    forms[..., 1] *= np.sqrt(forms[..., 0] * forms[..., 2])
    arguments = (48, 80), SHEETS, coordinates, level, forms
    values, direction = draw_field(*arguments)
    there, across = draw_on("cpu")(*arguments)
    assert np.quantile(np.abs(there - values), 0.99) < 2 / 255
    assert np.quantile(np.abs((direction * across).sum(-1)), 0.01) > 0.99
