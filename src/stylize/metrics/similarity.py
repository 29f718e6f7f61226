"""Embeds frames with CLIP (Radford et al. 2021) to compare them with their neighbours and with the prompt."""

from __future__ import annotations

from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F
from transformers import CLIPImageProcessor, CLIPModel, CLIPTokenizer

from stylize.errors import ModelError, explained
from stylize.frames import Picture


class ClipSimilarity:
    """Computes a frame's unit embedding and its cosine with the prompt's, in [-1, 1].

    Args:
        model: folder or hub id of CLIP weights in safetensors, such as openai/clip-vit-large-patch14.
        prompt: text to compare with; `None` for embeddings alone.

    Raises:
        ModelError: the weights cannot be loaded.
    """

    def __init__(self, model: str | PathLike[str], prompt: str | None = None) -> None:
        advice = "name a folder that has it, or go online once"
        with explained(ModelError, f"cannot load CLIP from {model}", advice):
            self._model = CLIPModel.from_pretrained(model, use_safetensors=True).eval()
            self._processor = CLIPImageProcessor.from_pretrained(model)
            tokenizer = CLIPTokenizer.from_pretrained(model)
        self._words = None
        if prompt is not None:
            tokens = tokenizer(prompt, truncation=True, return_tensors="pt")
            with torch.inference_mode():
                self._words = _normalize(self._model.get_text_features(**tokens))

    def __call__(self, picture: Picture) -> tuple[npt.NDArray[np.float32], float | None]:
        """Returns the embedding and the cosine of a picture, uint8 RGB `[H, W, 3]`."""
        pixels = self._processor(picture, return_tensors="pt").pixel_values
        with torch.inference_mode():
            embedding = _normalize(self._model.get_image_features(pixel_values=pixels))
        return embedding.numpy(), None if self._words is None else float(embedding @ self._words)


def _normalize(output: Any) -> torch.Tensor:
    """Scales the features to unit length, `[C]`; transformers 5 wraps the projected features in an output object."""
    features = output.pooler_output if hasattr(output, "pooler_output") else output
    return F.normalize(features[0].float(), dim=0)
