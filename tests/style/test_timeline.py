"""Prompts over time, as text."""

from __future__ import annotations

from fractions import Fraction

import pytest

from stylize import StyleError
from stylize.style import parse_timeline


def test_a_plain_prompt_is_one_moment() -> None:
    assert parse_timeline("ink; wash, 4s of rain") == [(0, "ink; wash, 4s of rain")]


def test_moments() -> None:
    assert parse_timeline("0s: watercolour; 4.5s : oil painting, autumn") == [
        (0, "watercolour"), (Fraction(9, 2), "oil painting, autumn"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("0s: ink; 2s: oil; 1s: wash", "1s comes after 2s in the prompt: let seconds rise"),
        ("ink; 2s: oil", "says no second for its beginning: write 0s: before it"),
        ("0s: ink; 2s:  ", "has no words: write some after the colon"),
    ],
)
def test_prompts_over_time_that_have_no_meaning(prompt: str, message: str) -> None:
    with pytest.raises(StyleError, match=message):
        parse_timeline(prompt)
