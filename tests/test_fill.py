"""Fusion and filling in: what is carried along, what is not, and that nothing gets blurred, stuck or lost."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from fractions import Fraction

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_metrics import HEIGHT, WIDTH, panned, picture

from stylize import Clip, Style, Stylizer
from stylize.fast import MAX_GAP, is_still, restyle_keyframes
from stylize.fill import Image, Seen, between, chained, fuse, to_bytes, unit
from stylize.memory import Memory
from stylize.metrics import measure_frames, sharpness
from stylize.motion import Motion, motion_between, motions_between
from stylize.networks import Networks

STILL = Motion(np.zeros((HEIGHT, WIDTH, 2), np.float32), np.ones((HEIGHT, WIDTH), bool))


def flickering(frames: list[np.ndarray], levels: float = 12) -> list[Image]:
    """A look with a random shift of colour in each frame."""
    rng = np.random.default_rng(0)
    return [np.clip(1 - unit(f) + rng.normal(0, levels / 255, 3).astype(np.float32), 0, 1) for f in frames]


def fused(frames: list[np.ndarray], looks: list[Image]) -> list[np.ndarray]:
    last, results = Seen(frames[0], looks[0]), [looks[0]]
    for frame, look in zip(frames[1:], looks[1:], strict=True):
        last = Seen(frame, fuse(last, frame, look, motion_between(last.source, frame)))
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
    frame, look = picture(1, WIDTH, HEIGHT), unit(picture(2, WIDTH, HEIGHT))
    hidden = Motion(STILL.flow, np.zeros_like(STILL.visible))
    other = Seen(frame, unit(picture(3, WIDTH, HEIGHT)))
    assert np.allclose(fuse(other, frame, look, hidden), look, atol=1e-6)
    assert np.allclose(fuse(other, frame, look, STILL, weight=0), look, atol=1e-6)
    cut = Seen(255 - frame, other.styled)  # the source there looks different: hardly anything is kept
    assert (
        np.abs(fuse(cut, frame, look, STILL) - look).mean()
        < 0.35 * np.abs(fuse(other, frame, look, STILL) - look).mean()
    )


def test_on_still_ground_a_trembling_flow_blurs_nothing() -> None:
    frame = picture(1, WIDTH, HEIGHT)
    last = Seen(frame, unit(frame))
    trembling = Motion(STILL.flow + np.float32(0.4), STILL.visible)
    for _ in range(20):
        last = Seen(frame, fuse(last, frame, unit(frame), trembling))
    assert sharpness(to_bytes(last.styled)) > 0.98 * sharpness(frame)


@given(parts=st.lists(st.floats(-2, 2, width=16), min_size=1, max_size=6))
@settings(max_examples=20, deadline=None)
def test_chained_motions_add_up(parts: list[float]) -> None:
    steps = [Motion(STILL.flow + np.float32(part), STILL.visible) for part in parts]
    whole = chained(steps)
    for i, motion in enumerate(whole, start=1):
        assert np.allclose(motion.flow, sum(parts[:i]), atol=1e-4)
        assert motion.visible.all()
    blind = Motion(STILL.flow, np.zeros_like(STILL.visible))
    assert not chained([blind, *steps])[-1].visible.any()


def test_frames_between_are_the_keyframes_moved() -> None:
    frames = panned(5)
    looks = [1 - unit(f) for f in frames]
    both = [motions_between(a, b) for a, b in itertools.pairwise(frames)]
    back = chained([b for b, _ in both[:3]])
    ahead = chained([a for _, a in reversed(both[1:])])[::-1]
    made = between(Seen(frames[0], looks[0]), Seen(frames[4], looks[4]), frames[1:4], back, ahead)
    assert len(made) == 3
    for got, wanted in zip(made, looks[1:4], strict=True):
        assert np.abs(got - wanted).mean() < 0.01


def clips_of(frames: list[np.ndarray], starts: tuple[int, ...] = (0,)) -> list[Clip]:
    return [
        Clip(f[None], (Fraction(i, 25),), (Fraction(1, 25),), i, starts_shot=i in starts) for i, f in enumerate(frames)
    ]


def negative(keyframes: list[int]) -> Callable[[Clip, Memory, Motion | None], Memory]:
    """A look that needs no network: the negative picture; notes which frames it was asked for."""

    def diffuse(clip: Clip, memory: Memory, motion: Motion | None) -> Memory:
        keyframes.append(clip.index)
        return memory.after((), Seen(clip.frames[0], 1 - unit(clip.frames[0])))

    return diffuse


def restyled(clips: Iterable[Clip], keyframes: list[int]) -> list[Clip]:
    return [clip for clip, _ in restyle_keyframes(clips, negative(keyframes))]


@pytest.mark.parametrize("count", [1, 2, MAX_GAP, MAX_GAP + 1, 3 * MAX_GAP + 2])
def test_every_frame_comes_out_once_in_order_and_looks_like_its_own(count: int) -> None:
    frames, keyframes = panned(count), []
    done = restyled(clips_of(frames), keyframes)
    assert [clip.index for clip in done] == list(range(count))
    assert [clip.times for clip in done] == [clip.times for clip in clips_of(frames)]
    assert keyframes[0] == 0 and keyframes[-1] == count - 1
    assert max(np.diff([*keyframes, count - 1]), default=0) <= MAX_GAP
    for clip, frame in zip(done, frames, strict=True):
        assert np.abs(clip.frames[0].astype(int) - (255 - frame)).mean() < 4


def test_it_streams_with_a_bounded_look_ahead() -> None:
    read = []

    def counted() -> list[Clip]:
        for clip in clips_of(panned(40)):
            read.append(clip.index)
            yield clip

    for clip, _ in restyle_keyframes(counted(), negative([])):
        assert read[-1] - clip.index <= MAX_GAP


def test_still_frames_cost_nothing_and_noise_is_not_movement() -> None:
    rng, keyframes = np.random.default_rng(0), []
    frame = picture(1, WIDTH, HEIGHT)
    noisy = [np.clip(frame + rng.normal(0, 2, frame.shape), 0, 255).astype(np.uint8) for _ in range(30)]
    done = restyled(clips_of(noisy), keyframes)
    assert keyframes == [0] and len(done) == 30
    assert not is_still(frame, panned(2)[1]) and is_still(noisy[0], noisy[1])


def test_a_cut_ends_what_was_waiting_and_nothing_crosses_it() -> None:
    frames, keyframes = [*panned(4), *[255 - f[::-1] for f in panned(4)]], []
    done = restyled(clips_of(frames, starts=(0, 4)), keyframes)
    assert 3 in keyframes and 4 in keyframes
    assert [clip.starts_shot for clip in done] == [i in (0, 4) for i in range(8)]
    for clip, frame in zip(done, frames, strict=True):
        assert np.abs(clip.frames[0].astype(int) - (255 - frame)).mean() < 4


def test_fast_mode_through_the_networks(tiny: Networks) -> None:
    frames = panned(9)
    clip = Clip(np.stack(frames), tuple(Fraction(i, 25) for i in range(9)), (Fraction(1, 25),) * 9)
    style = Style(prompt="ink", mode="fast")
    with tiny.counting() as counts:
        done = list(Stylizer(tiny).stream([clip], style))
    assert sum(map(len, done)) == 9 and counts.frames < 5
    parts = [clip.part(i, i + 2, starts_shot=False) for i in range(0, 8, 2)] + [clip.part(8, 9, starts_shot=False)]
    again = list(Stylizer(tiny).stream(parts, style))
    assert all(np.array_equal(a.frames, b.frames) for a, b in zip(done, again, strict=True))
    blurred = [cv2.GaussianBlur(f, (0, 0), 1) for f in frames]
    assert not np.array_equal(done[0].frames[0], blurred[0])
