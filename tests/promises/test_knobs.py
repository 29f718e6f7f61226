"""The knobs are monotone in what they name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clips import joined
from stylize import Style, VideoReader, load_stylizer
from stylize.metrics import measure_frames

CLIP = Path(__file__).parents[2] / "examples" / "cockatoo.mp4"
SLACK = 0.02
"""Share of its whole way by which a figure may go back in one step: near its end a knob hardly moves anything."""


@pytest.mark.slow
@pytest.mark.parametrize("look", ["watercolour painting", "cyanotype"])
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
    steps = np.diff(measured) * (1 if rises else -1)
    assert steps.sum() > 0 and steps.min() > -SLACK * steps.sum()
