"""Stage 3, the denoiser: UNet, depth and edge ControlNets and text encoder, trained together on the renditions.

The noisy input is made from the rendition (plain diffusion training) or, more often than not, from the *photo*: that is
what img2img starts from, so the first step of a restyle already knows the way from photo to look; few steps are enough.
Either way the network predicts v such that `x0 = a x_t - s v` is the rendition (Salimans and Ho 2022). The prompt is
empty in a tenth of the samples, which is what classifier-free guidance needs; each control is left out of some batches,
so that each also works alone.

    python training/train_unet.py --work training/work --minutes 90
"""

from __future__ import annotations

import argparse
import itertools
import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from diffusers import AutoencoderTiny, ControlNetModel, DDIMScheduler, UNet2DConditionModel
from safetensors.torch import load_file
from torch.nn import functional as F

import prompts
from data import Average, Clock, renditions, to_tensor
from stylize.depth import DepthNetwork
from text import WIDTH, build_text_encoder, build_tokenizer

CHANNELS = (64, 128, 192)
LATENT_SCALE = 2.0  # brings the latents to a variance of about 1
SHIFT = 2.0
"""How much further than the plain cosine schedule the signal lasts: 8 px a latent and few latents of detail leave
little redundancy, so the noise must be lower at the same step (the reverse of Hoogeboom et al. 2023, sec. 2.2)."""
DROP = {"canny": 0.15, "depth": 0.45}
CONTROLS = ("depth", "canny")
FROM_PHOTO = 0.6


def build_unet() -> UNet2DConditionModel:
    """The prompt acts twice: through cross-attention, and pooled, as scale and shift after every group norm.

    The second is conditional normalisation, what lets one feed-forward network hold many looks (Dumoulin et al. 2017).
    """
    return UNet2DConditionModel(
        sample_size=32, in_channels=16, out_channels=16, layers_per_block=1, block_out_channels=CHANNELS,
        cross_attention_dim=WIDTH, attention_head_dim=4, norm_num_groups=16,
        addition_embed_type="text", addition_embed_type_num_heads=4, resnet_time_scale_shift="scale_shift",
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip


def build_controlnet(unet: UNet2DConditionModel) -> ControlNetModel:
    return ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(8, 16, 32, 64))


def build_scheduler() -> DDIMScheduler:
    """Cosine schedule (Nichol and Dhariwal 2021) with the signal-to-noise ratio raised by `SHIFT ** 2`."""
    t = np.linspace(0, 1, 1001)
    cosine = np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2
    ratio = SHIFT**2 * cosine / np.maximum(1 - cosine, 1e-9)
    alphas_cumprod = ratio / (1 + ratio)
    betas = np.clip(1 - alphas_cumprod[1:] / alphas_cumprod[:-1], 1e-6, 0.999)
    return DDIMScheduler(
        trained_betas=[float(f"{b:.7g}") for b in betas], prediction_type="v_prediction",
        timestep_spacing="trailing", clip_sample=False, set_alpha_to_one=True,
    )  # fmt: skip


@dataclass
class Pairs:
    """Everything that the denoiser sees, in memory: latents float16 `[N, L, 16, 48, 48]`, maps uint8 `[N, H, W]`."""

    latents: np.ndarray
    edges: np.ndarray
    depth: np.ndarray
    looks: list[str]


@torch.no_grad()
def prepare(work: Path) -> Pairs:
    """Encodes all renditions and takes the maps of all photos; kept in `work/pairs.npz` for the next run."""
    cache = work / "pairs.npz"
    arrays, looks = renditions(work)
    if cache.exists():
        stored = np.load(cache)
        return Pairs(stored["latents"], stored["edges"], stored["depth"], looks)
    encoder = AutoencoderTiny.from_pretrained(work / "vae").encoder
    # the encoder is linear on 8 x 8 patches: its impulse response is one strided convolution, many times faster
    basis = torch.zeros(192, 3, 8, 8)
    basis.view(192, 192).fill_diagonal_(1)
    bias = encoder(torch.full((1, 3, 8, 8), -1.0))
    kernel = (encoder(basis * 2 - 1) - bias).view(192, 16).T.reshape(16, 3, 8, 8).contiguous()
    depth_network = DepthNetwork.from_pretrained(work / "depth")
    latents, edges, depth = [], [], []
    for pictures in itertools.chain.from_iterable(arrays):
        unit = (to_tensor(pictures) + 1) / 2
        latents.append((F.conv2d(unit, kernel, stride=8) + bias).half().numpy())
        edges.append(cv2.Canny(pictures[0], 100, 200))
        small = F.interpolate(to_tensor(pictures[:1]), size=(128, 128), mode="area")
        raw = F.interpolate(depth_network(small), size=pictures.shape[1:3], mode="bilinear")[0, 0].numpy()
        low, high = np.percentile(raw, (2, 98))
        depth.append(np.round(255 * np.clip((raw - low) / max(high - low, 1e-3), 0, 1)).astype(np.uint8))
    pairs = Pairs(np.stack(latents), np.stack(edges), np.stack(depth), looks)
    np.savez(cache, latents=pairs.latents, edges=pairs.edges, depth=pairs.depth)
    return pairs


@dataclass
class Batch:
    target: torch.Tensor
    source: torch.Tensor
    canny: torch.Tensor
    depth: torch.Tensor
    prompts: list[str]


def draw(pairs: Pairs, rng: np.random.Generator, batch: int, side: int) -> Batch:
    """Random windows of `side` x `side` latents with their photo, maps and a random prompt."""
    target, source, canny, depth, texts = [], [], [], [], []
    for _ in range(batch):
        i, j = rng.integers(len(pairs.latents)), rng.integers(len(pairs.looks))
        y, x = rng.integers(0, pairs.latents.shape[-2] - side + 1, 2)
        window, pixels = np.s_[:, y : y + side, x : x + side], np.s_[8 * y : 8 * (y + side), 8 * x : 8 * (x + side)]
        target.append(pairs.latents[i, j][window])
        source.append(pairs.latents[i, 0][window])
        canny.append(pairs.edges[i][pixels])
        depth.append(pairs.depth[i][pixels])
        texts.append("" if rng.random() < 0.1 else prompts.sample(pairs.looks[j], rng))

    def control(maps: list[np.ndarray]) -> torch.Tensor:
        return torch.from_numpy(np.stack(maps))[:, None].float().div(255).repeat(1, 3, 1, 1)

    return Batch(
        LATENT_SCALE * torch.from_numpy(np.stack(target)).float(),
        LATENT_SCALE * torch.from_numpy(np.stack(source)).float(),
        control(canny), control(depth), texts,
    )  # fmt: skip


class Networks(torch.nn.Module):
    """All that this stage trains, as one module for the optimiser and the average."""

    def __init__(self) -> None:
        super().__init__()
        self.tokenizer = build_tokenizer()
        self.text_encoder = build_text_encoder(self.tokenizer)
        self.unet = build_unet()
        self.controlnets = torch.nn.ModuleDict({name: build_controlnet(self.unet) for name in CONTROLS})

    def forward(
        self, noisy: torch.Tensor, t: torch.Tensor, texts: list[str], maps: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        tokens = self.tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids
        embeddings = self.text_encoder(tokens)[0]
        down, middle = None, None
        for name, control in maps.items():
            more, mid = self.controlnets[name](noisy, t, embeddings, control, return_dict=False)
            down = more if down is None else [a + b for a, b in zip(down, more, strict=True)]
            middle = mid if middle is None else middle + mid
        return self.unet(
            noisy, t, embeddings, down_block_additional_residuals=down, mid_block_additional_residual=middle
        ).sample

    def save(self, folder: Path) -> None:
        self.tokenizer.save_pretrained(folder / "tokenizer")
        self.text_encoder.save_pretrained(folder / "text_encoder")
        self.unet.save_pretrained(folder / "unet")
        for name, network in self.controlnets.items():
            network.save_pretrained(folder / f"controlnet_{name}")
        build_scheduler().save_pretrained(folder / "scheduler")

    def load(self, folder: Path) -> None:
        parts = {"text_encoder": self.text_encoder, "unet": self.unet}
        parts |= {f"controlnet_{name}": net for name, net in self.controlnets.items()}
        for name, network in parts.items():
            (file,) = (folder / name).glob("*.safetensors")
            fits = {k: v for k, v in load_file(file).items() if network.state_dict()[k].shape == v.shape}
            print(name, "starts with", len(fits), "of", len(network.state_dict()), "tensors of the last run")
            network.load_state_dict(fits, strict=False)


def loss_of(networks: Networks, batch: Batch, alphas: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """The v-prediction error; for inputs made from the photo, weighted to be the error of x0."""
    size = len(batch.target)
    from_photo = torch.from_numpy(rng.random(size) < FROM_PHOTO)
    t = torch.from_numpy(np.where(from_photo, rng.integers(250, 1000, size), rng.integers(0, 1000, size)))
    a, s = alphas[t].sqrt().view(-1, 1, 1, 1), (1 - alphas[t]).sqrt().view(-1, 1, 1, 1)
    clean = torch.where(from_photo.view(-1, 1, 1, 1), batch.source, batch.target)
    noisy = a * clean + s * torch.randn_like(clean)
    velocity = (a * noisy - batch.target) / s
    maps = {n: getattr(batch, n) for n in CONTROLS if rng.random() >= DROP[n]}
    error = (networks(noisy.to(memory_format=torch.channels_last), t, batch.prompts, maps) - velocity).square()
    weight = torch.where(from_photo.view(-1, 1, 1, 1), s**2, torch.ones_like(s))
    return (error * weight).mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("training/work"))
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--rate", type=float, default=6e-4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--resume", action="store_true", help="go on from the networks in --work")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    rng = np.random.default_rng(args.seed)
    pairs = prepare(args.work)
    networks = Networks()
    if args.resume:
        networks.load(args.work)
    networks.to(memory_format=torch.channels_last).train()
    print(json.dumps({n: round(sum(p.numel() for p in m.parameters()) / 1e6, 2) for n, m in networks.named_children()}))
    alphas = build_scheduler().alphas_cumprod
    average, clock = Average(networks, 0.999), Clock(args.minutes, args.rate)
    optimiser = torch.optim.AdamW(networks.parameters(), betas=(0.9, 0.99), weight_decay=0.01)
    step, total, samples, saved = 0, 0.0, 0, 0.0
    while clock.progress < 1:
        for group in optimiser.param_groups:
            group["lr"] = clock.learning_rate()
        side = 32 if rng.random() < (0.1 if clock.progress < 0.7 else 0.5) else 16  # attention meets large pictures too
        batch = draw(pairs, rng, args.batch if side == 16 else max(args.batch // 4, 1), side)
        loss = loss_of(networks, batch, alphas, rng)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(networks.parameters(), 1.0)
        optimiser.step()
        average.update(networks)
        step, total, samples = step + 1, total + float(loss.detach()), samples + len(batch.prompts)
        if step % 50 == 0:
            print(f"{step} {clock.progress:.3f} samples {samples} loss {total / 50:.4f}", flush=True)
            total = 0.0
        if clock.progress - saved > 0.04 or clock.progress >= 1:
            saved = clock.progress
            average.network.save(args.work)


if __name__ == "__main__":
    main()
