"""A small network on latents that tells looks apart, and so says where a rendition misses its look.

Least squares alone paint the mean of what may be: pale and smooth. The critic learns, beside the denoiser, to name the
look of every patch of true renditions and to call the denoiser's own "none of them" (an auxiliary classifier as in
Odena et al. 2017, on latents as in Sauer et al. 2024); the denoiser is asked to have the critic's features of the true
rendition (feature matching, Salimans et al. 2016) and to be taken for its look.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from train_vae import LATENTS


class Critic(nn.Module):
    def __init__(self, looks: int, channels: int = LATENTS, width: int = 64) -> None:
        super().__init__()
        self.layers = nn.ModuleList([
            nn.Conv2d(channels, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1), nn.Conv2d(2 * width, 2 * width, 3, padding=1),
        ])  # fmt: skip
        self.head = nn.Conv2d(2 * width, looks + 1, 1)

    def forward(self, latents: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Features of every layer, and logits `[B, looks + 1, h / 2, w / 2]`; the last class is "made up"."""
        features = []
        for layer in self.layers:
            latents = F.leaky_relu(layer(latents), 0.2)
            features.append(latents)
        return features, self.head(latents)

    def own_loss(self, true: torch.Tensor, made: torch.Tensor, looks: torch.Tensor) -> torch.Tensor:
        """True renditions have their look (an index on the CPU), the denoiser's have none."""
        logits = self(torch.cat([true, made]))[1]
        fake = logits.shape[1] - 1
        labels = torch.cat([looks, torch.full_like(looks, fake)]).to(logits.device)
        return F.cross_entropy(logits, labels[:, None, None].expand(-1, *logits.shape[2:]), ignore_index=-1)

    def judge(self, true: torch.Tensor, made: torch.Tensor, looks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Distance of features between made and true, and how far the made are from passing as their look."""
        with torch.no_grad():
            wanted, _ = self(true)
        features, logits = self(made)
        distance = sum(
            ((f - w).abs().mean((1, 2, 3)) / (w.abs().mean() + 1e-3)).mean()
            for f, w in zip(features, wanted, strict=True)
        )
        labels = looks.to(logits.device)[:, None, None].expand(-1, *logits.shape[2:])
        passing = F.cross_entropy(logits, labels, ignore_index=-1) if (looks >= 0).any() else logits.sum() * 0
        return distance / len(features), passing
