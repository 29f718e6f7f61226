"""Prompt embeddings: one prompt's, several frames' in a batch, and mixed over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import torch


@dataclass(frozen=True)
class PromptEmbedding:
    """What a prompt and a reference have become; with guidance the negative prompt's rows first, then G is 2, else 1.

    For a batch of B frames (`stack`) the rows are `[G, B]`, flattened.
    """

    words: torch.Tensor
    """`[G, tokens, C]`, what cross-attention reads."""
    pooled: torch.Tensor | None = None
    """`[G, C']`, one vector a prompt: SDXL's second condition."""
    image: torch.Tensor | None = None
    """What IP-Adapter's layers read of the reference, `[G, 1, ...]`."""
    image_weight: float = 1.0

    @property
    def groups(self) -> int:
        """G, of a single prompt."""
        return len(self.words)


@dataclass(frozen=True)
class Timeline:
    """Prompt embeddings with the seconds, on the source's clock, from which on each holds; all of one length."""

    moments: tuple[tuple[Fraction, PromptEmbedding], ...]

    def at(self, time: Fraction) -> PromptEmbedding:
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
        return mix(before, after, part * part * (3 - 2 * part))

    @property
    def groups(self) -> int:
        """Samples a frame: 2 with guidance, else 1."""
        return self.moments[0][1].groups


def make_timeline(moments: Sequence[tuple[Fraction, PromptEmbedding]]) -> Timeline:
    """Brings all to the length of the longest, so that frames of different moments can go in one batch."""
    length = max(prompt.words.shape[1] for _, prompt in moments)
    return Timeline(tuple((at, replace(prompt, words=pad(prompt.words, length))) for at, prompt in moments))


def stack(prompts: Sequence[PromptEmbedding]) -> PromptEmbedding:
    """The prompts of a batch's frames, one a frame, as rows `[G, B]`."""

    def rows(part: Callable[[PromptEmbedding], torch.Tensor | None]) -> torch.Tensor | None:
        found = [tensor for tensor in map(part, prompts) if tensor is not None]
        return torch.stack(found, 1).flatten(0, 1) if found else None

    words = rows(lambda prompt: prompt.words)
    assert words is not None
    pooled, image = rows(lambda prompt: prompt.pooled), rows(lambda prompt: prompt.image)
    return replace(prompts[0], words=words, pooled=pooled, image=image)


def mix(one: PromptEmbedding, other: PromptEmbedding, share: float) -> PromptEmbedding:
    """Between two prompts; the shorter one's last token stands in for those that it lacks."""
    length = max(one.words.shape[1], other.words.shape[1])
    words = torch.lerp(pad(one.words, length), pad(other.words, length), share)
    pooled = one.pooled
    if one.pooled is not None and other.pooled is not None:
        pooled = torch.lerp(one.pooled, other.pooled, share)
    return replace(one, words=words, pooled=pooled)


def pad(words: torch.Tensor, length: int) -> torch.Tensor:
    """As many tokens as `length`; the last one stands in for those that there are not."""
    missing = length - words.shape[1]
    return torch.cat([words, words[:, -1:].expand(-1, missing, -1)], 1) if missing else words
