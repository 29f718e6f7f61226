"""Kinds of footage, and the knobs: what each takes away, and that it does so steadily."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_restyle import joined, make_clip

from stylize import Style, StyleError, Stylizer, VideoReader, load_stylizer
from stylize.conditions import conditions_for, loosened
from stylize.detectors import canny
from stylize.footage import FOOTAGE, coarsened
from stylize.metrics import measure_frames
from stylize.networks import Networks
from stylize.style import Control

CLIP = Path(__file__).parents[1] / "examples" / "cockatoo.mp4"


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
    loose, tight = coarsened(texture(), one), coarsened(texture(), min(1.0, one + more))
    assert loose.shape == tight.shape == texture().shape and loose.dtype == np.uint8
    assert cv2.Laplacian(loose, cv2.CV_32F).var() <= cv2.Laplacian(tight, cv2.CV_32F).var() + 1


def test_whole_structure_changes_nothing_and_depth_is_coarsened_alike() -> None:
    assert np.array_equal(coarsened(texture(), 1.0), texture())
    depth = np.zeros((96, 128), np.float32)
    depth[:, 62:] = 1
    soft = coarsened(depth, 0.0)
    assert soft.dtype == np.float32 and 0 < soft[48, 61] < soft[48, 63] < 1


def test_a_storyboard_loses_colour_and_texture_and_keeps_its_forms() -> None:
    def saturation(picture: np.ndarray) -> float:
        return float(cv2.cvtColor(picture, cv2.COLOR_RGB2HSV)[..., 1].mean())

    picture = cv2.GaussianBlur(texture(), (0, 0), 1)
    plain = FOOTAGE["storyboard"].prepared(picture)
    assert saturation(plain) < 0.35 * saturation(picture)
    square = np.s_[44:106, 84:176]  # its inside, where the dots are
    assert plain[square].std((0, 1)).max() < 0.6 * picture[square].std((0, 1)).max()
    assert canny(plain)[36:44, 90:170].max() == 1  # its upper side
    assert np.array_equal(FOOTAGE["video"].prepared(picture), picture)


def test_what_the_footage_settles_and_what_is_said_wins(tiny: Networks) -> None:
    plain = conditions_for(tiny, Style(prompt="ink"))
    board = conditions_for(tiny, Style(prompt="ink", footage="storyboard"))
    assert board.strength == 0.9 > plain.strength
    assert board.controls["depth"].weight > plain.controls["depth"].weight
    assert board.controls["canny"].weight < plain.controls["canny"].weight
    assert (plain.structure, board.structure) == (1.0, FOOTAGE["storyboard"].structure)
    said = Style(prompt="ink", footage="storyboard", strength=0.6, structure=1.0, controls={"depth": 0.7})
    own = conditions_for(tiny, said)
    assert (own.strength, own.structure, own.controls) == (0.6, 1.0, {"depth": Control(0.7)})
    with pytest.raises(StyleError, match="footage 'film' is not known: use video or storyboard or render"):
        Style(prompt="ink", footage="film")  # type: ignore[arg-type]


@pytest.mark.parametrize(("structure", "steps", "end"), [(1.0, 2, 1.0), (0.8, 2, 1.0), (0.0, 4, 0.5), (0.5, 20, 0.75)])
def test_control_weight_and_end_follow_the_structure(structure: float, steps: int, end: float) -> None:
    assert loosened(Control(0.8), structure, steps) == Control(0.8 * structure, 0.0, end)


def test_no_style_weight_is_as_if_nothing_were_said(tiny: Networks) -> None:
    clip = make_clip(2)
    one, other = (joined(Stylizer(tiny).stream([clip], Style(prompt=p, style_weight=0))) for p in ("ink", "a red sea"))
    full = joined(Stylizer(tiny).stream([clip], Style(prompt="ink")))
    assert np.array_equal(one, other) and not np.array_equal(one, full)


@pytest.mark.slow
@pytest.mark.parametrize("look", ["watercolour painting", "oil painting"])
@pytest.mark.parametrize(
    ("knob", "values", "figure", "rises"),
    [
        ("structure", (0.0, 0.25, 0.5, 1.0), "edge_f1", True),
        ("style_weight", (0.0, 0.5, 1.0), "style_change", True),
        ("strength", (0.3, 0.5, 0.75), "style_change", True),
        ("temporal", (0.0, 0.5, 1.0), "warp_error", False),
    ],
)
def test_knobs_are_monotone_in_what_they_name(
    look: str, knob: str, values: tuple[float, ...], figure: str, rises: bool
) -> None:
    stylizer = load_stylizer("pocket")
    with VideoReader(CLIP, size=(256, 144)) as video:
        clip = next(video.clips(5))
    measured = []
    for value in values:
        styled = joined(stylizer.stream([clip], Style(prompt=look, **{knob: value})))  # type: ignore[arg-type]
        measured.append(measure_frames(zip(clip.frames, styled, strict=True)).figures[figure])
    assert sorted(measured, reverse=not rises) == measured and len(set(measured)) == len(measured)
