"""Serves both local pages: who may reach them, pictures of the looks, words that the built-in model does not know."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from stylize.networks.vocabulary import Vocabulary
from stylize.style import parse_timeline

LOOKS = Path(__file__).parent / "looks"
"""Folder with a picture for each look of the built-in model."""


def is_loopback(host: str) -> bool:
    """True if only this machine can reach the host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def list_looks(vocabulary: Vocabulary | None) -> dict[str, str]:
    """Returns the words of each look that has a picture, by the picture's name."""
    looks = {} if vocabulary is None else vocabulary.looks
    return {name: phrases[0] for name, phrases in looks.items() if (LOOKS / f"{name}.jpg").is_file()}


def name_unknown(vocabulary: Vocabulary | None, prompt: str | None) -> str:
    """Names the words of a prompt that the built-in model does not know; empty if it knows all."""
    if vocabulary is None:
        return ""
    unknown = [word for _, text in parse_timeline(prompt or "") for word in vocabulary.read(text).unknown]
    return f"The built-in model does not know: {', '.join(unknown)}." if unknown else ""
