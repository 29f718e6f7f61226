"""Painted frames, carried both ways along the motion."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from fractions import Fraction

import cv2
import numpy as np
import pytest

from media import picture
from stylize.frames import Clip, Picture
from stylize.motion.painted import carry_paintings, likeness

COUNT = 12
WORLD = cv2.resize(
    np.random.default_rng(1).integers(0, 255, (24, 60, 3)).astype(np.uint8), (240, 96), interpolation=cv2.INTER_CUBIC
)


def scene(i: int) -> Picture:
    """A camera that pans two pixels a frame."""
    return np.ascontiguousarray(WORLD[:, 20 + 2 * i : 148 + 2 * i])


def paint(frame: Picture) -> Picture:
    """Another look of every pixel: a painter who knows what becomes of each colour."""
    return np.asarray(255 - frame[..., ::-1] // 2, np.uint8)


def clips(pictures: list[Picture], length: int = 5) -> Iterator[Clip]:
    for start in range(0, len(pictures), length):
        part = pictures[start : start + length]
        times = tuple(Fraction(start + i, 10) for i in range(len(part)))
        yield Clip(np.stack(part), times, (Fraction(1, 10),) * len(part), start)


def covers(pictures: list[Picture], painted: list[int], length: int = 5, skip: int = 0) -> list[Clip]:
    paintings = [(Fraction(i, 10), paint(pictures[i])) for i in painted]
    return list(carry_paintings(clips(pictures, length), paintings, skip))


@pytest.mark.parametrize("painted", [[0], [11], [5], [0, 11], [2, 7]])
def test_a_painting_follows_the_motion(painted: list[int]) -> None:
    pictures = [scene(i) for i in range(COUNT)]
    found = covers(pictures, painted)
    assert [clip.index for clip in found] == list(range(COUNT))
    for clip, source in zip(found, pictures, strict=True):
        assert clip.covers is not None and np.array_equal(clip.frames[0], source)
        cover, wanted = clip.covers[0], paint(source)
        if clip.index in painted:
            assert np.array_equal(cover.picture, wanted) and (cover.share == 1).all()
        inner = np.s_[8:-8, 30:-30]
        assert cover.share[inner].mean() > 0.85
        assert np.abs(cover.picture[inner].astype(int) - wanted[inner])[cover.share[inner] > 0.5].mean() < 6


def test_what_no_painting_shows_gets_its_colours() -> None:
    """The side from which the pan brings new things: nothing is carried there, but the painter's colours are known."""
    pictures = [scene(i) for i in range(COUNT)]
    last = covers(pictures, [0])[-1]
    assert last.covers is not None
    cover, new = last.covers[0], np.s_[:, -14:]
    assert cover.share[new].max() < 0.05
    image = cover.over(np.full(pictures[-1].shape, 0.5, np.float32))[new] * 255
    wanted = paint(pictures[-1])[new]
    assert np.abs(cv2.blur(image, (9, 9)) - cv2.blur(wanted.astype(np.float32), (9, 9))).mean() < 14


def test_reading_in_other_pieces_changes_nothing() -> None:
    pictures = [scene(i) for i in range(COUNT)]
    whole = covers(pictures, [3, 8])
    for length, skip in ((1, 0), (12, 4), (5, 10)):
        parts = covers(pictures, [3, 8], length, skip)
        assert [part.index for part in parts] == list(range(skip, COUNT))
        for one, other in zip(parts, whole[skip:], strict=True):
            assert one.covers is not None and other.covers is not None
            assert np.array_equal(one.covers[0].share, other.covers[0].share)
            assert np.array_equal(one.covers[0].picture, other.covers[0].picture)


def test_nothing_is_carried_over_a_cut() -> None:
    pictures = [scene(i) for i in range(6)] + [255 - scene(i)[::-1] for i in range(6)]
    found = covers(pictures, [0])
    shares = [clip.covers[0].share.mean() for clip in found if clip.covers]
    assert min(shares[:6]) > 0.6 and max(shares[6:]) == 0


def test_transparency_comes_through() -> None:
    alpha = np.random.default_rng(2).integers(0, 255, (1, 96, 128)).astype(np.uint8)
    frames = [Clip(scene(i)[None], (Fraction(i),), (Fraction(1),), i, alpha=alpha) for i in range(3)]
    found = list(carry_paintings(frames, [(Fraction(2), paint(scene(2)))]))
    assert all(clip.alpha is not None and np.array_equal(clip.alpha, alpha) for clip in found)


def test_likeness_tells_a_painting_of_the_frame_from_another_picture() -> None:
    frame = picture(3, 128, 96)
    assert likeness(paint(frame), frame) > 0.8
    assert likeness(np.ascontiguousarray(frame), frame) == pytest.approx(1)
    assert likeness(scene(0), frame) < 0.25
    assert likeness(np.zeros_like(frame), frame) == 0


def test_frames_before_a_cut_wait_on_disk() -> None:
    """Memory does not grow with the distance of a cut from the painting after it."""
    peaks = []
    for count in (30, 120):
        pictures = [scene(i % 20) for i in range(count)] + [255 - scene(i) for i in range(3)]
        painted = [(Fraction(count + 2, 10), paint(pictures[-1]))]
        tracemalloc.start()
        assert sum(1 for _ in carry_paintings(clips(pictures), painted)) == count + 3
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]
