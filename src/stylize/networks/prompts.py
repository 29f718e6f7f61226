"""Prompts over time: "0s: watercolour; 4s: oil painting" to texts with their seconds, and what lies between them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import torch


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


@dataclass(frozen=True)
class Prompted:
    """What a prompt and a reference have become; with guidance the negative prompt's first, then G is 2, else 1."""

    words: torch.Tensor
    """`[G, tokens, C]`, what cross-attention reads."""
    pooled: torch.Tensor | None = None
    """`[G, C']`, one vector a prompt: SDXL's second condition."""
    image: torch.Tensor | None = None
    """What IP-Adapter's layers read of the reference, `[G, 1, ...]`."""
    image_weight: float = 1.0

    @property
    def groups(self) -> int:
        return len(self.words)
