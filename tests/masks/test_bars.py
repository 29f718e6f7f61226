"""Black bars beside a picture of another shape: found, and left as they are."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clips import cut_up, joined
from media import picture
from stylize.frames import Clip
from stylize.masks import Bars, find_bars
from stylize.networks import Networks
from stylize.pipeline import State, make_plan, restyle_clips
from stylize.restyle import make_restyler
from stylize.runs.state import from_bytes, to_bytes
from stylize.style import Style

HEIGHT, WIDTH = 96, 128


def barred(top: int = 0, bottom: int = 0, left: int = 0, right: int = 0, number: int = 1) -> np.ndarray:
    """A picture between bars of these many lines, which have a codec's noise."""
    frame = np.random.default_rng(number).integers(0, 12, (HEIGHT, WIDTH, 3), np.uint8)
    inside = np.s_[top : HEIGHT - bottom, left : WIDTH - right]
    frame[inside] = np.maximum(picture(number, WIDTH, HEIGHT), 60)[inside]
    return frame


@settings(max_examples=40)
@given(
    high=st.one_of(st.just(0), st.integers(2, 28)), wide=st.one_of(st.just(0), st.integers(3, 40)),
    scale=st.sampled_from([1, 2, 3]), number=st.integers(0, 9),
)  # fmt: skip
def test_any_pairs_are_found_and_hold_at_other_sizes(high: int, wide: int, scale: int, number: int) -> None:
    bars = find_bars(barred(high, high, wide, wide, number))
    if (HEIGHT - 2 * high) * (WIDTH - 2 * wide) < 0.3 * HEIGHT * WIDTH:
        assert bars is None
        return
    assert bars is not None
    rows, columns = bars.inside(HEIGHT * scale, WIDTH * scale)
    assert (rows.start, rows.stop) == (high * scale, (HEIGHT - high) * scale)
    assert (columns.start, columns.stop) == (wide * scale, (WIDTH - wide) * scale)


def test_lines_that_a_smaller_frame_mixes_belong_to_the_picture() -> None:
    rows, columns = Bars(top=10 / 96, left=3 / 128).inside(48, 64)
    assert rows == slice(5, 48) and columns == slice(1, 64)


def test_a_dark_picture_has_no_bars() -> None:
    night = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    night[30:60, 50:70] = 200  # something in the middle of the night
    assert find_bars(night) is None
    night[40:] = 90  # a ground that ends in a line, below a sky that is nearly half of the picture
    assert find_bars(night) == Bars()
    stage = barred()
    stage[:20] = stage[76:] = 0
    stage[8:20, 50:60] = 200  # a head above, and nothing below
    assert find_bars(stage) == Bars()


def shown(frames: list[np.ndarray]) -> Clip:
    times = tuple(Fraction(i, 25) for i in range(len(frames)))
    return Clip(np.stack(frames), times, (Fraction(1, 25),) * len(frames))


def restyle(networks: Networks, clips: list[Clip], state: State | None = None) -> tuple[np.ndarray, State]:
    restyler, style = make_restyler(networks), Style(prompt="ink")
    steps = list(restyle_clips(clips, restyler, make_plan(restyler, style), state))
    return joined([clip for clip, _ in steps]), steps[-1][1]


def test_they_stay_as_they_are_and_so_does_what_is_shown_in_them(tiny: Networks) -> None:
    frames = [barred(top=16, bottom=16) for _ in range(5)]
    frames[3][84:90, 40:80] = 255  # a title
    result, _ = restyle(tiny, [shown(frames)])
    for source, frame in zip(frames, result, strict=True):
        assert np.array_equal(frame[:16], source[:16]) and np.array_equal(frame[80:], source[80:])
        assert np.abs(frame[16:80].astype(int) - source[16:80]).mean() > 10


def test_each_shot_is_decided_by_its_first_bright_frame(tiny: Networks) -> None:
    dark, full, held = np.zeros((HEIGHT, WIDTH, 3), np.uint8), barred(), barred(left=20, right=20, number=2)
    result, state = restyle(tiny, [shown([dark, held, held]), replace(shown([full]), index=3, starts_shot=True)])
    assert not np.array_equal(result[0], dark)
    assert np.array_equal(result[2][:, :20], held[:, :20]) and not np.array_equal(result[2][:, 20:108], held[:, 20:108])
    assert not np.array_equal(result[3][:, :20], full[:, :20])
    assert state.bars == Bars()


def test_a_run_goes_on_with_them(tiny: Networks) -> None:
    """Bars that a title hides later are known from before."""
    frames = [barred(top=16, bottom=16) for _ in range(6)]
    for frame in frames[2:]:
        frame[4:92, 30:100] = 255
    whole, _ = restyle(tiny, [shown(frames)])
    first, rest = cut_up(shown(frames), [2, 4])
    begun, state = restyle(tiny, [first])
    state = from_bytes(to_bytes(state), tiny.device)
    assert state.bars is not None and state.bars.top == 16 / HEIGHT
    after, _ = restyle(tiny, [rest], state)
    assert np.array_equal(np.concatenate([begun, after]), whole)


@pytest.mark.parametrize("known", [True, False])
def test_a_canvas_that_is_to_be_painted_has_none(tiny: Networks, known: bool) -> None:
    frames = [barred(top=16, bottom=16) for _ in range(2)]
    covers = np.zeros((2, HEIGHT, WIDTH), bool)
    clip = replace(shown(frames), known=covers) if known else shown(frames)
    result, state = restyle(tiny, [clip])
    assert (state.bars is None) == known
    assert np.array_equal(result[1][:16], frames[1][:16]) != known
