"""Pictures made of pixels: hard squares in few colours, on any size."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from media import picture
from stylize.finish.pixels import LIGHTNESSES, make_pixels
from stylize.frames import to_bytes, to_floats


@pytest.mark.parametrize(("height", "width", "side"), [(96, 160, 4), (97, 163, 4), (50, 30, 1), (192, 100, 4)])
def test_every_square_has_one_colour(height: int, width: int, side: int) -> None:
    out = make_pixels(to_floats(picture(3, width, height)), 24)
    assert out.shape == (height, width, 3) and out.dtype == np.float32
    assert out.min() >= 0 and out.max() <= 1
    for y in range(0, height, side):
        for x in range(0, width, side):
            square = out[y : y + side, x : x + side]
            assert (square == square[0, 0]).all()


def test_colours_are_few_and_near() -> None:
    source = cv2.GaussianBlur(picture(3, 256, 192), (0, 0), 4)
    out = to_bytes(make_pixels(to_floats(source), 96))
    assert 2 < len(np.unique(out.reshape(-1, 3), axis=0)) < 160
    assert np.abs(out.astype(int) - source).mean() < 16


def test_grey_stays_grey() -> None:
    ramp = np.repeat(np.tile(np.linspace(0, 1, 128, dtype=np.float32), (64, 1))[..., None], 3, 2)
    out = to_bytes(make_pixels(ramp, 64)).astype(int)
    assert (out.max(-1) - out.min(-1)).max() <= 1
    assert len(np.unique(out[..., 0])) == LIGHTNESSES
