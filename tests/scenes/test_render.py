"""Rendering: against known answers, and (where the folder of rendered sequences is) against exact depth and motion."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from stylize.frames import Map, Picture
from stylize.scenes.camera import Camera, place_camera
from stylize.scenes.layers import make_layers, scale_depth, sharpen_depth
from stylize.scenes.render import find_geometry, render
from stylize.style.camera import Pose

SIZE, FOCAL = (160, 96), 150.0
SEQUENCES = Path(os.environ.get("STYLIZE_DATA", "../shared/data")) / "depth" / "sequences"


def room() -> tuple[Picture, Map]:
    """A box before a wall, both with a fine pattern; the box is four times as near."""
    noise = np.random.default_rng(3).integers(0, 255, (SIZE[1] // 4, SIZE[0] // 4, 3)).astype(np.uint8)
    still = cv2.resize(noise, SIZE, interpolation=cv2.INTER_CUBIC)
    depth = np.full((SIZE[1], SIZE[0]), 0.25, np.float32)
    depth[30:70, 60:100] = 1.0
    still[30:70, 60:100, 0] = 255
    return np.asarray(still, np.uint8), depth


def rest() -> Camera:
    return Camera.of_still(SIZE, FOCAL)


def test_a_camera_at_rest_sees_the_still() -> None:
    still, depth = room()
    view = render(make_layers(still, depth, 20), rest(), rest())
    assert np.array_equal(view.picture, still) and np.allclose(view.depth, depth)


@pytest.mark.parametrize("move", [(0.1, 0, 0), (0, 0.1, 0), (0, 0, 0.2), (0, 0, -0.2), (0.1, -0.05, 0.1)])
@pytest.mark.parametrize("turn", [(0, 0, 0), (4, -2, 3)])
def test_points_are_where_a_pinhole_camera_sees_them(
    move: tuple[float, float, float], turn: tuple[float, float, float]
) -> None:
    still, depth = room()
    camera = place_camera(Pose(move, turn), SIZE, FOCAL, 1.0)
    view = render(make_layers(still, depth, 60), rest(), camera)
    right, up, forward = move
    yaw, pitch, roll = np.radians(turn)
    for x, y in ((80, 50), (20, 20), (140, 80), (70, 40)):
        point = np.array([(x - 79.5) / FOCAL, (y - 47.5) / FOCAL, 1.0]) / depth[y, x]
        seen = point - np.array([right, -up, forward])
        for angle, (i, j) in ((-yaw, (0, 2)), (-pitch, (2, 1)), (-roll, (1, 0))):  # one turn after the other
            a, b = seen[i], seen[j]
            seen[i], seen[j] = np.cos(angle) * a + np.sin(angle) * b, np.cos(angle) * b - np.sin(angle) * a
        u, v = FOCAL * seen[0] / seen[2] + 79.5, FOCAL * seen[1] / seen[2] + 47.5
        column, row = round(u), round(v)
        if not (0 <= column < SIZE[0] and 0 <= row < SIZE[1]):
            continue
        assert view.depth[row, column] == pytest.approx(1 / seen[2], rel=0.03)
        back = find_geometry(view, render(make_layers(still, depth, 60), rest(), rest())).back
        assert back is not None
        assert np.allclose(back.flow[row, column] + (column, row), (x + column - u, y + row - v), atol=0.7)


def test_what_lies_behind_an_object_is_its_background() -> None:
    """No rubber sheets: beside the box's edge there are no depths between the box's and the wall's."""
    still, depth = room()
    view = render(make_layers(still, depth, 40), rest(), place_camera(Pose((-0.15, 0, 0)), SIZE, FOCAL, 1.0))
    between = (view.depth > 0.3) & (view.depth < 0.9)
    assert between.mean() < 0.005
    uncovered = view.picture[35:65, 98:116].astype(int)  # the box went to the right by 22 pixels: its left side is free
    assert view.depth[50, 70] == pytest.approx(0.25, rel=0.05)
    assert (view.picture[35:65, 62:78, 0] < 250).mean() > 0.8  # nothing of the box's red stays there
    assert uncovered.shape[0] == 30


def test_motion_of_rendered_frames_is_exact() -> None:
    still, depth = room()
    layers = make_layers(still, depth, 40)
    one, other = (render(layers, rest(), place_camera(Pose((x, 0, 0)), SIZE, FOCAL, 1.0)) for x in (0.02, 0.04))
    geometry = find_geometry(other, one)
    assert geometry.back is not None and geometry.ahead is not None
    near, far = other.depth > 0.9, other.depth < 0.3
    assert np.allclose(geometry.back.flow[near][:, 0], FOCAL * 0.02, atol=1e-3)
    assert np.allclose(geometry.back.flow[far][:, 0], FOCAL * 0.02 * 0.25, atol=1e-3)
    assert np.allclose(geometry.ahead.flow[one.depth > 0.9][:, 0], -FOCAL * 0.02, atol=1e-3)
    assert geometry.back.visible.mean() > 0.9
    hidden = ~geometry.back.visible & far  # the strip of wall that the box has just uncovered
    assert 20 < hidden[30:70].sum() < 250


def test_depth_becomes_steps_at_the_stills_edges() -> None:
    """A network's depth is a slope of some pixels; the still tells where its object ends."""
    _, depth = room()
    still = np.where(depth[..., None] > 0.5, (200, 90, 60), (60, 80, 120)).astype(np.uint8)
    sloped = scale_depth(np.asarray(cv2.GaussianBlur(depth, (0, 0), 3), np.float32))
    sharp = sharpen_depth(sloped, still)
    between = [((one > 0.3) & (one < 0.8)).mean() for one in (sloped, sharp)]
    assert between[1] < 0.1 * between[0]
    object_grown = cv2.dilate((depth > 0.5).astype(np.uint8), np.ones((7, 7))) > 0
    assert ((sharp > 0.5) <= object_grown).all() and (sharp > 0.5).sum() >= (depth > 0.5).sum()


@pytest.mark.slow
@pytest.mark.skipif(not SEQUENCES.is_dir(), reason="no rendered sequences")
@pytest.mark.parametrize("name", ["seq1", "seq2", "seq4", "seq7"])
def test_frames_of_a_real_renderer(name: str) -> None:
    """The moving camera of Cycles' sequences, from frame 0 and its depth: at least 24 dB where frame 0 saw it."""
    folder = SEQUENCES / name
    meta, flow = json.loads((folder / "meta.json").read_text()), np.load(folder / "flow.npz")
    distance = np.load(folder / "depth.npz")["depth"].astype(np.float32)
    depth = np.where(np.isfinite(distance), 1 / np.maximum(distance, 1e-3), 1e-4).clip(1e-4, None).astype(np.float32)
    frames = [cv2.imread(str(folder / f"frame_{i:03d}.png"))[..., ::-1] for i in (0, 1, 12)]
    height, width = depth.shape[1:]
    still, poses = Camera.of_still((width, height), meta["focal_px"]), np.array(meta["cam_to_world"])
    axes = np.diag([1, -1, -1])

    def camera(t: int) -> Camera:
        first, now = poses[0][:3, :3] @ axes, poses[t][:3, :3] @ axes
        return Camera((width, height), still.focal, first.T @ now, first.T @ (poses[t][:3, 3] - poses[0][:3, 3]))

    layers = make_layers(np.ascontiguousarray(frames[0], np.uint8), depth[0], 32)
    views = {t: render(layers, still, camera(t)) for t in (0, 1, 12)}
    y, x = np.mgrid[:height, :width].astype(np.float32)
    for t, frame in zip((1, 12), frames[1:], strict=True):
        u, v, seen = still.project(camera(t).unproject(x, y, depth[t]))
        known = cv2.remap(depth[0], u, v, cv2.INTER_LINEAR)
        visible = (u >= 0) & (v >= 0) & (u <= width - 1) & (v <= height - 1) & (np.abs(seen - known) < 0.03 * seen)
        error = np.mean((views[t].picture[visible].astype(float) - frame[visible]) ** 2)
        assert 10 * np.log10(255**2 / error) > 26
    back = find_geometry(views[1], views[0]).back
    assert back is not None
    error = np.hypot(*np.moveaxis(back.flow - flow["bwd"][0].astype(np.float32), -1, 0))
    assert error[flow["occ_bwd"][0] == 0].mean() < 0.1
