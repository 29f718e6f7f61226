"""Prompts over time: "0s: watercolour; 4s: oil painting" to texts with their seconds, and what lies between them."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, replace
from fractions import Fraction

import torch

from stylize.errors import StyleError
from stylize.networks import Prompted

MARK = re.compile(r"(?:^|;)\s*(\d+(?:\.\d+)?)\s*s\s*:\s*")
"""A moment in seconds, at the beginning or after a semicolon."""


def parse_timeline(prompt: str) -> list[tuple[Fraction, str]]:
    """Texts with the second from which on each holds; a plain prompt is one text at 0.

    Raises:
        StyleError: moments that do not rise, a text that is empty, or words before the first moment.
    """
    marks = list(MARK.finditer(prompt))
    if not marks:
        return [(Fraction(0), prompt)]
    if prompt[: marks[0].start()].strip():
        raise StyleError(f"'{prompt}' says no second for its beginning", "write 0s: before it")
    ends = [mark.start() for mark in marks[1:]] + [len(prompt)]
    moments = [(Fraction(mark[1]), prompt[mark.end() : end].strip()) for mark, end in zip(marks, ends, strict=True)]
    for (before, _), (after, _) in itertools.pairwise(moments):
        if after <= before:
            raise StyleError(f"{float(after):g}s comes after {float(before):g}s in the prompt", "let seconds rise")
    if not all(text for _, text in moments):
        raise StyleError(f"a moment of '{prompt}' has no words", "write some after the colon")
    return moments


@dataclass(frozen=True)
class Timeline:
    """What the prompts have become, with their seconds on the source's clock."""

    moments: tuple[tuple[Fraction, Prompted], ...]

    def at(self, time: Fraction) -> Prompted:
        """The prompt of this moment; between two, both are mixed, smoothly at either end."""
        (_, before), after = self.moments[0], None
        begin = end = self.moments[0][0]
        for moment, prompt in self.moments:
            if moment <= time:
                begin, before, after = moment, prompt, None
            elif after is None:
                end, after = moment, prompt
        if after is None or time <= begin:
            return before
        part = float((time - begin) / (end - begin))
        return mixed(before, after, part * part * (3 - 2 * part))


def mixed(one: Prompted, other: Prompted, share: float) -> Prompted:
    """Between two prompts; the shorter one's last token stands in for those that it lacks."""
    length = max(one.words.shape[1], other.words.shape[1])
    words = torch.lerp(padded(one.words, length), padded(other.words, length), share)
    pooled = one.pooled
    if one.pooled is not None and other.pooled is not None:
        pooled = torch.lerp(one.pooled, other.pooled, share)
    return replace(one, words=words, pooled=pooled)


def padded(words: torch.Tensor, length: int) -> torch.Tensor:
    """As many tokens as `length`; the last one stands in for those that there are not."""
    missing = length - words.shape[1]
    return torch.cat([words, words[:, -1:].expand(-1, missing, -1)], 1) if missing else words
