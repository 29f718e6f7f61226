"""Cross-frame attention: a frame's self-attention also reads keys and values of frames that are done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from diffusers.models.attention_processor import IPAdapterAttnProcessor2_0
from torch.nn import functional as F

KeysValues: TypeAlias = tuple[torch.Tensor, torch.Tensor]
"""Keys and values of one attention layer, each `[G, heads, tokens, channels]`; G is 2 with guidance, else 1."""
StepCache: TypeAlias = Mapping[str, KeysValues]
"""By layer name, at one denoising step."""
FrameCache: TypeAlias = Sequence[StepCache]
"""One frame's keys and values at every denoising step; of a frame under way, at those that it has done."""

DECODER = "up_blocks."
"""Layers that look across frames. In the decoder they shape texture and colour; forms are settled before it."""


@dataclass
class Exchange:
    """What goes in and out of the attention layers during one UNet call, of one frame or several below each other."""

    references: tuple[StepCache, ...] = ()
    """Frames to look at."""
    weight: float = 1.0
    """g in `self + g (extended - self)`, the temporal guidance of Gen-1 (Esser et al. 2023) inside the attention."""
    image_weight: float = 1.0
    """How much of the reference picture IP-Adapter's layers add."""
    own: dict[str, KeysValues] = field(default_factory=dict)
    """Filled in by the layers: the frames' own keys and values."""

    def extended(self, layer: str, keys: torch.Tensor, values: torch.Tensor) -> KeysValues | None:
        """Own keys and values followed by those of the references; `None` where there is nothing to look at."""
        known = [reference[layer] for reference in self.references if layer in reference]
        if not known or self.weight == 0:
            return None
        return torch.cat([keys, *(k for k, _ in known)], dim=2), torch.cat([values, *(v for _, v in known)], dim=2)


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
        """Tokens `[G, tokens, C]` in, as many out; `encoder_hidden_states` is `None` in self-attention."""
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query = _heads(attn.to_q(hidden_states), attn.heads)
        keys, values = _heads(attn.to_k(context), attn.heads), _heads(attn.to_v(context), attn.heads)
        if attention_mask is not None:
            attention_mask = attn.prepare_attention_mask(attention_mask, context.shape[1], len(hidden_states))
            attention_mask = attention_mask.view(len(hidden_states), attn.heads, -1, attention_mask.shape[-1])
        extended = None
        if exchange is not None and self.across_frames:
            # laid out as they are when a run goes on from a file: kernels round other layouts in other ways
            exchange.own[self.layer] = keys.contiguous(), values.contiguous()
            extended = exchange.extended(self.layer, keys, values)
        if extended is None or exchange is None:
            mixed = F.scaled_dot_product_attention(query, keys, values, attn_mask=attention_mask)
        elif exchange.weight == 1:
            mixed = F.scaled_dot_product_attention(query, *extended)
        else:
            alone = F.scaled_dot_product_attention(query, keys, values)
            mixed = alone + exchange.weight * (F.scaled_dot_product_attention(query, *extended) - alone)
        tokens = mixed.transpose(1, 2).flatten(2).to(query.dtype)
        output: torch.Tensor = attn.to_out[1](attn.to_out[0](tokens)) / attn.rescale_output_factor
        return output


def _heads(tokens: torch.Tensor, heads: int) -> torch.Tensor:
    """`[G, tokens, C]` to `[G, heads, tokens, C / heads]`."""
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
        """As `CrossFrameAttention`; `encoder_hidden_states` are the words' and a list of the pictures'."""
        self.processor.scale = [1.0 if exchange is None else exchange.image_weight]
        output: torch.Tensor = self.processor(attn, hidden_states, encoder_hidden_states, attention_mask, temb)
        return output


def kept_bytes(unet: Any, latents: int, itemsize: int) -> int:
    """What a sample of so many latent pixels leaves at a step: keys and values of layers that look across frames."""
    total, levels = 0, len(unet.up_blocks)
    for name, module in unet.named_modules():
        if _looks_across(f"{name}.") and name.endswith(".attn1"):
            level = levels - 1 - int(name.split(".")[1])  # from the bottom up; each halves both sides
            total += 2 * module.to_k.out_features * (latents // 4**level) * itemsize
    return total


def _looks_across(name: str) -> bool:
    return name.startswith(DECODER) and ".attn1." in name


def install(unet: Any) -> None:
    """Gives every attention layer of the UNet our processor; the decoder's self-attention looks across frames."""

    def ours(name: str, processor: Any) -> Any:
        if isinstance(processor, IPAdapterAttnProcessor2_0):
            return ImagePromptAttention(processor)
        return CrossFrameAttention(name, across_frames=_looks_across(name))

    unet.set_attn_processor({name: ours(name, processor) for name, processor in unet.attn_processors.items()})
