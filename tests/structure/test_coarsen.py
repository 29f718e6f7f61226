"""Forms and textures that are let go before the restyling."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stylize.structure import canny
from stylize.structure.coarsen import blur_forms, flatten
from stylize.style import FOOTAGE


def texture() -> np.ndarray:
    """A red square with small blue dots on a green ground."""
    picture = np.full((144, 256, 3), (20, 70, 40), np.uint8)
    picture[40:110, 80:180] = (200, 60, 50)
    for x in range(0, 256, 8):
        for y in range(0, 144, 8):
            cv2.circle(picture, (x, y), 1, (30, 30, 220), -1)
    return picture


@given(st.floats(0, 0.9), st.floats(0.1, 1))
def test_less_structure_leaves_fewer_edges_at_the_same_size(one: float, more: float) -> None:
    """Of two that are a tenth apart; nearer ones may change places where the dots beat with the smaller picture."""
    loose, tight = blur_forms(texture(), one), blur_forms(texture(), min(1.0, one + more))
    assert loose.shape == tight.shape == texture().shape and loose.dtype == np.uint8
    assert cv2.Laplacian(loose, cv2.CV_32F).var() <= cv2.Laplacian(tight, cv2.CV_32F).var() + 1


def test_whole_structure_changes_nothing_and_depth_is_coarsened_alike() -> None:
    assert np.array_equal(blur_forms(texture(), 1.0), texture())
    depth = np.zeros((96, 128), np.float32)
    depth[:, 62:] = 1
    soft = blur_forms(depth, 0.0)
    assert soft.dtype == np.float32 and 0 < soft[48, 61] < soft[48, 63] < 1


def test_a_storyboard_loses_colour_and_texture_and_keeps_its_forms() -> None:
    def saturation(picture: np.ndarray) -> float:
        return float(cv2.cvtColor(picture, cv2.COLOR_RGB2HSV)[..., 1].mean())

    picture = cv2.GaussianBlur(texture(), (0, 0), 1)
    plain = flatten(picture, FOOTAGE["storyboard"])
    assert saturation(plain) < 0.35 * saturation(picture)
    square = np.s_[44:106, 84:176]  # its inside, where the dots are
    assert plain[square].std((0, 1)).max() < 0.6 * picture[square].std((0, 1)).max()
    assert canny(plain)[36:44, 90:170].max() == 1  # its upper side
    assert np.array_equal(flatten(picture, FOOTAGE["video"]), picture)
