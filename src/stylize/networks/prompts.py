"""Prompt embeddings: one prompt's, several frames' in a batch, and mixed over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import torch

from stylize.style import blend_moments


@dataclass(frozen=True)
class PromptEmbedding:
    """A prompt and its reference picture, encoded; G is 2 with guidance, the negative prompt's rows first, else 1.

    For a batch of B frames (`stack`) the rows are `[G, B]`, flattened.
    """

    words: torch.Tensor
    """`[G, tokens, C]`, for cross-attention."""
    pooled: torch.Tensor | None = None
    """`[G, C']`, one vector a prompt: SDXL's second condition."""
    image: torch.Tensor | None = None
    """The reference picture for IP-Adapter's layers, `[G, 1, ...]`."""
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
        """Returns the prompt of a moment; between two prompts a mix of both, with smooth ends."""
        before, after, share = blend_moments(self.moments, time)
        return mix(before, after, share) if share > 0 else before

    @property
    def groups(self) -> int:
        """Samples a frame: 2 with guidance, else 1."""
        return self.moments[0][1].groups


def make_timeline(moments: Sequence[tuple[Fraction, PromptEmbedding]]) -> Timeline:
    """Pads all prompts to the longest one, so that frames of different moments can go in one batch."""
    length = max(prompt.words.shape[1] for _, prompt in moments)
    return Timeline(tuple((at, replace(prompt, words=pad(prompt.words, length))) for at, prompt in moments))


def stack(prompts: Sequence[PromptEmbedding]) -> PromptEmbedding:
    """Joins the prompts of a batch's frames, one a frame, to rows `[G, B]`."""

    def rows(part: Callable[[PromptEmbedding], torch.Tensor | None]) -> torch.Tensor | None:
        tensors = [tensor for tensor in map(part, prompts) if tensor is not None]
        return torch.stack(tensors, 1).flatten(0, 1) if tensors else None

    words = rows(lambda prompt: prompt.words)
    assert words is not None
    pooled, image = rows(lambda prompt: prompt.pooled), rows(lambda prompt: prompt.image)
    return replace(prompts[0], words=words, pooled=pooled, image=image)


def mix(one: PromptEmbedding, other: PromptEmbedding, share: float) -> PromptEmbedding:
    """Interpolates between two prompts; the shorter one is padded."""
    length = max(one.words.shape[1], other.words.shape[1])
    words = torch.lerp(pad(one.words, length), pad(other.words, length), share)
    pooled = one.pooled
    if one.pooled is not None and other.pooled is not None:
        pooled = torch.lerp(one.pooled, other.pooled, share)
    return replace(one, words=words, pooled=pooled)


def pad(words: torch.Tensor, length: int) -> torch.Tensor:
    """Repeats the last token until there are `length` of them."""
    missing = length - words.shape[1]
    return torch.cat([words, words[:, -1:].expand(-1, missing, -1)], 1) if missing else words
