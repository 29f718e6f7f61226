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
    referred = style.reference is not None and style.reference_weight > 0
    texts = [style.negative_prompt, style.prompt] if guided else [style.prompt]
    words = networks.encode_prompts(_understood(networks, texts, needs_look=not referred))
    if style.reference is None or not referred:
        return words
    if networks.image_prompt is None:
        raise ModelError(f"{networks.name} reads no reference picture", "use --model pocket, or a prompt alone")
    tokens = networks.image_prompt(read_picture(style.reference))
    blank = words[:, -tokens.shape[1] :]  # padding: what stands there when nothing is said
    image = torch.lerp(blank[-1:], tokens.to(words), style.reference_weight)
    return torch.cat([words, torch.cat([blank[:-1], image])], 1)


def _understood(networks: Networks, texts: list[str], *, needs_look: bool) -> list[str]:
    """What the model was taught of the texts, the last of which is the prompt; one warning about the rest."""
    vocabulary = networks.vocabulary
    if vocabulary is None:
        return texts
    readings = [vocabulary.read(text) for text in texts]
    lost = needs_look and not readings[-1].names_look
    if unknown := dict.fromkeys(word for reading in reversed(readings) for word in reading.unknown):
        stays = f"; no look that it knows is asked for, so the picture stays a {PLAIN}" if lost else ""
        warnings.warn(
            f"{networks.name} does not know {', '.join(map(repr, unknown))}{stays} (it knows {vocabulary.describe()})",
            PromptWarning,
            stacklevel=2,
        )
    understood = [reading.text for reading in readings]
    return [*understood[:-1], f"{PLAIN}, {understood[-1]}".strip(" ,")] if lost else understood
