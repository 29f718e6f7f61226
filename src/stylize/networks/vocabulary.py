"""The words that a small model was taught, and the part of a prompt that it can follow."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

PLAIN = "photo"
"""The look that changes nothing, for prompts that ask for none."""


@dataclass(frozen=True)
class Reading:
    """The part of a prompt that a model understands."""

    text: str
    """The prompt without the words that the model does not know."""
    unknown: tuple[str, ...]
    names_look: bool


@dataclass(frozen=True)
class Vocabulary:
    """The looks and tones of a model, each by name with the phrases that ask for it, and every word it was taught."""

    looks: Mapping[str, tuple[str, ...]]
    tones: Mapping[str, tuple[str, ...]]
    words: frozenset[str]
    cells: Mapping[str, str] = field(default_factory=dict)
    """The kind of cells (stones, panes, dabs, dots) that a look is made of, by look; the others have none."""
    pixels: Mapping[str, int] = field(default_factory=dict)
    """How many rows of pixels a look is made of, by look; the others of as many as the picture has."""

    def read(self, prompt: str) -> Reading:
        """Splits a prompt into known words, in their order, and unknown ones; words may have "-" or "'" inside."""
        kept, unknown = [], []
        for token in re.findall(r"[^\W_]+(?:['-][^\W_]+)*|[,.;:!?]", prompt.lower()):
            if not token[0].isalnum() or token in self.words:
                kept.append(token)
            elif token not in unknown:
                unknown.append(token)
        text = re.sub(r"\s+([^\w\s])", r"\1", " ".join(kept)).strip(" ,.;:")
        return Reading(text, tuple(unknown), self.names_look(text))

    def names_look(self, text: str) -> bool:
        """Whether the text has any phrase of any look, as whole words."""
        return bool(self.find_looks(text))

    def find_looks(self, text: str) -> tuple[str, ...]:
        """Returns the looks that the text has a phrase of, as whole words."""
        return _find(self.looks, text)

    def names_tone(self, text: str) -> bool:
        """Whether the text has any phrase of any tone, as whole words."""
        return bool(_find(self.tones, text))

    def find_cells(self, text: str) -> str | None:
        """Returns the kind of cells that the first look of a text with cells is made of."""
        return next((self.cells[look] for look in self.find_looks(text) if look in self.cells), None)

    def find_pixels(self, text: str) -> int | None:
        """Returns how many rows of pixels the first look of a text with pixels is made of."""
        return next((self.pixels[look] for look in self.find_looks(text) if look in self.pixels), None)

    def describe(self) -> str:
        """Lists the looks and tones by name, in one line."""
        return f"looks: {', '.join(self.looks)}; tones: {', '.join(self.tones)}"


def _find(phrases: Mapping[str, tuple[str, ...]], text: str) -> tuple[str, ...]:
    """Returns the names that the text has a phrase of, as whole words."""
    padded = _pad_words(text)
    return tuple(name for name, some in phrases.items() if any(_pad_words(phrase) in padded for phrase in some))


def _pad_words(text: str) -> str:
    """Returns the words of a text with a space before and after each."""
    return f" {re.sub(r'[^a-z0-9]+', ' ', text.lower()).strip()} "
