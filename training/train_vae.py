"""Stage 1, the autoencoder: a linear encoder in closed form, a convolutional decoder trained against it.

The encoder is the principal component transform of 8 x 8 RGB patches, 32 of 192 components, written into the four
convolutions of an `AutoencoderTiny` without hidden blocks. It needs no training, its latents move exactly as the
picture moves in steps of 8 px, and the diffusion stage can start before the decoder is ready. Each component is divided
by its deviation to the power 0.65, so that detail is neither drowned by the mean colour nor as loud as it.

    python training/train_vae.py --work training/work --minutes 60

With `--resume` an autoencoder of fewer latents grows: its components stay, the new ones are the principal components
of what they leave of the picture, and the decoder goes on from where it was. The networks on its latents grow likewise.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch.nn import functional as F

from data import Average, Clock, linear_encoder, mixed_precision, renditions, the_device, to_tensor

LATENTS, WIDTH, WHITENING = 32, 48, 0.65
PHOTOS = 0.2
"""Share of the samples that are plain photos; the others are renditions, in which the fine patterns are."""


def build() -> AutoencoderTiny:
    return AutoencoderTiny(
        encoder_block_out_channels=(WIDTH,) * 4,
        decoder_block_out_channels=(WIDTH,) * 4,
        num_encoder_blocks=(0, 0, 0, 0),
        num_decoder_blocks=(3, 3, 2, 0),
        latent_channels=LATENTS,
    )


def patches(arrays: list[np.ndarray], rng: np.random.Generator, count: int = 60_000) -> np.ndarray:
    """Random 8 x 8 RGB patches in [0, 1] on the grid of 8, float32 `[count, 192]`, channel-major."""
    rows = []
    for _ in range(count // 100):
        array = arrays[rng.integers(len(arrays))]
        picture = array[rng.integers(len(array)), 0 if rng.random() < PHOTOS else rng.integers(array.shape[1])]
        for y, x in rng.integers(0, picture.shape[0] // 8, (100, 2)):
            rows.append(picture[8 * y : 8 * y + 8, 8 * x : 8 * x + 8].transpose(2, 0, 1).reshape(-1))
    return np.stack(rows).astype(np.float32) / 255


def components(samples: np.ndarray, kept: tuple[np.ndarray, np.ndarray] | None) -> tuple[np.ndarray, np.ndarray]:
    """Whitened principal components `[LATENTS, 192]` and biases; those `kept` come first."""
    rows, bias = kept if kept is not None else (np.zeros((0, samples.shape[1])), np.zeros(0))
    basis = np.linalg.qr(rows.T)[0]
    rest = samples - samples.mean(0)
    rest = rest - rest @ basis @ basis.T
    values, vectors = np.linalg.eigh(np.cov(rest, rowvar=False))
    count = LATENTS - len(rows)
    deviation = np.sqrt(values[::-1][:count])
    largest = 1 / np.linalg.norm(rows[0]) if len(rows) else deviation[0]
    left = values[::-1][count:].sum() / samples.var(0).sum()
    print(f"deviations {deviation.round(3)}, share of the variance left out {left:.4f}")
    new = vectors[:, ::-1][:, :count].T / (deviation**WHITENING * largest ** (1 - WHITENING))[:, None]
    return np.concatenate([rows, new]), np.concatenate([bias, -new @ samples.mean(0)])


@torch.no_grad()
def set_linear_encoder(vae: AutoencoderTiny, rows: np.ndarray, bias: np.ndarray) -> None:
    """Writes `rows @ patch + bias` into the encoder's convolutions."""
    conv_in, *halvings, conv_out = vae.encoder.layers
    for layer in vae.encoder.layers:
        layer.weight.zero_()
    conv_in.bias.zero_()
    for c in range(3):
        conv_in.weight[c, c, 1, 1] = 1
    # two halvings move pixels into channels, 2 x 2 at a time; the third is the transform itself
    for halving, channels in zip(halvings[:2], (3, 12), strict=True):
        for c, dy, dx in itertools.product(range(channels), *[range(2)] * 2):
            halving.weight[4 * c + 2 * dy + dx, c, 1 + dy, 1 + dx] = 1
    # a pixel's row is 4 y4 + 2 y2 + y1: the first halving splits off y1 and x1, the second y2 and x2
    basis = torch.from_numpy(rows.reshape(LATENTS, 3, *[2] * 6).astype(np.float32))  # [k, c, y4, y2, y1, x4, x2, x1]
    for c, y4, y2, y1, x4, x2, x1 in itertools.product(range(3), *[range(2)] * 6):
        channel = 4 * (4 * c + 2 * y1 + x1) + 2 * y2 + x2
        halvings[2].weight[:LATENTS, channel, 1 + y4, 1 + x4] = basis[:, c, y4, y2, y1, x4, x2, x1]
    for k in range(LATENTS):
        conv_out.weight[k, k, 1, 1] = 1
    conv_out.bias.copy_(torch.from_numpy(bias))


@torch.no_grad()
def grown(old: AutoencoderTiny, samples: np.ndarray) -> AutoencoderTiny:
    """An autoencoder of `LATENTS` latents that begins with the old one's, and decodes as the old one did."""
    kernel, bias = linear_encoder(old)
    kept = kernel.flatten(1).double().numpy(), bias.flatten().double().numpy()
    vae = build()
    set_linear_encoder(vae, *components(samples, kept))
    weights = old.decoder.state_dict()
    name = next(k for k, v in vae.decoder.state_dict().items() if v.shape != weights[k].shape)  # its first convolution
    weights[name] = F.pad(weights[name], (0, 0, 0, 0, 0, LATENTS - len(kernel)))
    vae.decoder.load_state_dict(weights)
    return vae


def crops(arrays: list[np.ndarray], rng: np.random.Generator, batch: int, side: int) -> torch.Tensor:
    pictures = []
    for _ in range(batch):
        array = arrays[rng.integers(len(arrays))]
        y, x = 8 * rng.integers(0, (array.shape[2] - side) // 8 + 1, 2)
        i, look = rng.integers(len(array)), 0 if rng.random() < PHOTOS else rng.integers(array.shape[1])
        pictures.append(array[i, look, y : y + side, x : x + side])
    return to_tensor(np.stack(pictures))


def loss_of(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean absolute error of pixels, of their differences to the neighbours (crisp edges), of 8 x 8 means (colour)."""
    error = output - target
    rows, columns = error.diff(dim=-2), error.diff(dim=-1)
    return error.abs().mean() + 0.5 * (rows.abs().mean() + columns.abs().mean()) + F.avg_pool2d(error, 8).abs().mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("training/work"))
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--resume", action="store_true", help="go on from the autoencoder in --work")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    rng = np.random.default_rng(0)
    arrays, _ = renditions(args.work)

    if args.resume:
        vae = AutoencoderTiny.from_pretrained(args.work / "vae")
        if vae.config.latent_channels != LATENTS:
            vae = grown(vae, patches(arrays, rng))
    else:
        vae = build()
        set_linear_encoder(vae, *components(patches(arrays, rng), None))
    vae.save_pretrained(args.work / "vae")
    device = the_device()
    vae.to(device).encoder.requires_grad_(False)
    decoder = vae.decoder.to(memory_format=torch.channels_last).train()
    average, clock = Average(decoder), Clock(args.minutes, args.rate)
    optimiser = torch.optim.Adam(decoder.parameters(), betas=(0.9, 0.99))
    step, total = 0, 0.0
    while clock.progress < 1:
        for group in optimiser.param_groups:
            group["lr"] = clock.learning_rate()
        side = 96 if clock.progress < 0.7 else 160
        target = crops(arrays, rng, args.batch, side).to(device)
        with torch.no_grad():
            latents = vae.encoder(target)
        with mixed_precision(device):
            output = decoder(latents.to(memory_format=torch.channels_last)).float()
        loss = loss_of(output, target)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        optimiser.step()
        average.update(decoder)
        step, total = step + 1, total + float(loss.detach())
        if step % 200 == 0:
            held = crops(arrays, np.random.default_rng(1), 32, 128).to(device)
            with torch.no_grad():
                error = average.network(vae.encoder(held)).clamp(-1, 1) - held
            psnr = -10 * torch.log10((error / 2).square().mean((1, 2, 3))).mean()
            print(f"{step} {clock.progress:.3f} loss {total / 200:.4f} psnr {psnr:.2f}", flush=True)
            total = 0.0
        if step % 1000 == 0 or clock.progress >= 1:
            saved = build()
            saved.encoder.load_state_dict(vae.encoder.state_dict())
            saved.decoder.load_state_dict(average.network.state_dict())
            saved.save_pretrained(args.work / "vae")


if __name__ == "__main__":
    main()
