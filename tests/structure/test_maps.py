"""Edges and depth maps."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from media import picture
from stylize import Clip, ModelError
from stylize.models.loading import load_networks
from stylize.structure import DepthRange, canny, take_maps
from stylize.structure.depth import MidasDepth, PocketDepth


@pytest.mark.parametrize("size", [(64, 48), (130, 70), (61, 45), (640, 360)])
def test_canny_is_opencvs_at_the_frames_own_size(size: tuple[int, int]) -> None:
    image = picture(0, *size)
    edges = canny(image)
    assert edges.shape == size[::-1] and edges.dtype == np.float32
    inside = np.s_[:-3, :-3]  # at the padded border, OpenCV itself would see another border
    assert np.array_equal(edges[inside], cv2.Canny(image, 100, 200)[inside].astype(np.float32) / 255)
    assert 0 < edges.mean() < 0.5


def test_depth_range_does_not_jump_when_something_comes_near() -> None:
    """The background keeps its depth; scaled frame by frame it would fall from 0.9 to 0.2."""
    background = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
    with_object = background.copy()
    with_object[:, :16] = 5.0
    before = DepthRange.after(None, background)
    after = DepthRange.after(before, with_object)
    one, two = before.scale(background), after.scale(with_object)
    assert abs(float(two[60, 60] - one[60, 60])) < 0.2
    assert float(two[60, 60]) > 0.7
    by_itself = DepthRange.after(None, with_object).scale(with_object)
    assert float(by_itself[60, 60]) < 0.25


def test_depth_range_follows_in_the_long_run() -> None:
    far = np.random.default_rng(0).random((96, 96), dtype=np.float32)  # of which every second pixel is asked
    bounds = DepthRange.after(None, far)
    for _ in range(200):
        bounds = DepthRange.after(bounds, far * 4)
    assert bounds.high == pytest.approx(4 * 0.98, rel=0.01)


def test_flat_depth_is_no_division_by_zero() -> None:
    flat = np.ones((8, 8), np.float32)
    assert np.array_equal(DepthRange.after(None, flat).scale(flat), np.zeros((8, 8)))


def test_take_maps(tiny_model: Path) -> None:
    networks = load_networks(tiny_model, device="cpu", dtype=torch.float32)
    frames = np.stack([picture(i) for i in range(3)])
    clip = Clip(frames, tuple(Fraction(i, 25) for i in range(3)), (Fraction(1, 25),) * 3)
    maps, bounds = take_maps(clip, ["depth", "canny"], networks.estimate_depth, None)
    assert bounds is not None
    for name in ("depth", "canny"):
        assert maps.maps[name].shape == (3, 1, 48, 64)
        assert maps.maps[name].dtype == np.float32
        assert maps.maps[name].min() >= 0 and maps.maps[name].max() <= 1
    assert "64" in repr(maps)
    with pytest.raises(
        ModelError, match="no detector makes maps for the control 'pose': use depth, canny, strokes, softedge"
    ):
        take_maps(clip, ["pose"], networks.estimate_depth, None)


@pytest.mark.parametrize("size", [(64, 48), (61, 45), (200, 100)])
def test_pocket_depth_has_the_pictures_size(tiny_model: Path, size: tuple[int, int]) -> None:
    depth = PocketDepth(tiny_model / "depth", torch.device("cpu"))(picture(0, *size))
    assert depth.shape == size[::-1] and depth.dtype == np.float32
    assert np.isfinite(depth).all() and depth.std() > 0


def test_depth_of_many_pictures_at_once(tiny_model: Path) -> None:
    estimate, stack = PocketDepth(tiny_model / "depth", torch.device("cpu")), np.stack([picture(i) for i in range(3)])
    alone = np.stack([estimate(one) for one in stack])
    assert estimate(stack).shape == (3, 48, 64)
    assert np.allclose(estimate(stack), alone, atol=1e-5)
    assert not np.allclose(alone[0], alone[1], atol=1e-3)


def test_midas_says_what_its_folder_lacks(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"holds no dpt_hybrid-midas-501f0c75\.pt"):
        MidasDepth(tmp_path, torch.device("cpu"))


@pytest.mark.slow
def test_midas_estimates_from_weights_in_the_hubs_layout(tmp_path: Path) -> None:
    """Random weights under the real file name run through controlnet-aux, at the picture's size."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from controlnet_aux.midas.api import MiDaSInference
        from controlnet_aux.midas.midas.dpt_depth import DPTDepthModel

        assert MiDaSInference is not None
        network = DPTDepthModel(path=None, backbone="vitb_rn50_384", non_negative=True)
        torch.save(network.state_dict(), tmp_path / "dpt_hybrid-midas-501f0c75.pt")
        estimate = MidasDepth(tmp_path, torch.device("cpu"), short_side=64)
        depth = estimate(picture(0, 96, 64))
    assert depth.shape == (64, 96) and np.isfinite(depth).all()
