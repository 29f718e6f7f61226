"""Prompt embeddings, mixed over time."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from clips import joined, make_clip
from stylize import Style, Stylizer
from stylize.networks import Networks
from stylize.networks.prompts import PromptEmbedding, Timeline, mix


def test_between_two_moments_both_count_and_the_change_is_smooth() -> None:
    one, two = (PromptEmbedding(torch.full((1, 4, 2), value)) for value in (0.0, 1.0))
    line = Timeline(((Fraction(1), one), (Fraction(3), two)))
    at = [float(line.at(Fraction(k, 4)).words.mean()) for k in range(17)]
    assert at[:5] == [0.0] * 5 and at[12:] == [1.0] * 5 and at[8] == pytest.approx(0.5)
    steps = np.diff(at)
    assert (steps >= 0).all() and steps.max() < 0.2 and steps[4] < steps[7]


def test_prompts_of_different_length_mix() -> None:
    short, long = PromptEmbedding(torch.zeros(1, 77, 8)), PromptEmbedding(torch.ones(1, 154, 8))
    assert mix(short, long, 0.25).words.shape == (1, 154, 8)


def test_the_prompt_changes_over_the_clip(tiny: Networks) -> None:
    """At its ends each frame is what the one prompt alone makes; between, it is neither."""
    clip, plain = make_clip(5), {"temporal": 0.0, "seed": 1}  # 0 to 0.16 s
    both, ink, oil = (
        joined(list(Stylizer(tiny).stream([clip], Style(prompt=p, **plain))))  # type: ignore[arg-type]
        for p in ("0.04s: ink; 0.12s: oil", "ink", "oil")
    )
    assert np.array_equal(both[:2], ink[:2]) and np.array_equal(both[3:], oil[3:])
    assert not np.array_equal(both[2], ink[2]) and not np.array_equal(both[2], oil[2])
