"""Everything that can go wrong and that a caller may want to catch.

StylizeError            one line: what is wrong, then what to do
+-- VideoError          the input cannot be read, or the output cannot be written
|   +-- DamagedVideo    the input opens, but ends early or cannot be decoded to its end
+-- ModelError          the model is unknown, incomplete, or not on disk
+-- StyleError          a setting has no meaning (also a ValueError)

PromptWarning           the model does not know some words of the prompt
VideoWarning            what a person should know of a source or an output: damage, conversions, what is left out
"""

from __future__ import annotations

from collections.abc import Callable

Say = Callable[[str], None]


class StylizeError(Exception):
    """Base of all expected failures; `str(error)` is one line for a person."""

    def __init__(self, what: str, what_to_do: str = "") -> None:
        text = " ".join(f"{what}: {what_to_do}".split() if what_to_do else what.split())
        super().__init__(text)


class VideoError(StylizeError):
    """A video cannot be read or written."""


class DamagedVideo(VideoError):
    """A video is truncated or cannot be decoded to its end."""


class ModelError(StylizeError):
    """A model cannot be found or loaded."""


class StyleError(StylizeError, ValueError):
    """A setting is out of its range."""


class PromptWarning(UserWarning):
    """Words of the prompt that the model does not know."""


class VideoWarning(UserWarning):
    """Something of a source or an output that is not as one may expect: damage, conversions, what is left out."""
