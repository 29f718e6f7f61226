"""What lies beyond a picture: places on canvases, and what the camera showed elsewhere."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from stylize import StyleError
from stylize.frames import Clip, Picture
from stylize.scenes.beyond import expand_clips
from stylize.scenes.canvas import Canvas, paint_unknown, place_picture

SEQUENCES = Path(os.environ.get("STYLIZE_DATA", "../shared/data")) / "depth" / "sequences"
WORLD = cv2.resize(
    np.random.default_rng(1).integers(0, 255, (24, 60, 3)).astype(np.uint8), (300, 96), interpolation=cv2.INTER_CUBIC
)
COUNT, STEP = 24, 3
CANVAS = Canvas((160, 96), 40, 0, (80, 96))


def view(i: int) -> Picture:
    """The whole canvas at frame `i` of a pan."""
    return np.ascontiguousarray(WORLD[:, 20 + STEP * i : 180 + STEP * i])


def source(count: int = COUNT) -> list[Clip]:
    pictures = [np.ascontiguousarray(view(i)[CANVAS.inside]) for i in range(count)]
    return [Clip(one[None], (Fraction(i, 10),), (Fraction(1, 10),), i) for i, one in enumerate(pictures)]


def test_the_picture_stays_and_the_rest_comes_from_other_frames() -> None:
    found = list(expand_clips(source(), CANVAS))
    assert [clip.index for clip in found] == list(range(COUNT))
    for clip, original in zip(found, source(), strict=True):
        assert np.array_equal(clip.frames[0][CANVAS.inside], original.frames[0])
    for i in (12, 14):  # 40 pixels to both sides were or will be in the picture
        error = np.abs(found[i].frames[0].astype(int) - view(i))
        assert error[:, 8:40].mean() < 12 and error[:, 120:150].mean() < 12
    painted = np.abs(paint_unknown(_laid(12), CANVAS.known).astype(int) - view(12))
    assert painted[:, 8:40].mean() > 25


def _laid(i: int) -> Picture:
    laid = np.zeros_like(view(i))
    laid[CANVAS.inside] = view(i)[CANVAS.inside]
    return laid


def test_what_is_painted_stays_where_it_is() -> None:
    """A camera that stands still: nothing beyond may move or flicker."""
    still = [Clip(view(3)[CANVAS.inside][None], (Fraction(i),), (Fraction(1),), i) for i in range(6)]
    found = [clip.frames[0] for clip in expand_clips(still, CANVAS)]
    assert all(np.array_equal(one, found[0]) for one in found)


def test_a_cut_begins_anew() -> None:
    other = [Clip((255 - c.frames)[:, ::-1].copy(), c.times, c.durations, COUNT + i) for i, c in enumerate(source(4))]
    both = list(expand_clips([*source(), *other], CANVAS))
    alone = list(expand_clips([Clip(c.frames, c.times, c.durations, i) for i, c in enumerate(other)], CANVAS))
    for one, two in zip(both[COUNT:], alone, strict=True):
        assert np.array_equal(one.frames, two.frames)


def test_going_on_changes_nothing() -> None:
    whole = list(expand_clips(source(), CANVAS))
    part = list(expand_clips(source(), CANVAS, skip=17))
    assert [clip.index for clip in part] == list(range(17, COUNT))
    assert all(np.array_equal(a.frames, b.frames) for a, b in zip(part, whole[17:], strict=True))


@pytest.mark.parametrize(
    "gap", [(slice(None), slice(0, 30)), (slice(60, 96), slice(None)), (slice(20, 70), slice(50, 90))]
)
def test_painting_keeps_what_is_known(gap: tuple[slice, ...]) -> None:
    known = np.ones((96, 160), np.bool_)
    known[gap] = False
    picture = np.where(known[..., None], view(0), 0).astype(np.uint8)
    painted = paint_unknown(picture, known)
    assert np.array_equal(painted[known], picture[known])
    assert (painted[~known].sum(-1) > 0).mean() > 0.95
    assert abs(float(painted[~known].mean()) - float(picture[known].mean())) < 40


@pytest.mark.parametrize(
    ("canvas", "place", "expected"),
    [
        ("160x96", "center", (160, 96, 40, 0)),
        ("100x120", "10,20", (100, 120, 10, 20)),
        ("16:9", "left", (170, 96, 0, 0)),
        ("9:16", "bottom", (80, 142, 0, 46)),
        ("1:1", "right", (96, 96, 16, 0)),
    ],
)
def test_places(canvas: str, place: str, expected: tuple[int, ...]) -> None:
    found = place_picture((80, 96), canvas, place)
    assert (*found.size, found.left, found.top) == expected
    assert found.known.sum() == 80 * 96 and found.ramp[found.known].max() == 0 and found.ramp.max() > 0


@pytest.mark.parametrize(
    ("canvas", "place", "message"),
    [
        ("64x48", "center", "the canvas 64x48 is smaller than the picture, 80x96: choose a larger one"),
        ("80x96", "center", "is the picture's own size"),
        ("huge", "center", "'huge' is not a canvas: write WIDTHxHEIGHT, or a shape such as 16:9"),
        ("0:9", "center", "is not a canvas"),
        ("99999x96", "center", "out of range"),
        ("160x96", "middle", "'middle' is not a place"),
        ("160x96", "90,0", "at 90,0 the picture leaves the canvas: use 0,0 to 80,0"),
    ],
)
def test_canvases_that_have_no_meaning(canvas: str, place: str, message: str) -> None:
    with pytest.raises(StyleError, match=message):
        place_picture((80, 96), canvas, place)


@pytest.mark.slow
@pytest.mark.skipif(not SEQUENCES.is_dir(), reason="no rendered sequences")
@pytest.mark.parametrize("name", ["seq1", "seq2", "seq7"])
def test_the_hidden_truth_of_a_real_renderer(name: str) -> None:
    """The middle of Cycles' frames, expanded: nearer to what was cut off than painting, where the camera showed it."""
    folder = SEQUENCES / name
    frames = [cv2.imread(str(folder / f"frame_{i:03d}.png"))[..., ::-1] for i in range(24)]
    flow = np.load(folder / "flow.npz")
    height, width = frames[0].shape[:2]
    canvas = Canvas((width, height), 64, 0, (192, height))
    inner = [np.ascontiguousarray(frame[canvas.inside]) for frame in frames]
    clips = [Clip(one[None], (Fraction(i),), (Fraction(1),), i) for i, one in enumerate(inner)]
    ours = [clip.frames[0] for clip in expand_clips(clips, canvas)]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    shown, errors = canvas.known.astype(np.float32), []
    for i in range(1, 24):  # what earlier frames showed, by the renderer's own motion
        back = flow["bwd"][i - 1].astype(np.float32)
        shown = cv2.remap(shown, x + back[..., 0], y + back[..., 1], cv2.INTER_LINEAR) * (flow["occ_bwd"][i - 1] == 0)
        shown = np.maximum((shown > 0.99).astype(np.float32), canvas.known)
        where = (shown > 0) & ~canvas.known
        if where.sum() > 200:
            laid = np.where(canvas.known[..., None], frames[i], 0).astype(np.uint8)
            painted = cv2.inpaint(laid, (~canvas.known).astype(np.uint8), 5, cv2.INPAINT_TELEA)
            errors.append([np.mean((one[where].astype(float) - frames[i][where]) ** 2) for one in (ours[i], painted)])
    mine, theirs = 10 * np.log10(255**2 / np.array(errors)).mean(0)
    assert mine > theirs and mine > 21
