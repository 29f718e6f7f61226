"""The words that a small model was taught, and the part of a prompt that it can follow."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
    """The kind of cells (stones, dabs, a screen, ...) that a look is made of, by look; the others have none."""
    pixels: Mapping[str, int] = field(default_factory=dict)
    """How many rows of pixels a look is made of, by look; the others of as many as the picture has."""
    grades: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The colour grade that a tone stands for, by tone; the networks follow the words of the others."""

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
        return tuple(
            look for look, phrases in self.looks.items() if any(_find_spans(phrase, text) for phrase in phrases)
        )

    def find_tones(self, text: str) -> tuple[str, ...]:
        """Returns the tones that the text has a phrase of, each once, in the order of its words."""
        return tuple(dict.fromkeys(name for name, _ in self._find_tones(text)))

    def drop_graded_tones(self, text: str) -> str:
        """Returns the text without the phrases of tones that results are graded by."""
        for _, (start, end) in reversed([found for found in self._find_tones(text) if found[0] in self.grades]):
            text = text[:start] + text[end:]
        return re.sub(r"\s+(?=[,.;:!?])|(?<=[,;:])[\s,;:]*(?=[,;:])", "", re.sub(r"\s+", " ", text)).strip(" ,.;:")

    def _find_tones(self, text: str) -> list[tuple[str, tuple[int, int]]]:
        """Returns the tones of a text with the places of their words: longer phrases first, none inside a look's."""
        taken = [span for phrases in self.looks.values() for phrase in phrases for span in _find_spans(phrase, text)]
        found = []
        every = [(phrase, name) for name, phrases in self.tones.items() for phrase in phrases]
        for phrase, name in sorted(every, key=lambda one: -len(one[0])):
            for start, end in _find_spans(phrase, text):
                if all(end <= other[0] or start >= other[1] for other in taken):
                    taken.append((start, end))
                    found.append((name, (start, end)))
        return sorted(found, key=lambda one: one[1])

    def find_cells(self, text: str) -> str | None:
        """Returns the kind of cells that the first look of a text with cells is made of."""
        return next((self.cells[look] for look in self.find_looks(text) if look in self.cells), None)

    def find_pixels(self, text: str) -> int | None:
        """Returns how many rows of pixels the first look of a text with pixels is made of."""
        return next((self.pixels[look] for look in self.find_looks(text) if look in self.pixels), None)

    def describe(self) -> str:
        """Lists the looks and tones by name, in one line."""
        return f"looks: {', '.join(self.looks)}; tones: {', '.join(self.tones)}"


def _find_spans(phrase: str, text: str) -> list[tuple[int, int]]:
    """Returns where a text has the words of a phrase, in British or American spelling."""
    words = re.findall(r"[a-z0-9]+", phrase.lower().replace("colour", "color").replace("grey", "gray"))
    pattern = r"[^a-z0-9]+".join(words).replace("color", "colou?r").replace("gray", "gr[ae]y")
    return [match.span() for match in re.finditer(rf"(?<![a-z0-9]){pattern}(?![a-z0-9])", text.lower())]
