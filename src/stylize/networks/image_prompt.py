"""A reference picture as image-prompt tokens beside the prompt's, after IP-Adapter (Ye et al. 2023)."""

from __future__ import annotations

from typing import Any

import torch
from PIL import Image


class ImagePrompt:
    """CLIP image encoder and projection: turns a picture's look into a few tokens.

    Their file is laid out as IP-Adapter's (`image_proj.proj.*`, `image_proj.norm.*`).
    """

    def __init__(self, encoder: Any, projection: Any, processor: Any) -> None:
        self._encoder, self._projection, self._processor = encoder, projection, processor

    @torch.inference_mode()
    def __call__(self, picture: Image.Image) -> torch.Tensor:
        """Returns the tokens of a picture, `[1, tokens, C]`."""
        pixels = self._processor(images=picture, return_tensors="pt").pixel_values
        embedding = self._encoder(pixels.to(self._encoder.device, self._encoder.dtype)).image_embeds
        tokens: torch.Tensor = self._projection(embedding)
        return tokens
