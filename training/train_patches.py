"""Stage 2, the autoencoder: the principal components of patches of photos and renditions, in closed form.

    python training/train_patches.py --work training/work

Writes `patches.safetensors`, which the last stage begins with. 64 of 192 components keep photos at 42 dB.
Components are scaled by the root of their deviation: the strong ones stay stronger, but not by so much
that noise would drown the others.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from denoiser import LATENTS, save
from stylize.networks.patches import PATCH, PatchAutoencoder

PATCHES = 400_000
SPREAD = 0.6
"""Mean deviation of the latents."""


def sample_patches(work: Path, count: int, rng: np.random.Generator) -> np.ndarray:
    """Random patches of all looks, `[count, 192]` in [-1, 1], in the order of torch's pixel unshuffle."""
    pictures = np.load(work / "pictures.npy", mmap_mode="r")
    each = max(1, count // len(pictures))
    patches = []
    for photo in pictures:
        side = photo.shape[1] - PATCH + 1
        looks, ys, xs = rng.integers(len(photo), size=each), *rng.integers(side, size=(2, each))
        patches += [photo[k, y : y + PATCH, x : x + PATCH] for k, y, x in zip(looks, ys, xs, strict=True)]
    return np.stack(patches).transpose(0, 3, 1, 2).reshape(len(patches), -1).astype(np.float32) / 127.5 - 1


def fit(patches: np.ndarray) -> PatchAutoencoder:
    """The autoencoder of least squared error."""
    vae = PatchAutoencoder(latent_channels=LATENTS)
    count = vae.analysis.out_channels
    mean = patches.mean(0)
    values, vectors = np.linalg.eigh(np.cov((patches - mean).T))
    rows, deviations = vectors.T[::-1][:count], np.sqrt(np.maximum(values[::-1][:count], 1e-8))
    scale = deviations**-0.5 * SPREAD / np.mean(deviations**0.5)
    analysis, synthesis = rows * scale[:, None], rows.T / scale
    with torch.no_grad():
        vae.analysis.weight.copy_(torch.from_numpy(analysis.copy())[..., None, None])
        vae.analysis.bias.copy_(torch.from_numpy(-analysis @ mean))
        vae.synthesis.weight.copy_(torch.from_numpy(synthesis.copy())[..., None, None])
        vae.synthesis.bias.copy_(torch.from_numpy(mean.copy()))
    return vae


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("training/work"))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    patches = sample_patches(args.work, PATCHES, np.random.default_rng(args.seed))
    vae = fit(patches)
    with torch.inference_mode():
        latents = vae.analysis(torch.from_numpy(patches[:5000])[..., None, None])
        back = vae.synthesis(latents)[..., 0, 0].numpy()
    error = float(((back - patches[:5000]) ** 2).mean())
    print(f"{len(patches)} patches come back with {10 * np.log10(4 / error):.1f} dB")
    save({f"vae.{name}": value for name, value in vae.state_dict().items()}, args.work / "patches.safetensors")


if __name__ == "__main__":
    main()
