"""From the words and the reference picture of a style to prompt embeddings."""

from __future__ import annotations

import warnings
from dataclasses import replace

import torch
from PIL import Image

from stylize.errors import ModelError, PromptWarning
from stylize.networks import Networks
from stylize.networks.prompts import PromptEmbedding, Timeline, make_timeline, mix, pad
from stylize.networks.vocabulary import PLAIN
from stylize.style import Style, parse_timeline
from stylize.style.other_tools import translate


def prompts_for(networks: Networks, style: Style, reference: Image.Image | None = None, *, guided: bool) -> Timeline:
    """Encodes the style's prompt, or, where it changes over time, each prompt with its second; see `prompt_for`."""
    moments = parse_timeline(style.prompt)
    return make_timeline(
        [(at, prompt_for(networks, replace(style, prompt=t), reference, guided=guided)) for at, t in moments]
    )


def prompt_for(
    networks: Networks, style: Style, reference: Image.Image | None = None, *, guided: bool
) -> PromptEmbedding:
    """Encodes the style's words and reference; with guidance the negative prompt's embedding comes first.

    Args:
        reference: the style's reference picture.

    Raises:
        ModelError: a reference for a model that reads none.

    Warns:
        PromptWarning: the model does not know some words, or no look that it knows is asked for.
    """
    style = _translated(networks, style)
    referred = reference is not None and style.reference_weight > 0
    negative, prompt = _drop_unknown_words(networks, [style.negative_prompt, style.prompt], needs_look=not referred)
    if networks.vocabulary and not style.keyframes:  # paintings are not graded, so networks follow the words
        prompt = networks.vocabulary.drop_graded_tones(prompt)
    words = networks.encode_prompt(prompt, negative, guided=guided, clip_skip=style.clip_skip)
    if style.style_weight != 1:
        said_nothing = PLAIN if networks.vocabulary and not referred else ""
        plain = networks.encode_prompt(said_nothing, negative, guided=guided, clip_skip=style.clip_skip)
        words = with_positive(words, mix(plain, words, style.style_weight))
    if reference is None or not referred:
        return _without_image(networks, words)
    if networks.has_ip_adapter:
        embeddings = networks.pipe.prepare_ip_adapter_image_embeds([reference], None, networks.device, 1, guided)
        return replace(words, image=embeddings[0].to(networks.dtype), image_weight=style.reference_weight)
    if networks.image_prompt is None:
        raise ModelError(f"{networks.name} reads no reference picture", "use --model pocket, or add --ip-adapter")
    tokens = networks.image_prompt(reference)
    blank = words.words[:, -tokens.shape[1] :]  # padding: what stands there when nothing is said
    image = torch.lerp(blank[-1:], tokens.to(words.words), style.reference_weight)
    return replace(words, words=torch.cat([words.words, torch.cat([blank[:-1], image])], 1))


def _translated(networks: Networks, style: Style) -> Style:
    """Returns the style with its words in our syntax, and warns of each thing that was written in another tool's."""
    weighted = networks.vocabulary is None
    prompt, lines = translate(style.prompt, weighted=weighted)
    negative, more = translate(style.negative_prompt, weighted=weighted)
    for line in dict.fromkeys([*lines, *more]):
        warnings.warn(line, PromptWarning, stacklevel=3)
    return replace(style, prompt=prompt, negative_prompt=negative) if lines or more else style


def with_positive(words: PromptEmbedding, other: PromptEmbedding) -> PromptEmbedding:
    """Replaces the prompt in `words`, which is its last row, by that of `other`."""
    rows = torch.cat([pad(words.words[:-1], other.words.shape[1]), other.words[-1:]])
    if words.pooled is None or other.pooled is None:
        return replace(words, words=rows)
    return replace(words, words=rows, pooled=torch.cat([words.pooled[:-1], other.pooled[-1:]]))


def _without_image(networks: Networks, words: PromptEmbedding) -> PromptEmbedding:
    """Gives IP-Adapter's layers, which need a picture in any case, a grey one with no weight."""
    if not networks.has_ip_adapter:
        return words
    grey = Image.new("RGB", (64, 64), (128, 128, 128))
    embeddings = networks.pipe.prepare_ip_adapter_image_embeds([grey], None, networks.device, 1, words.groups == 2)
    return replace(words, image=embeddings[0].to(networks.dtype), image_weight=0.0)


def _drop_unknown_words(networks: Networks, texts: list[str], *, needs_look: bool) -> list[str]:
    """Removes words that the model was not taught, and warns once; the last of the texts is the prompt."""
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
