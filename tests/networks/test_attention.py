"""Cross-frame attention, against attention written out by hand."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0

from stylize.networks import Exchange, Networks
from stylize.networks.attention import CrossFrameAttention

LAYER = "up_blocks.0.attn1.processor"


@pytest.fixture
def attn() -> Attention:
    return Attention(query_dim=32, heads=4, dim_head=8, bias=False).eval()


def run(attn: Attention, tokens: torch.Tensor, exchange: Exchange | None) -> torch.Tensor:
    with torch.inference_mode():
        return CrossFrameAttention(LAYER, across_frames=True)(attn, tokens, exchange=exchange)


@pytest.mark.parametrize("exchange", [None, Exchange(), Exchange(references=({},), weight=1.0)])
def test_alone_it_is_diffusers_attention(attn: Attention, exchange: Exchange | None) -> None:
    tokens = torch.randn(2, 12, 32)
    with torch.inference_mode():
        expected = AttnProcessor2_0()(attn, tokens)
    assert torch.equal(run(attn, tokens, exchange), expected)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_references_are_appended_and_blended(attn: Attention, weight: float) -> None:
    frames = [torch.randn(2, 12, 32) for _ in range(3)]
    caches = []
    for frame in frames[:2]:
        exchange = Exchange()
        run(attn, frame, exchange)
        caches.append(exchange.own)
    got = run(attn, frames[2], Exchange(references=tuple(caches), weight=weight))

    def by_hand(context: torch.Tensor) -> torch.Tensor:
        query, keys, values = (
            layer(x).view(2, -1, 4, 8).transpose(1, 2)
            for layer, x in ((attn.to_q, frames[2]), (attn.to_k, context), (attn.to_v, context))
        )
        mixed = torch.softmax(query @ keys.transpose(-1, -2) / 8**0.5, dim=-1) @ values
        return attn.to_out[0](mixed.transpose(1, 2).flatten(2))

    with torch.inference_mode():
        alone, extended = by_hand(frames[2]), by_hand(torch.cat([frames[2], frames[0], frames[1]], dim=1))
    assert torch.allclose(got, alone + weight * (extended - alone), atol=1e-5)


def test_only_the_decoders_self_attention_looks_across(tiny: Networks) -> None:
    layers = [name for name, processor in tiny.unet.attn_processors.items() if processor.across_frames]
    assert layers
    assert all(name.startswith("up_blocks.") and ".attn1." in name for name in layers)


def test_nothing_stays_in_the_network(attn: Attention) -> None:
    processor = CrossFrameAttention(LAYER, across_frames=True)
    before = dict(vars(processor))
    with torch.inference_mode():
        processor(attn, torch.randn(1, 6, 32), exchange=Exchange())
    assert vars(processor) == before
