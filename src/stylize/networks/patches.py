"""The built-in model's own networks: an autoencoder of patches that draws strokes, and a UNet that says the change.

Both are diffusers models: they are saved and loaded as such, and serve as `vae=` and `unet=` of its pipelines.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTinyOutput
from diffusers.models.autoencoders.vae import DecoderOutput
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.unets.unet_2d_condition import UNet2DConditionOutput
from torch import nn
from torch.nn import functional as F

PATCH = 8
"""Sides of a patch, in pixels: one patch is one place of the latents."""
BAND, BESIDE = 64, 2
"""Rows of latents that are decoded at a time where memory is short; and rows beside them that pixels depend on."""


class PatchAutoencoder(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Turns patches of 8x8 pixels into numbers by one matrix, and back by its pseudo-inverse.

    No autoencoder that learns its decoder keeps a picture as sharp as this one (docs/log.md). The latents have further
    channels, the materials: nothing is encoded into them, but the UNet writes there what the decoder shall draw the
    strokes with, so that strokes are as sharp as their field, and not as sharp as latents can say.

    Args:
        latent_channels: of picture and materials together.
        materials: of the materials, which come last.
        block_out_channels: of the network that draws, a number a layer; 4, as diffusers derives the factor 8 from it.
        scaling_factor: factor of the latents, as of every autoencoder of diffusers.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        latent_channels: int = 80,
        materials: int = 16,
        block_out_channels: Sequence[int] = (48, 48, 48, 48),
        scaling_factor: float = 1.0,
    ) -> None:
        super().__init__()
        components = latent_channels - materials
        self.analysis = nn.Conv2d(3 * PATCH**2, components, 1)
        self.synthesis = nn.Conv2d(components, 3 * PATCH**2, 1)
        self.use_tiling = False
        self.painter = StrokePainter(materials, block_out_channels[0], len(block_out_channels) - 1)

    def encode(self, x: torch.Tensor, return_dict: bool = True) -> AutoencoderTinyOutput | tuple[torch.Tensor]:
        """Encodes pixels `[B, 3, H, W]` in [-1, 1] to latents `[B, latent_channels, H / 8, W / 8]`."""
        kernel = self.analysis.weight.view(-1, 3, PATCH, PATCH)
        picture = F.conv2d(x.contiguous(), kernel, self.analysis.bias, stride=PATCH)
        latents = F.pad(picture, (0, 0, 0, 0, 0, self.config.materials))
        return AutoencoderTinyOutput(latents=latents) if return_dict else (latents,)

    def decode(
        self,
        z: torch.Tensor,
        return_dict: bool = True,
        generator: Any = None,
        strokes: torch.Tensor | None = None,
        weight: float = 1.0,
    ) -> DecoderOutput | tuple[torch.Tensor]:
        """Decodes latents to pixels, roughly in [-1, 1].

        Args:
            generator: not used; diffusers' pipelines hand it in.
            strokes: control map `[B, 3, H, W]` in [0, 1] that details are drawn with; without it materials have no
                effect.
            weight: how strongly they are drawn; 1 is as learnt.
        """
        rows = z.shape[2]
        height = BAND if self.use_tiling else rows
        bands = [self._decode_band(z, strokes, weight, top, min(top + height, rows)) for top in range(0, rows, height)]
        pixels = torch.cat(bands, dim=2)
        return DecoderOutput(sample=pixels) if return_dict else (pixels,)

    def _decode_band(
        self, z: torch.Tensor, strokes: torch.Tensor | None, weight: float, top: int, bottom: int
    ) -> torch.Tensor:
        """Decodes some rows of the latents, with as many beside them as they depend on: bands change nothing."""
        above, below = max(0, top - BESIDE), min(z.shape[2], bottom + BESIDE)
        picture, materials = z[:, :, above:below].tensor_split([-self.config.materials], dim=1)
        pixels = F.pixel_shuffle(self.synthesis(picture), PATCH)
        if strokes is not None:
            band = strokes[..., PATCH * above : PATCH * below, :].to(pixels)
            pixels = pixels + weight * self.painter(pixels, band, materials)
        return pixels[:, :, PATCH * (top - above) : PATCH * (bottom - above)]

    def enable_tiling(self) -> None:
        """Decodes in bands, which takes less memory and gives the same picture."""
        self.use_tiling = True

    def disable_tiling(self) -> None:
        """Decodes in one piece."""
        self.use_tiling = False

    def forward(self, sample: torch.Tensor) -> torch.Tensor:
        """Encodes and decodes."""
        return self.decode(self.encode(sample, return_dict=False)[0], return_dict=False)[0]


class StrokePainter(nn.Module):
    """Draws the detail of a picture at half its size, by its strokes and in the materials that the latents ask for.

    The materials scale and shift the features of every layer (FiLM, Perez et al. 2018), blended from patch to patch, so
    that one small network draws with all tools.
    """

    def __init__(self, materials: int, width: int, layers: int) -> None:
        super().__init__()
        sizes = [24, *[width] * layers]
        self.layers = nn.ModuleList(
            nn.Conv2d(one, other, 3, padding=1, padding_mode="replicate") for one, other in itertools.pairwise(sizes)
        )
        self.tools = nn.Conv2d(materials, 2 * width * len(self.layers), 1)
        self.last = nn.Conv2d(width, 12, 3, padding=1, padding_mode="replicate")
        # where in its patch a pixel lies, or borders of patches could not be told from edges, and be mended
        self.place = nn.Parameter(torch.zeros(1, width, PATCH // 2, PATCH // 2))
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, pixels: torch.Tensor, strokes: torch.Tensor, materials: torch.Tensor) -> torch.Tensor:
        """Returns what is to be added to the pixels, `[B, 3, H, W]`."""
        features = F.pixel_unshuffle(torch.cat([pixels, 2 * strokes - 1], 1), 2)
        tools = self.tools(F.interpolate(materials, scale_factor=PATCH // 2, mode="bilinear", align_corners=False))
        place = self.place.repeat(1, 1, materials.shape[2], materials.shape[3])
        for layer, tool in zip(self.layers, tools.chunk(len(self.layers), dim=1), strict=True):
            scale, shift = tool.chunk(2, dim=1)
            features = F.silu(layer(features) * (1 + scale) + shift + place)
        return F.pixel_shuffle(self.last(features), 2)


class ChangeUNet(UNet2DConditionModel):  # type: ignore[misc]
    """A UNet that says what is to change: how much of its input stays, and what is added.

    Group norms forget how strong a picture is; a UNet that had to say all of it once more would blur even where
    nothing changes, and one that could only add would not know how much to take away. It has twice as many channels
    out as in: `x (1 + stay) + change`. Borders are continued by their own pixels, as zeros beside them would be seen as
    a halo.
    """

    # diffusers reads the names of the settings there
    @functools.wraps(UNet2DConditionModel.__init__)  # type: ignore[misc]
    def __init__(self, *arguments: Any, **config: Any) -> None:
        super().__init__(*arguments, **config)
        repeat_borders(self)

    def forward(self, sample: torch.Tensor, *arguments: Any, **options: Any) -> Any:
        """Runs the network; see `UNet2DConditionModel.forward`."""
        result = super().forward(sample, *arguments, **options)
        change, stay = result[0].chunk(2, dim=1)
        changed = torch.addcmul(sample + change, sample, stay)
        return (changed,) if isinstance(result, tuple) else UNet2DConditionOutput(sample=changed)


class ChangeControlNet(ControlNetModel):  # type: ignore[misc]
    """The ControlNet of a `ChangeUNet`, which continues borders as that does."""

    # diffusers reads the names of the settings there
    @functools.wraps(ControlNetModel.__init__)  # type: ignore[misc]
    def __init__(self, *arguments: Any, **config: Any) -> None:
        super().__init__(*arguments, **config)
        repeat_borders(self)


def repeat_borders(network: nn.Module) -> None:
    """Makes every convolution continue the picture by its border pixels."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.padding not in (0, (0, 0)):
            module.padding_mode = "replicate"
