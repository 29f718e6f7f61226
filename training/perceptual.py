"""The loss on pixels: decoded windows have the VGG features and their Gram matrices of the true renditions.

Squared error and the critic work on latents, where fine texture is a small part of the whole; a person looks at pixels.
Features keep the rendition's strokes in place, Gram matrices keep their kind where their place cannot be known (Gatys
et al. 2016; Johnson et al. 2016). It is dear, so only a piece of some of each batch is judged.
"""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderTiny

from vgg import Vgg, gram
from windows import LATENT_SCALE

BLOCKS, FEWEST, SHARE, PIECE, BORDER = 3, 6, 3, 8, 1
"""VGG blocks used; pieces judged in a batch: so many at least, or one in so many; their side, and the border that is
decoded but not judged, in latents."""
TEXTURE = 0.7
"""Weight of the Gram matrices beside the features."""


class Perceptual:
    def __init__(self, work: Path, device: torch.device) -> None:
        self.vgg = Vgg(device, BLOCKS)
        self.decoder = AutoencoderTiny.from_pretrained(work / "vae").decoder.requires_grad_(False).eval()
        self.decoder.to(device, memory_format=torch.channels_last)

    def __call__(self, made: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
        """Distance of a random piece of some latents `[B, 32, h, w]` to pixels `[B, 3, 8 h, 8 w]` in [0, 1]."""
        wide, count = PIECE + 2 * BORDER, max(FEWEST, len(made) // SHARE)
        y, x = (int(torch.randint(0, side - wide + 1, ())) for side in made.shape[2:])
        piece = made[:count, :, y : y + wide, x : x + wide] / LATENT_SCALE
        decoded = (self.decoder(piece.contiguous(memory_format=torch.channels_last)) + 1) / 2
        inner = slice(8 * BORDER, 8 * (BORDER + PIECE))
        true = pixels[:count, :, 8 * y : 8 * (y + wide), 8 * x : 8 * (x + wide)][..., inner, inner]
        with torch.no_grad():
            wanted = self.vgg.features(true)
        got = self.vgg.features(decoded[..., inner, inner])
        losses = [
            _share((g - w).abs().mean((1, 2, 3)), w.abs().mean((1, 2, 3))) for g, w in zip(got, wanted, strict=True)
        ]
        for g, w in zip(got, wanted, strict=True):
            a, b = gram(g), gram(w)
            losses.append(TEXTURE * _share((a - b).flatten(1).norm(dim=1), b.flatten(1).norm(dim=1)))
        return torch.stack(losses).sum() / BLOCKS


def _share(error: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
    """Mean relative error, with flat pictures kept from counting without bound."""
    return (error / (whole + 0.1 * whole.mean() + 1e-6)).mean()
