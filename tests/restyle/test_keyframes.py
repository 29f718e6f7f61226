"""Fast mode: keyframes, what is filled in between, and still frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest

from scenes import HEIGHT, WIDTH, panned, picture
from stylize import Clip, Style, Stylizer
from stylize.frames import one_by_one, to_bytes, to_floats
from stylize.motion import CutDetector, FlowPool, fuse
from stylize.networks import Networks
from stylize.restyle.keyframes import MAX_GAP, batch_gaps, cut_gaps, is_still


def clips_of(frames: list[np.ndarray], starts: tuple[int, ...] = (0,)) -> list[Clip]:
    return [
        Clip(f[None], (Fraction(i, 25),), (Fraction(1, 25),), i, starts_shot=i in starts) for i, f in enumerate(frames)
    ]


def split(clips: Iterable[Clip]) -> Iterator[tuple[Clip, CutDetector]]:
    """Frames as cut detection hands them on; what begins a shot is given."""
    return ((clip, CutDetector()) for clip in clips)


def restyled(clips: Iterable[Clip], keyframes: list[int], size: int = 1, workers: int = 1) -> list[Clip]:
    """A look that needs no network: the negative picture; notes which frames it was asked for."""
    done, last = list[Clip](), None
    with FlowPool(workers) as flows:
        for batch in batch_gaps(cut_gaps(split(clips), flows), size):
            last = None if batch.clip.starts_shot else last
            keyframes += [clip.index for clip in batch.to_restyle]
            styled = [1 - to_floats(clip.frames[0]) for clip in batch.to_restyle]
            images, last = batch.finish(styled, last, (), fuse)
            done += one_by_one([replace(batch.clip, frames=np.stack([to_bytes(image) for image in images]))])
    return done


@pytest.mark.parametrize("workers", [1, 4])
def test_batches_and_threads_change_nothing(workers: int) -> None:
    """Much and little moves, stands still, is cut."""
    frames = [*panned(8, step=9), *[panned(1)[0]] * 4, *panned(14, step=1), *[255 - f[::-1] for f in panned(5, step=6)]]
    keyframes: list[int] = []
    alone = restyled(clips_of(frames, starts=(0, 8, 12, 26)), keyframes)
    together: list[int] = []
    batched = restyled(clips_of(frames, starts=(0, 8, 12, 26)), together, size=4, workers=workers)
    assert together == keyframes and [clip.index for clip in batched] == list(range(len(frames)))
    assert all(np.array_equal(one.frames, other.frames) for one, other in zip(alone, batched, strict=True))


def test_short_gaps_go_together_and_little_is_read_ahead() -> None:
    with FlowPool(1) as flows:
        sizes = [
            (len(batch.to_restyle), len(batch.clip))
            for batch in batch_gaps(cut_gaps(split(clips_of(panned(30, step=12))), flows), 4)
        ]
    assert sum(frames for _, frames in sizes) == 30 and max(keys for keys, _ in sizes) > 1
    assert all(keys <= 4 and frames <= MAX_GAP for keys, frames in sizes)


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

    with FlowPool(1) as flows:
        for gap in cut_gaps(split(counted()), flows):
            assert read[-1] == gap.clip.index + len(gap.clip) - 1 and len(gap.clip) <= MAX_GAP


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
