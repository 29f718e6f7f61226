"""How far pictures are from the style of others: Gram matrices of VGG16 features, to learn from."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from data import mixed_precision
from stylize.finish.tones import FAINT, MOST_STRETCH
from vgg import Vgg, gram

RIM = 16
"""Pixels at the borders that do not count: texture would hide where the convolutions see zeros."""
CLOSENESS = 0.1
"""How much nearer the own style must be than others before it no longer matters, in distances."""
STYLE, OWN, FORMS, TEXTURE = 0.6, 0.2, 0.4, 0.15
"""Weights: distance to the style; its own style being the nearest of the batch's; forms; a rendition's texture."""


class StyleLoss:
    """Losses by VGG; needs a GPU to be of use in reasonable time."""

    def __init__(self, device: torch.device) -> None:
        self.vgg, self.device = Vgg(device), device

    def features(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        """Of `[B, 3, H, W]` in [0, 1], without the rim."""
        with mixed_precision(self.device):
            return self.vgg.features(pictures[..., RIM:-RIM, RIM:-RIM].contiguous(memory_format=torch.channels_last))

    def compare(self, painted: torch.Tensor, styles: torch.Tensor, source: torch.Tensor) -> dict[str, torch.Tensor]:
        """Losses of pictures that are to have the forms of `source` and the style of `styles`; all in [0, 1].

        Pictures are compared in the colours of their styles, as results are given them.
        """
        made = self.features(give_colours(painted, styles))
        with torch.no_grad():
            wanted = [gram(x.float()) for x in self.features(styles)]
            forms = F.instance_norm(self.features(source)[-1].float())
        apart = pairwise_distance([gram(x.float()) for x in made], wanted)
        own = torch.arange(len(painted), device=painted.device)
        return {
            "style": STYLE * apart.diagonal().mean(),
            "own": OWN * F.cross_entropy(-apart / CLOSENESS, own),
            "forms": FORMS * (F.instance_norm(made[-1].float()) - forms).square().mean(),
        }

    def texture(self, painted: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """How far renditions are from the textures of their teachers', in [0, 1] both."""
        with torch.no_grad():
            grams = [gram(x.float()) for x in self.features(wanted)]
        shares = [
            (a - b).flatten(1).norm(dim=1) / b.flatten(1).norm(dim=1)
            for a, b in zip([gram(x.float()) for x in self.features(painted)], grams, strict=True)
        ]
        return TEXTURE * torch.stack(shares).mean()


def give_colours(pictures: torch.Tensor, styles: torch.Tensor) -> torch.Tensor:
    """Maps the colours of pictures to those of styles, both `[B, 3, H, W]`, as `stylize.finish.tones` does.

    The mapping itself counts as given: gradients go through the pictures alone.
    """
    with torch.no_grad():
        (mean, own), (wanted_mean, wanted) = (_count_colours(x) for x in (pictures, styles))
        root = _take_root(own)
        back = torch.linalg.inv(root)
        mapping = back @ _take_root(root @ wanted @ root) @ back
        values, axes = torch.linalg.eigh((mapping + mapping.mT) / 2)
        mapping = axes * values.clamp(max=MOST_STRETCH)[:, None] @ axes.mT
    apart = pictures.float() - mean[..., None, None]
    mapped = torch.einsum("nij,njhw->nihw", mapping, apart) + wanted_mean[..., None, None]
    return mapped.clamp(0, 1).to(pictures.dtype)


def _count_colours(pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Means `[B, 3]` and covariances `[B, 3, 3]`."""
    flat = pictures.float().flatten(2)
    mean = flat.mean(2)
    apart = flat - mean[..., None]
    return mean, apart @ apart.mT / flat.shape[2] + FAINT**2 * torch.eye(3, device=flat.device)


def _take_root(matrices: torch.Tensor) -> torch.Tensor:
    values, axes = torch.linalg.eigh(matrices)
    return axes * values.clamp(min=0).sqrt()[:, None] @ axes.mT


def pairwise_distance(made: list[torch.Tensor], wanted: list[torch.Tensor]) -> torch.Tensor:
    """`vgg.distance` of each of the first to each of the second, `[B, B]`."""
    total = 0
    for one, other in zip(made, wanted, strict=True):
        a, b = one.flatten(1), other.flatten(1)
        squares, others = a.square().sum(1, keepdim=True), b.square().sum(1)
        apart = (squares + others - 2 * a @ b.T).clamp(min=0) / (squares * others).sqrt()
        total = total + (apart + 1e-8).sqrt()
    return total / len(made)
