"""Parses prompts that change over time: `0s: ink; 4s: oil` into texts with seconds."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import TypeAlias, TypeVar

from stylize.errors import StyleError

Value = TypeVar("Value")
Moments: TypeAlias = Sequence[tuple[Fraction, Value]]
"""Values, each with the second from which on it holds; the first one is 0."""

DECADE = re.compile(r"\d*\d0")
"""A time that is more likely a decade, if it is the only one: "80s: neon", "1990s: anime"."""
MARK = re.compile(r"(?:^|;)\s*(\d+(?:\.\d+)?)\s*s\s*:\s*")
"""A time in seconds, at the beginning of the prompt or after a semicolon."""


def parse_timeline(prompt: str) -> list[tuple[Fraction, str]]:
    """Returns each text with the second from which it holds; a plain prompt is one text at 0.

    One second alone must be 0: "80s: neon" is a decade, and anything else an error.

    Raises:
        StyleError: the times do not rise, a text is empty, or words stand before the first time.
    """
    marks = list(MARK.finditer(prompt))
    alone = len(marks) == 1 and float(marks[0][1]) > 0
    if not marks or (alone and DECADE.fullmatch(marks[0][1])):
        return [(Fraction(0), prompt)]
    if prompt[: marks[0].start()].strip() or alone:
        raise StyleError(f"'{prompt}' says no second for its beginning", "write 0s: before it, or leave out the colon")
    ends = [mark.start() for mark in marks[1:]] + [len(prompt)]
    moments = [(Fraction(mark[1]), prompt[mark.end() : end].strip()) for mark, end in zip(marks, ends, strict=True)]
    for (before, _), (after, _) in itertools.pairwise(moments):
        if after <= before:
            raise StyleError(f"{float(after):g}s comes after {float(before):g}s in the prompt", "let seconds rise")
    if not all(text for _, text in moments):
        raise StyleError(f"a moment of '{prompt}' has no words", "write some after the colon")
    return moments


def blend_moments(moments: Moments[Value], time: Fraction) -> tuple[Value, Value, float]:
    """Returns the value before a second, the one after it, and the share of the latter, which has smooth ends."""
    later = [i for i, (at, _) in enumerate(moments) if at > time]
    after = later[0] if later else len(moments) - 1
    (begin, one), (end, other) = moments[max(0, after - 1) if later else after], moments[after]
    if time <= begin or end <= begin:
        return one, other, 0.0
    part = float((time - begin) / (end - begin))
    return one, other, part * part * (3 - 2 * part)


def find_moment(moments: Moments[Value], time: Fraction) -> Value:
    """Returns the value at a second; between two, which blend there, that of the nearer one."""
    ends = [(one + other) / 2 for (one, _), (other, _) in itertools.pairwise(moments)]
    return moments[sum(time >= end for end in ends)][1]
