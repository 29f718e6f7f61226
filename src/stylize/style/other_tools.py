"""Reads what people bring along from other tools into a prompt: weights in brackets, names of LoRAs, wildcards."""

from __future__ import annotations

import re

from stylize.errors import StyleError

WEIGHTED = re.compile(r"\(([^()\[\]:]+):\s*(\d*\.?\d+)\s*\)")
WEAKENED = re.compile(r"\[([^()\[\]:|]+)\]")
NETWORK = re.compile(r"<(?:lora|lyco|hypernet):[^<>]*>", re.IGNORECASE)
DIVIDER = re.compile(r"\s*,?\s*\b(?:BREAK|AND)\b\s*,?\s*")
CHOICE = re.compile(r"__[\w/*-]+__|\{[^{}]*\|[^{}]*\}")
WEAK = 0.9
"""Weight of a word in square brackets there."""


def translate(prompt: str, *, weighted: bool = True) -> tuple[str, tuple[str, ...]]:
    """Returns the prompt as it is written here, and a line about each thing that was read in another way.

    Args:
        weighted: the model reads weights, `(ink)1.3`; they are dropped otherwise.

    Raises:
        StyleError: a choice that another tool would draw by chance.
    """
    if choice := CHOICE.search(prompt):
        raise StyleError(f"'{choice[0]}' is a choice that another tool makes", "write the words that you want")
    lines = []
    for pattern, weight in ((WEIGHTED, None), (WEAKENED, WEAK)):
        if match := pattern.search(prompt):
            own = f"({match[1]}){weight or match[2]}"
            lines.append(f"'{match[0]}' is read as '{own}'" if weighted else f"'{match[0]}' is read without its weight")
            form = (rf"(\1){weight}" if weight else r"(\1)\2") if weighted else r"\1"
            prompt = pattern.sub(form, prompt)
    if match := NETWORK.search(prompt):
        lines.append(f"'{match[0]}' is left out: a LoRA is added by --lora FILE:WEIGHT")
        prompt = NETWORK.sub("", prompt)
    if match := DIVIDER.search(prompt):
        lines.append(f"'{match[0].strip(' ,')}' is read as a comma")
        prompt = DIVIDER.sub(", ", prompt)
    return (" ".join(prompt.split()).strip(" ,") if lines else prompt), tuple(lines)
