"""Fusion and filling in: what is carried along, what is not, and that nothing gets blurred, stuck or lost."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from scenes import HEIGHT, WIDTH, panned, picture
from stylize.frames import Image, to_bytes, to_floats
from stylize.metrics import measure_frames, sharpness
from stylize.motion import Motion, between, motion_between
from stylize.motion.flow import motions_between
from stylize.motion.fusion import FramePair, chain, fuse

STILL = Motion(np.zeros((HEIGHT, WIDTH, 2), np.float32), np.ones((HEIGHT, WIDTH), bool))


def flickering(frames: list[np.ndarray], levels: float = 12) -> list[Image]:
    """A look with a random shift of colour in each frame."""
    rng = np.random.default_rng(0)
    return [np.clip(1 - to_floats(f) + rng.normal(0, levels / 255, 3).astype(np.float32), 0, 1) for f in frames]


def fused(frames: list[np.ndarray], looks: list[Image]) -> list[np.ndarray]:
    last, results = FramePair(frames[0], looks[0]), [looks[0]]
    for frame, look in zip(frames[1:], looks[1:], strict=True):
        last = FramePair(frame, fuse(last, frame, look, motion_between(last.source, frame)))
        results.append(last.styled)
    return [to_bytes(x) for x in results]


def test_fusion_takes_flicker_out_and_leaves_sharpness_and_motion() -> None:
    frames = panned(10)
    looks = flickering(frames)
    before = measure_frames(zip(frames, map(to_bytes, looks), strict=True)).figures
    after = measure_frames(zip(frames, fused(frames, looks), strict=True)).figures
    assert after["flicker"] < 0.35 * before["flicker"]
    assert after["warp_error"] < 0.2 * before["warp_error"]
    assert after["sharpness"] > 0.9 * before["sharpness"]
    assert after["tof"] < 0.3


def test_where_nothing_is_known_the_new_frame_stands_alone() -> None:
    frame, look = picture(1, WIDTH, HEIGHT), to_floats(picture(2, WIDTH, HEIGHT))
    hidden = Motion(STILL.flow, np.zeros_like(STILL.visible))
    other = FramePair(frame, to_floats(picture(3, WIDTH, HEIGHT)))
    assert np.allclose(fuse(other, frame, look, hidden), look, atol=1e-6)
    assert np.allclose(fuse(other, frame, look, STILL, weight=0), look, atol=1e-6)
    cut = FramePair(255 - frame, other.styled)  # the source there looks different: hardly anything is kept
    assert (
        np.abs(fuse(cut, frame, look, STILL) - look).mean()
        < 0.35 * np.abs(fuse(other, frame, look, STILL) - look).mean()
    )


def test_on_still_ground_a_trembling_flow_blurs_nothing() -> None:
    frame = picture(1, WIDTH, HEIGHT)
    last = FramePair(frame, to_floats(frame))
    trembling = Motion(STILL.flow + np.float32(0.4), STILL.visible)
    for _ in range(20):
        last = FramePair(frame, fuse(last, frame, to_floats(frame), trembling))
    assert sharpness(to_bytes(last.styled)) > 0.98 * sharpness(frame)


@given(parts=st.lists(st.floats(-2, 2, width=16), min_size=1, max_size=6))
@settings(max_examples=20)
def test_chained_motions_add_up(parts: list[float]) -> None:
    steps = [Motion(STILL.flow + np.float32(part), STILL.visible) for part in parts]
    whole = chain(steps)
    for i, motion in enumerate(whole, start=1):
        assert np.allclose(motion.flow, sum(parts[:i]), atol=1e-4)
        assert motion.visible.all()
    blind = Motion(STILL.flow, np.zeros_like(STILL.visible))
    assert not chain([blind, *steps])[-1].visible.any()


def test_frames_between_are_the_keyframes_moved() -> None:
    frames = panned(5)
    looks = [1 - to_floats(f) for f in frames]
    both = [motions_between(a, b) for a, b in itertools.pairwise(frames)]
    back = chain([b for b, _ in both[:3]])
    ahead = chain([a for _, a in reversed(both[1:])])[::-1]
    made = between(FramePair(frames[0], looks[0]), FramePair(frames[4], looks[4]), frames[1:4], back, ahead)
    assert len(made) == 3
    for got, wanted in zip(made, looks[1:4], strict=True):
        assert np.abs(got - wanted).mean() < 0.01
