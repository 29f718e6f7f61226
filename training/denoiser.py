"""What stage 3 trains: UNet, ControlNets, text encoder, image encoder and image projection, and the noise schedule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import ControlNetModel, LCMScheduler, UNet2DConditionModel
from safetensors.torch import load_file
from torch.nn import functional as F
from transformers import CLIPTextModel, CLIPTokenizer

from image import ImagePrompter
from stylize.networks import Exchange, attention
from text import WIDTH, build_text_encoder, build_tokenizer
from train_vae import LATENTS
from windows import Batch

CHANNELS = (64, 128, 192)
CONTROLS = ("depth", "canny")
SHIFT = 16.0
"""How much further than the plain cosine schedule the signal lasts (the reverse of Hoogeboom et al. 2023, sec. 2.2).

What the first step does not see of the photo is lost to the later ones; at strength 0.75 the noise is 0.15.
"""


def build_unet() -> UNet2DConditionModel:
    """The prompt acts twice: through cross-attention, and pooled, as scale and shift after every group norm.

    The second is conditional normalisation, what lets one feed-forward network hold many looks (Dumoulin et al. 2017).
    """
    return UNet2DConditionModel(
        sample_size=32, in_channels=LATENTS, out_channels=LATENTS, layers_per_block=1, block_out_channels=CHANNELS,
        cross_attention_dim=WIDTH, attention_head_dim=4, norm_num_groups=16,
        addition_embed_type="text", addition_embed_type_num_heads=4, resnet_time_scale_shift="scale_shift",
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip


def build_controlnet(unet: UNet2DConditionModel) -> ControlNetModel:
    return ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(8, 16, 32, 64))


def build_scheduler() -> LCMScheduler:
    """Cosine schedule (Nichol and Dhariwal 2021) with the signal-to-noise ratio raised by `SHIFT ** 2`.

    Each step goes to x0 and noises it anew (multistep consistency sampling, Song et al. 2023; Luo et al. 2023). DDIM
    would carry the difference between photo and rendition along as if it were noise, so the look would stay pale.
    """
    t = np.linspace(0, 1, 1001)
    cosine = np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2
    ratio = SHIFT**2 * cosine / np.maximum(1 - cosine, 1e-9)
    alphas_cumprod = ratio / (1 + ratio)
    betas = np.clip(1 - alphas_cumprod[1:] / alphas_cumprod[:-1], 1e-6, 0.999)
    return LCMScheduler(
        trained_betas=[float(f"{b:.7g}") for b in betas], prediction_type="sample",
        clip_sample=False, set_alpha_to_one=True, original_inference_steps=100,
    )  # fmt: skip


def grown(stored: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """The stored weights of fewer latents, with zeros for the new ones: the network does what it did."""
    larger = torch.zeros_like(own)
    larger[tuple(slice(n) for n in stored.shape)] = stored
    return larger


class PairExchange(Exchange):
    """The second half of a batch looks at the first; the first at itself, which changes nothing."""

    def attend(self, layer: str, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        half = len(keys) // 2
        extended = [torch.cat([x, x[:half].repeat(2, 1, 1, 1)], 2) for x in (keys, values)]
        return F.scaled_dot_product_attention(query, extended[0], extended[1])


class Denoiser(torch.nn.Module):
    """All networks of this stage, as one module for the optimiser and the average."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.tokenizer: CLIPTokenizer = build_tokenizer()
        self.text_encoder: CLIPTextModel = build_text_encoder(self.tokenizer)
        self.image = ImagePrompter(looks)
        self.unet = build_unet()
        attention.install(self.unet)
        self.controlnets = torch.nn.ModuleDict({name: build_controlnet(self.unet) for name in CONTROLS})

    def forward(
        self, noisy: torch.Tensor, t: torch.Tensor, batch: Batch, controls: list[str], weight: float = 1.0
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The predicted rendition, and the image encoder's embeddings of the references if there are any."""
        tokens = self.tokenizer(batch.prompts, padding="max_length", truncation=True, return_tensors="pt").input_ids
        embeddings, seen = self.text_encoder(tokens.to(noisy.device))[0], None
        if batch.references is not None:
            seen, image_tokens = self.image(batch.references)
            embeddings = torch.cat([embeddings, image_tokens], 1)
        down, middle = None, None
        for name in controls:
            more, mid = self.controlnets[name](
                noisy, t, embeddings, getattr(batch, name), conditioning_scale=weight, return_dict=False
            )
            down = more if down is None else [a + b for a, b in zip(down, more, strict=True)]
            middle = mid if middle is None else middle + mid
        made = self.unet(
            noisy, t, embeddings, down_block_additional_residuals=down, mid_block_additional_residual=middle,
            cross_attention_kwargs={"exchange": PairExchange()} if batch.paired else None,
        ).sample  # fmt: skip
        return made, seen

    def parts(self) -> dict[str, torch.nn.Module]:
        """By the name of their folder."""
        nets = {f"controlnet_{name}": network for name, network in self.controlnets.items()}
        return {"text_encoder": self.text_encoder, "unet": self.unet, **nets}

    def save(self, folder: Path) -> None:
        self.tokenizer.save_pretrained(folder / "tokenizer")
        for name, network in self.parts().items():
            network.save_pretrained(folder / name)
        self.image.save(folder)
        build_scheduler().save_pretrained(folder / "scheduler")

    def load(self, folder: Path) -> None:
        """Goes on from saved networks, as far as they fit."""
        for name, network in self.parts().items():
            files = list((folder / name).glob("*.safetensors"))
            stored, own = (load_file(files[0]) if files else {}), network.state_dict()
            at_ends = [k for k in stored if k.split(".")[0] in ("conv_in", "conv_out")]
            stored |= {k: grown(stored[k], own[k]) for k in at_ends}
            fits = {k: v for k, v in stored.items() if k in own and own[k].shape == v.shape}
            print(f"{name}: {len(fits)} of {len(own)} tensors of the last run")
            network.load_state_dict(fits, strict=False)
        self.image.load(folder)
