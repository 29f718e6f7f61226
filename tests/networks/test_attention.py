"""Cross-frame attention, against attention written out by hand."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0

from stylize.networks import Exchange, Networks
from stylize.networks.attention import CrossFrameAttention, StepCache

LAYER = "up_blocks.0.attn1.processor"


@pytest.fixture
def attn() -> Attention:
    return Attention(query_dim=32, heads=4, dim_head=8, bias=False).eval()


def run(attn: Attention, tokens: torch.Tensor, exchange: Exchange | None) -> torch.Tensor:
    with torch.inference_mode():
        return CrossFrameAttention(LAYER, across_frames=True)(attn, tokens, exchange=exchange)


@pytest.mark.parametrize("exchange", [None, Exchange(), Exchange(frames=2, weight=0.0)])
def test_alone_it_is_diffusers_attention(attn: Attention, exchange: Exchange | None) -> None:
    tokens = torch.randn(2, 12, 32)
    with torch.inference_mode():
        expected = AttnProcessor2_0()(attn, tokens)
    assert torch.equal(run(attn, tokens, exchange), expected)


def by_hand(attn: Attention, frame: torch.Tensor, seen: list[torch.Tensor], weight: float) -> torch.Tensor:
    """Attention of a frame `[G, tokens, C]` to itself and, blended in, to others as well, written out."""

    def attend(context: torch.Tensor) -> torch.Tensor:
        query, keys, values = (
            layer(x).view(len(x), -1, 4, 8).transpose(1, 2)
            for layer, x in ((attn.to_q, frame), (attn.to_k, context), (attn.to_v, context))
        )
        mixed = torch.softmax(query @ keys.transpose(-1, -2) / 8**0.5, dim=-1) @ values
        return attn.to_out[0](mixed.transpose(1, 2).flatten(2))

    with torch.inference_mode():
        alone, extended = attend(frame), attend(torch.cat([frame, *seen], dim=1))
    return alone + weight * (extended - alone)


@pytest.mark.parametrize("weight", [0.3, 1.0])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("lengths", [(7,), (1, 6), (2, 3, 2), (1, 1, 1, 4), (3, 4)])
def test_whom_each_frame_looks_at(attn: Attention, lengths: tuple[int, ...], groups: int, weight: float) -> None:
    """The video's first frame, then the shot's first, then that and the one before, however the shot is cut."""
    frames = [torch.randn(groups, 12, 32) for _ in range(7)]
    style_anchor = torch.randn(groups, 12, 32)
    past = Exchange()
    run(attn, style_anchor, past)
    kept: dict[str, StepCache] = {"style_anchor": past.copy_row(0)}
    results, position = [], 0
    for length in lengths:
        exchange = Exchange(length, position, **kept, weight=weight)
        rows = torch.stack(frames[position : position + length], 1).flatten(0, 1)
        results += list(run(attn, rows, exchange).view(groups, length, 12, 32).unbind(1))
        kept = {
            "anchor": kept["anchor"] if position else exchange.copy_row(0), "previous": exchange.copy_row(length - 1)
        }  # fmt: skip
        position += length
    for i, result in enumerate(results):
        seen = [style_anchor] if i == 0 else [frames[0]] if i == 1 else [frames[0], frames[i - 1]]
        assert torch.allclose(result, by_hand(attn, frames[i], seen, weight), atol=1e-5)


def test_what_is_kept_is_one_frame_of_the_batch(attn: Attention) -> None:
    """A view would keep the keys and values of all frames alive."""
    exchange = Exchange(frames=3)
    run(attn, torch.randn(6, 12, 32), exchange)
    for keys, values in (exchange.copy_row(0)[LAYER], exchange.copy_row(2)[LAYER]):
        for tensor in (keys, values):
            assert tensor.shape == (2, 4, 12, 8) and tensor.untyped_storage().nbytes() == tensor.nbytes


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
