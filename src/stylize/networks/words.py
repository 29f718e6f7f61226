"""Words of a prompt to embeddings: by diffusers, and by compel where words are weighted or many."""

from __future__ import annotations

import re
import warnings
from typing import Any

import compel
import torch

from stylize.errors import PromptWarning, StyleError, explained
from stylize.networks.family import is_sdxl

MARKED = re.compile(r"[)\w\"'][+-]{1,}(\s|,|$)|\)\d*\.?\d+|\)\.(and|blend|swap)\(")
"""The marks that compel reads: `word++`, `(some words)1.3`, `("one", "other").blend(0.7, 0.3)`."""


def encode_words(
    pipe: Any, prompt: str, negative: str, *, guided: bool, clip_skip: int, device: torch.device, general: bool = True
) -> tuple[torch.Tensor | None, ...]:
    """Returns the embeddings of prompt and negative prompt, then, with SDXL, the pooled embeddings of both.

    Args:
        general: the model reads weighted and long prompts; for others a prompt is cut off at their limit.

    Raises:
        StyleError: weights or a length that cannot go together with `clip_skip`.
    """
    if not general:
        prompt, negative = (_cut_off(pipe, text) for text in (prompt, negative))
    texts = [prompt, negative]
    xl = is_sdxl(pipe.unet)
    if not general or not any(MARKED.search(text) or _is_long(pipe, text) for text in texts):
        encoded: tuple[torch.Tensor | None, ...] = pipe.encode_prompt(
            prompt,
            device=device,
            num_images_per_prompt=1,
            do_classifier_free_guidance=guided,
            negative_prompt=negative or None,
            **(
                {"clip_skip": clip_skip or None}
                if xl
                else {"prompt_embeds": _encode_with_skip(pipe, prompt, clip_skip, device)}
            ),
        )
        return encoded
    if clip_skip:
        raise StyleError("clip skip goes with plain prompts of up to 75 tokens", "take the weights out, or shorten it")
    encoder_class = compel.CompelForSDXL if xl else compel.CompelForSD
    inversions = compel.DiffusersTextualInversionManager(pipe)
    read = encoder_class(pipe, textual_inversion_manager=inversions, device=str(device))
    with explained(StyleError, "the prompt's brackets cannot be read", "close each, or write none", (Exception,)):
        result = read(prompt, negative_prompt=negative)
    return result.embeds, result.negative_embeds, result.pooled_embeds, result.negative_pooled_embeds


def _encode_with_skip(pipe: Any, prompt: str, clip_skip: int, device: torch.device) -> torch.Tensor | None:
    """Encodes the prompt without the last `clip_skip` layers, with the final norm, as diffusers' SD 1.5 pipeline does.

    That pipeline looks for the norm where transformers before 5.6 had it, and fails.
    """
    if not clip_skip:
        return None
    text = pipe.maybe_convert_prompt(prompt, pipe.tokenizer)
    limit = pipe.tokenizer.model_max_length
    tokens = pipe.tokenizer(text, padding="max_length", max_length=limit, truncation=True, return_tensors="pt")
    hidden = pipe.text_encoder(tokens.input_ids.to(device), output_hidden_states=True).hidden_states
    model = getattr(pipe.text_encoder, "text_model", pipe.text_encoder)
    embeddings: torch.Tensor = model.final_layer_norm(hidden[-(clip_skip + 1)])
    return embeddings


def _is_long(pipe: Any, text: str) -> bool:
    """Whether the text, with the marks for beginning and end, is longer than one pass of the text encoder takes."""
    return bool(len(pipe.tokenizer(text, verbose=False).input_ids) > pipe.tokenizer.model_max_length)


def _cut_off(pipe: Any, text: str) -> str:
    """Returns as many words from the beginning as the text encoder takes, and warns if there are more."""
    words = text.split()
    while _is_long(pipe, " ".join(words)):
        words.pop()
    if left := text.split()[len(words) :]:
        warnings.warn(
            f"the prompt is too long for this model: its last {len(left)} words are left out", PromptWarning, 2
        )
        return " ".join(words)
    return text
