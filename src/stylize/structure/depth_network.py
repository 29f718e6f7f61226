"""The built-in depth network: a small U-Net that estimates relative inverse depth from an RGB picture."""

from __future__ import annotations

import itertools

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn
from torch.nn import functional as F


class _Residual(nn.Module):
    """Two 3 x 3 convolutions with group norm, beside a skip connection (He et al. 2016)."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(8, channels_in), nn.GroupNorm(8, channels)
        self.conv1 = nn.Conv2d(channels_in, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.skip = nn.Conv2d(channels_in, channels, 1) if channels_in != channels else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.conv1(F.silu(self.norm1(x)))
        hidden = self.conv2(F.silu(self.norm2(hidden)))
        return torch.add(self.skip(x), hidden)


class DepthNetwork(ModelMixin, ConfigMixin):  # type: ignore[misc]  # diffusers is untyped
    """Estimates relative inverse depth (near is large) from one picture; scale and shift are arbitrary.

    Args:
        channels: width of each level; level 0 works at half the input's resolution, each further level halves it again.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, channels: tuple[int, ...] = (16, 32, 64, 128, 160)) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, channels[0], 5, stride=2, padding=2)
        ladder = list(itertools.pairwise(channels))
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in ladder)
        self.encode = nn.ModuleList(_Residual(c, c) for c in channels)
        self.context = nn.Linear(channels[-1], channels[-1])
        self.up = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in ladder)
        self.decode = nn.ModuleList(_Residual(2 * a, a) for a, _ in ladder)
        self.head = nn.Conv2d(channels[0], 1, 3, padding=1)

    @property
    def multiple(self) -> int:
        """Number by which both sides of the input must be divisible."""
        return int(2 ** (len(self.down) + 1))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Returns inverse depth `[B, 1, H, W]` of pictures `[B, 3, H, W]` in [-1, 1]."""
        x = self.encode[0](self.stem(pictures))
        skips = []
        for down, encode in zip(self.down, self.encode[1:], strict=True):
            skips.append(x)
            x = encode(down(x))
        x = x + self.context(x.mean((2, 3)))[:, :, None, None]  # the mean over the picture tells the type of scene
        for skip, up, decode in zip(reversed(skips), reversed(self.up), reversed(self.decode), strict=True):
            x = F.interpolate(up(x), size=skip.shape[-2:], mode="bilinear", align_corners=False)
            x = decode(torch.cat([x, skip], dim=1))
        return F.interpolate(self.head(x), size=pictures.shape[-2:], mode="bilinear", align_corners=False)
