"""The networks that are trained together, and their noise schedule."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import LCMScheduler
from diffusers.models.embeddings import ImageProjection
from torch import nn
from torch.nn import functional as F
from transformers import CLIPTokenizer, CLIPVisionConfig, CLIPVisionModelWithProjection

from stylize.networks.patches import ChangeControlNet, ChangeUNet, PatchAutoencoder
from text import WIDTH, build_text_encoder

SHIFT = 48.0
"""The noise is this much weaker than in the cosine schedule: patches have most of a picture in few channels."""
REFERENCE_SIDE, IMAGE_TOKENS = 256, 4
LATENTS = 80
UNET: dict[str, Any] = {
    "in_channels": LATENTS, "out_channels": 2 * LATENTS, "block_out_channels": (128, 128, 192), "layers_per_block": 1,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "cross_attention_dim": WIDTH, "attention_head_dim": 4, "norm_num_groups": 16, "sample_size": 32,
    "resnet_time_scale_shift": "scale_shift", "addition_embed_type": "text", "addition_embed_type_num_heads": 4,
}  # fmt: skip
EMBEDDINGS = {"depth": (8, 16, 32, 64), "strokes": (16, 32, 48, 96)}
"""Channels of the ControlNets' conditioning embeddings, by control."""
UNET_ONLY = ("out_channels", "up_block_types", "sample_size")


class PairedAttention:
    """In the upward half, the second half of a paired batch also reads the first half's keys and values."""

    paired = False

    def __init__(self, across: bool) -> None:
        self.across = across

    def __call__(
        self, attn: Any, hidden_states: torch.Tensor, encoder_hidden_states: torch.Tensor | None = None, **_: Any
    ) -> torch.Tensor:
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        q, k, v = (
            x.view(*x.shape[:2], attn.heads, -1).transpose(1, 2)
            for x in (attn.to_q(hidden_states), attn.to_k(context), attn.to_v(context))
        )
        if self.across and PairedAttention.paired:
            k, v = (torch.cat([x, x[: len(x) // 2].repeat(2, 1, 1, 1)], 2) for x in (k, v))
        out = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        result: torch.Tensor = attn.to_out[1](attn.to_out[0](out)) / attn.rescale_output_factor
        return result


class Denoiser(nn.Module):
    """Everything of the model that learns here; the depth network has a stage of its own."""

    def __init__(self, tokenizer: CLIPTokenizer) -> None:
        super().__init__()
        self.unet = ChangeUNet(**UNET)
        nn.init.zeros_(self.unet.conv_out.weight)
        nn.init.zeros_(self.unet.conv_out.bias)
        shared = {k: v for k, v in UNET.items() if k not in UNET_ONLY}
        self.controls = nn.ModuleDict(
            {
                name: ChangeControlNet(**shared, conditioning_embedding_out_channels=widths)
                for name, widths in EMBEDDINGS.items()
            }
        )
        self.text = build_text_encoder(tokenizer)
        self.seeing = CLIPVisionModelWithProjection(CLIPVisionConfig(
            hidden_size=192, intermediate_size=384, num_hidden_layers=4, num_attention_heads=6,
            image_size=REFERENCE_SIDE, patch_size=16, projection_dim=WIDTH,
        ))  # fmt: skip
        self.projection = ImageProjection(WIDTH, WIDTH, IMAGE_TOKENS)
        self.vae = PatchAutoencoder(latent_channels=LATENTS)
        self.vae.analysis.requires_grad_(False)
        self.vae.synthesis.requires_grad_(False)
        processors = {n: PairedAttention("attn1" in n and n.startswith("up_")) for n in self.unet.attn_processors}
        self.unet.set_attn_processor(processors)

    def forward(
        self,
        noisy: torch.Tensor,
        t: torch.Tensor,
        tokens: torch.Tensor,
        references: torch.Tensor | None,
        maps: Mapping[str, torch.Tensor],
        weight: float = 1.0,
        *,
        paired: bool = False,
    ) -> torch.Tensor:
        """The rendition's latents.

        Args:
            noisy: latents at the noise levels `t`.
            tokens: of the prompts, `[B, 32]`.
            references: `[B, 3, 256, 256]` in [-1, 1], or none.
            maps: `[B, 3, 8 h, 8 w]` in [0, 1] by control.
            weight: of the ControlNets.
            paired: whether the second half of the batch reads the first.
        """
        words = self.text(tokens)[0]
        if references is not None:
            words = torch.cat([words, self.projection(self.seeing(references).image_embeds)], 1)
        down, middle = None, None
        for name, control in maps.items():
            more, mid = self.controls[name](noisy, t, words, control, conditioning_scale=weight, return_dict=False)
            down = more if down is None else [a + b for a, b in zip(down, more, strict=True)]
            middle = mid if middle is None else middle + mid
        PairedAttention.paired = paired
        made: torch.Tensor = self.unet(
            noisy, t, words, down_block_additional_residuals=down, mid_block_additional_residual=middle
        ).sample
        return made


def alphas_cumprod() -> torch.Tensor:
    """The cosine schedule (Nichol and Dhariwal 2021), its signal-to-noise ratio times the square of `SHIFT`."""
    t = np.linspace(0, 1, 1001)
    cosine = np.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2
    ratio = SHIFT**2 * cosine / np.maximum(1 - cosine, 1e-9)
    alpha = ratio / (1 + ratio)
    betas = np.clip(1 - alpha[1:] / alpha[:-1], 1e-6, 0.999)
    return torch.tensor(np.cumprod(1 - betas), dtype=torch.float32)


def build_scheduler() -> LCMScheduler:
    """Each step goes to the rendition, and noises it anew for the next one."""
    alphas = alphas_cumprod().double()
    betas = 1 - alphas / torch.cat([torch.ones(1, dtype=torch.float64), alphas[:-1]])
    return LCMScheduler(
        trained_betas=[float(f"{beta:.7g}") for beta in betas.clamp(1e-6, 0.999)], prediction_type="sample",
        original_inference_steps=100, clip_sample=False,
    )  # fmt: skip


def save(tensors: dict[str, torch.Tensor], path: Path) -> None:
    """Writes weights by name, in float32."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    save_file({name: value.float().contiguous() for name, value in tensors.items()}, temporary)
    temporary.replace(path)
