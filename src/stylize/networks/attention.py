"""Cross-frame attention: a frame's self-attention also reads keys and values of frames before it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from diffusers.models.attention_processor import IPAdapterAttnProcessor2_0
from torch.nn import functional as F

KeysValues: TypeAlias = tuple[torch.Tensor, torch.Tensor]
"""Keys and values of one attention layer, each `[G, heads, tokens, channels]`; G is 2 with guidance, else 1."""
StepCache: TypeAlias = Mapping[str, KeysValues]
"""One frame's keys and values at one denoising step, by layer name."""

DECODER = "up_blocks."
"""Layers that look across frames. In the decoder they shape texture and colour; forms are settled before it."""


@dataclass
class Exchange:
    """The frames that a batch attends to in one UNet call, and what the call leaves for the batches after it.

    A shot's first frame attends to the video's first frame, its second frame to the first, every later frame to the
    first and to the one before it. All keys and values of a batch are computed in the same call, so "the one before"
    is the batch shifted by one row; its first row reads what the batch before left.
    """

    frames: int = 1
    """Frames in the batch. The rows of the call are `[G, frames]`, with guidance the negative prompt's first."""
    position: int = 0
    """Number of the batch's first frame within its shot; 2 stands for all later ones."""
    style_anchor: StepCache = field(default_factory=dict)
    """The video's first frame, at this step; empty in the first shot."""
    anchor: StepCache = field(default_factory=dict)
    """The shot's first frame; not read where that is in the batch itself."""
    previous: StepCache = field(default_factory=dict)
    """The frame before the batch."""
    weight: float = 1.0
    """g in `self + g (extended - self)`, the temporal guidance of Gen-1 (Esser et al. 2023) inside the attention."""
    image_weight: float = 1.0
    """Weight of the reference picture in IP-Adapter's layers."""
    computed: dict[str, KeysValues] = field(default_factory=dict)
    """Filled in by the layers: keys and values of the batch, `[G, frames, heads, tokens, C]`."""

    def copy_row(self, row: int) -> StepCache:
        """Copies one frame's keys and values out of the batch's, which would all stay alive otherwise.

        The copies are contiguous, as a resumed run has them: kernels round other memory layouts differently.
        """

        def copy(x: torch.Tensor) -> torch.Tensor:
            return x[:, row].clone(memory_format=torch.contiguous_format)

        return {layer: (copy(keys), copy(values)) for layer, (keys, values) in self.computed.items()}

    def attend(self, layer: str, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Attends from every row to itself and to its other frames; all are `[G * frames, heads, tokens, C]`."""
        if self.weight == 0:
            return F.scaled_dot_product_attention(query, keys, values)
        q, k, v = (x.view(-1, self.frames, *x.shape[1:]) for x in (query, keys, values))
        self.computed[layer] = k, v
        parts = [self._attend_rows(layer, rows, q, k, v) for rows in self._spans()]
        return (parts[0] if len(parts) == 1 else torch.cat(parts, 1)).flatten(0, 1)

    def _spans(self) -> Iterator[tuple[int, int]]:
        """Yields begin and end of rows that attend to equally many frames."""
        bounds = {0, self.frames, *(b for b in (1 - self.position, 2 - self.position) if 0 < b < self.frames)}
        return itertools.pairwise(sorted(bounds))

    def _attend_rows(
        self, layer: str, rows: tuple[int, int], query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor
    ) -> torch.Tensor:
        part = slice(*rows)
        q, k, v = (x[:, part].flatten(0, 1) for x in (query, keys, values))
        mixed = self._attend(q, k, v, list(self._references(layer, rows, keys, values)))
        return mixed.view(len(query), -1, *mixed.shape[1:])

    def _attend(
        self, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, references: Sequence[KeysValues]
    ) -> torch.Tensor:
        """Attends to own keys followed by those of the references, `[N, heads, tokens, C]`."""
        if not references:
            return F.scaled_dot_product_attention(query, keys, values)
        extended_keys = torch.cat([keys, *(k for k, _ in references)], 2)
        extended_values = torch.cat([values, *(v for _, v in references)], 2)
        mixed = F.scaled_dot_product_attention(query, extended_keys, extended_values)
        if self.weight == 1:
            return mixed
        alone = F.scaled_dot_product_attention(query, keys, values)
        return alone + self.weight * (mixed - alone)

    def _references(
        self, layer: str, rows: tuple[int, int], keys: torch.Tensor, values: torch.Tensor
    ) -> Iterator[KeysValues]:
        """Yields keys and values of each frame that these rows attend to, one row for each of theirs."""
        begin, end = rows

        def repeat(kept: KeysValues) -> KeysValues:
            one, other = (x[:, None].expand(-1, end - begin, -1, -1, -1).flatten(0, 1) for x in kept)
            return one, other

        if self.position + begin == 0:
            if layer in self.style_anchor:
                yield repeat(self.style_anchor[layer])
            return
        yield repeat((keys[:, 0], values[:, 0]) if self.position == 0 else self.anchor[layer])
        if self.position + begin > 1:
            yield self._shift(layer, 0, begin, end, keys), self._shift(layer, 1, begin, end, values)

    def _shift(self, layer: str, which: int, begin: int, end: int, batch: torch.Tensor) -> torch.Tensor:
        """Returns the row before each of these rows."""
        if begin > 0:
            return batch[:, begin - 1 : end - 1].flatten(0, 1)
        kept = self.previous[layer][which][:, None]
        return torch.cat([kept, batch[:, : end - 1]], 1).flatten(0, 1)


class CrossFrameAttention:
    """Attention processor for the UNet's layers; without an `exchange` it is diffusers' `AttnProcessor2_0`.

    Own keys are kept and the references' appended (Text2Video-Zero replaces them, which smears what is new in a frame).
    """

    def __init__(self, layer: str, *, across_frames: bool) -> None:
        self.layer, self.across_frames = layer, across_frames

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        temb: torch.Tensor | None = None,
        exchange: Exchange | None = None,
    ) -> torch.Tensor:
        """Takes and returns tokens `[G * frames, tokens, C]`; `encoder_hidden_states` is `None` in self-attention."""
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query = _split_heads(attn.to_q(hidden_states), attn.heads)
        keys, values = (_split_heads(project(context), attn.heads) for project in (attn.to_k, attn.to_v))
        if exchange is not None and self.across_frames:
            mixed = exchange.attend(self.layer, query, keys, values)
        else:
            if attention_mask is not None:
                attention_mask = attn.prepare_attention_mask(attention_mask, context.shape[1], len(hidden_states))
                attention_mask = attention_mask.view(len(hidden_states), attn.heads, -1, attention_mask.shape[-1])
            mixed = F.scaled_dot_product_attention(query, keys, values, attn_mask=attention_mask)
        tokens = mixed.transpose(1, 2).flatten(2).to(query.dtype)
        output: torch.Tensor = attn.to_out[1](attn.to_out[0](tokens)) / attn.rescale_output_factor
        return output


def _split_heads(tokens: torch.Tensor, heads: int) -> torch.Tensor:
    """Reshapes `[N, tokens, C]` to `[N, heads, tokens, C / heads]`."""
    return tokens.view(*tokens.shape[:2], heads, -1).transpose(1, 2)


class ImagePromptAttention(torch.nn.Module):
    """IP-Adapter's decoupled cross-attention (Ye et al. 2023), diffusers' own; its weight comes with the call."""

    def __init__(self, processor: Any) -> None:
        super().__init__()
        self.processor = processor

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        temb: torch.Tensor | None = None,
        exchange: Exchange | None = None,
    ) -> torch.Tensor:
        """Does as `CrossFrameAttention`; `encoder_hidden_states` are those of the words and a list of the pictures'."""
        self.processor.scale = [1.0 if exchange is None else exchange.image_weight]
        output: torch.Tensor = self.processor(attn, hidden_states, encoder_hidden_states, attention_mask, temb)
        return output


def cache_bytes(unet: Any, latents: int, itemsize: int) -> int:
    """Returns the bytes of keys and values that one sample of so many latent pixels keeps per step."""
    total, levels = 0, len(unet.up_blocks)
    for name, module in unet.named_modules():
        if _looks_across(f"{name}.") and name.endswith(".attn1"):
            level = levels - 1 - int(name.split(".")[1])  # from the bottom up; each halves both sides
            total += 2 * module.to_k.out_features * (latents // 4**level) * itemsize
    return total


def _looks_across(name: str) -> bool:
    return name.startswith(DECODER) and ".attn1." in name and ".motion_modules." not in name


def install(unet: Any) -> None:
    """Gives every attention layer of the UNet our processor; the decoder's self-attention attends across frames."""

    def replace(name: str, processor: Any) -> Any:
        if isinstance(processor, IPAdapterAttnProcessor2_0):
            return ImagePromptAttention(processor)
        return CrossFrameAttention(name, across_frames=_looks_across(name))

    unet.set_attn_processor({name: replace(name, processor) for name, processor in unet.attn_processors.items()})
