"""A reference picture as image-prompt tokens beside the prompt's, after IP-Adapter (Ye et al. 2023)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers.models.embeddings import ImageProjection
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

from stylize.errors import ModelError

FILE = "ip-adapter.safetensors"


class ImagePrompt:
    """CLIP image encoder and projection: the picture's look in a few tokens.

    Their file is laid out as IP-Adapter's (`image_proj.proj.*`, `image_proj.norm.*`).
    """

    def __init__(self, encoder: Any, projection: Any, processor: Any) -> None:
        self._encoder, self._projection, self._processor = encoder, projection, processor

    @classmethod
    def load(cls, folder: Path, adapter: str, device: torch.device, dtype: torch.dtype) -> ImagePrompt:
        """From a model folder with `image_encoder`, `feature_extractor` and the subfolder `adapter`.

        Raises:
            ModelError: a part is missing or does not fit.
        """
        try:
            encoder = CLIPVisionModelWithProjection.from_pretrained(
                folder, subfolder="image_encoder", dtype=dtype, use_safetensors=True, local_files_only=True
            )
            processor = CLIPImageProcessor.from_pretrained(folder, subfolder="feature_extractor", local_files_only=True)
            stored = load_file(folder / adapter / FILE)
            weights = {k.removeprefix("image_proj.").replace("proj.", "image_embeds."): v for k, v in stored.items()}
            tokens = weights["image_embeds.weight"].shape[0] // weights["norm.weight"].shape[0]
            projection = ImageProjection(encoder.config.projection_dim, weights["norm.weight"].shape[0], tokens)
            projection.load_state_dict(weights)
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise ModelError(
                f"{folder}: its image prompt cannot be loaded", "the model folder is incomplete: copy it again"
            ) from error
        encoder.to(device).eval().requires_grad_(False)
        return cls(encoder, projection.to(device, dtype).eval().requires_grad_(False), processor)

    @torch.inference_mode()
    def __call__(self, picture: Image.Image) -> torch.Tensor:
        """`[1, tokens, C]`."""
        pixels = self._processor(images=picture, return_tensors="pt").pixel_values
        seen = self._encoder(pixels.to(self._encoder.device, self._encoder.dtype)).image_embeds
        tokens: torch.Tensor = self._projection(seen)
        return tokens
