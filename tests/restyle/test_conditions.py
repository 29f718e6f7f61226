"""Kinds of footage, and the knobs: what each takes away, and that it does so steadily."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from clips import joined, make_clip
from stylize import Style, StyleError, Stylizer
from stylize.networks import Networks
from stylize.restyle import conditions_for
from stylize.restyle.conditions import loosen
from stylize.style import FOOTAGE, Control


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
    assert loosen(Control(0.8), structure, steps) == Control(0.8 * structure, 0.0, end)


def test_no_style_weight_is_as_if_nothing_were_said(tiny: Networks) -> None:
    clip = make_clip(2)
    one, other = (joined(Stylizer(tiny).stream([clip], Style(prompt=p, style_weight=0))) for p in ("ink", "a red sea"))
    full = joined(Stylizer(tiny).stream([clip], Style(prompt="ink")))
    assert np.array_equal(one, other) and not np.array_equal(one, full)


def test_controls_on_request_are_left_out_of_ordinary_videos(tiny: Networks) -> None:
    """As the built-in model's depth is: it counts where it was asked for, in one way or another."""
    networks = replace(tiny, defaults=replace(tiny.defaults, on_request=("depth",)))

    def controls(**style: Any) -> set[str]:
        return set(conditions_for(networks, Style(prompt="ink", **style)).controls)

    assert controls() == {"canny"}
    assert controls(footage="storyboard") == controls(depth_from="depth.mp4") == {"depth", "canny"}
    assert controls(controls={"depth": 0.5}) == {"depth"}
