"""From the words and the reference of a style to the embeddings that the UNet reads."""

from __future__ import annotations

import warnings

import torch

from stylize.errors import ModelError, PromptWarning
from stylize.networks import Networks
from stylize.reference import read_picture
from stylize.style import Style
from stylize.vocabulary import PLAIN


def embeddings_for(networks: Networks, style: Style, *, guided: bool) -> torch.Tensor:
    """`[G, tokens, C]`: guided, the negative prompt's first and G is 2; else G is 1. A reference's tokens come last.

    Raises:
        ModelError: a reference for a model that reads none.
        StyleError: the reference cannot be read.

    Warns:
        PromptWarning: the model does not know some words, or no look that it knows is asked for.
    """
    texts = [_understood(networks, style.negative_prompt, style)] if guided else []
    words = networks.encode_prompts([*texts, _understood(networks, style.prompt, style, positive=True)])
    if style.reference is None or style.reference_weight == 0:
        return words
    if networks.image_prompt is None:
        raise ModelError(f"{networks.name} reads no reference picture", "use --model pocket, or a prompt alone")
    tokens = networks.image_prompt(read_picture(style.reference))
    blank = words[:, -tokens.shape[1] :]  # padding: what stands there when nothing is said
    image = torch.lerp(blank[-1:], tokens.to(words), style.reference_weight)
    return torch.cat([words, torch.cat([blank[:-1], image])], 1)


def _understood(networks: Networks, prompt: str, style: Style, *, positive: bool = False) -> str:
    """The part of the prompt that the model was taught, with one warning about the rest."""
    vocabulary = networks.vocabulary
    if vocabulary is None:
        return prompt
    reading = vocabulary.read(prompt)
    lost = positive and not reading.names_look and (style.reference is None or style.reference_weight == 0)
    if reading.unknown:
        words = ", ".join(repr(word) for word in reading.unknown)
        stays = f"; no look that it knows is asked for, so the picture stays a {PLAIN}" if lost else ""
        warnings.warn(
            f"{networks.name} does not know {words}{stays} (it knows {vocabulary.describe()})",
            PromptWarning,
            stacklevel=2,
        )
    return f"{PLAIN}, {reading.text}".strip(" ,") if lost else reading.text
