"""Black bars beside a picture of another shape: found, and left as they are."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media import frames, picture
from stylize import Style, load_stylizer
from stylize.masks import Bars, find_bars
from stylize.runs.jobs import Job

HEIGHT, WIDTH = 96, 128


def barred(top: int = 0, bottom: int = 0, left: int = 0, right: int = 0, number: int = 1) -> np.ndarray:
    """A picture between bars of these many lines, which have a codec's noise."""
    frame = np.random.default_rng(number).integers(0, 12, (HEIGHT, WIDTH, 3), np.uint8)
    inside = np.s_[top : HEIGHT - bottom, left : WIDTH - right]
    frame[inside] = np.maximum(picture(number, WIDTH, HEIGHT), 60)[inside]
    return frame


@settings(max_examples=40, deadline=None)
@given(sides=st.tuples(*[st.one_of(st.just(0), st.integers(2, 30))] * 4), scale=st.sampled_from([1, 2, 3]))
def test_any_bars_are_found_and_hold_at_other_sizes(sides: tuple[int, int, int, int], scale: int) -> None:
    top, bottom, left, right = sides
    bars = find_bars([barred(*sides, number) for number in range(3)])
    rows, columns = bars.inside(HEIGHT * scale, WIDTH * scale)
    assert (rows.start, rows.stop) == (top * scale, (HEIGHT - bottom) * scale)
    assert (columns.start, columns.stop) == (left * scale, (WIDTH - right) * scale)


def test_lines_that_a_smaller_frame_mixes_are_inside() -> None:
    rows, columns = Bars(top=10 / 96, left=3 / 128).inside(48, 64)
    assert rows == slice(5, 48) and columns == slice(1, 64)


def test_a_dark_picture_is_no_bar() -> None:
    night = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    assert find_bars([night]) == Bars()
    night[30:60, 50:70] = 200  # something in the middle of the night
    assert find_bars([night]) == Bars()
    night[40:] = 90  # a ground, below a sky that is nearly half of the picture
    assert find_bars([night]) == Bars()


def test_what_is_shown_in_a_bar_once_is_kept_from_being_one() -> None:
    plain, titled = barred(top=20, bottom=20), barred(top=20, bottom=20, number=2)
    titled[84:90, 40:80] = 255
    bars = find_bars([plain, titled])
    assert bars.top == 20 / HEIGHT and bars.bottom == 0


@pytest.mark.parametrize("size", [None, (64, 48)])
def test_bars_of_a_film_stay_black(tiny_model: Path, tmp_path: Path, size: tuple[int, int] | None) -> None:
    source, result = tmp_path / "in.mp4", tmp_path / "out.mp4"
    with av.open(str(source), "w") as sink:
        stream = sink.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(6):
            shown = barred(top=16, bottom=24, number=number) if number else np.zeros((HEIGHT, WIDTH, 3), np.uint8)
            sink.mux(stream.encode(av.VideoFrame.from_ndarray(shown, "rgb24")))
        sink.mux(stream.encode())
    stylizer = load_stylizer(str(tiny_model), device="cpu")
    job = Job(str(source), result)
    with job.open() as reader:
        found = job.find_bars(reader)
    # a codec's ringing may light the outermost lines
    assert (found.top, found.bottom) == pytest.approx((16 / HEIGHT, 24 / HEIGHT), abs=2.1 / HEIGHT)
    assert (found.left, found.right) == (0, 0)
    stylizer.restyle(job, Style(prompt="ink", size=size))
    for frame in frames(result)[1:]:
        scale = len(frame) / HEIGHT
        top, bottom = frame[: int(12 * scale)], frame[len(frame) - int(20 * scale) :]
        assert max(top.max(), bottom.max()) < 32
        assert frame[int(20 * scale) : int(64 * scale)].mean() > 24
