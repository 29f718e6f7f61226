"""Everything that can go wrong and that a caller may want to catch.

StylizeError            one line: what is wrong, then what to do
+-- VideoError          the input cannot be read, or the output cannot be written
|   +-- DamagedVideo    the input opens, but ends early or cannot be decoded to its end
|   +-- UnfinishedRun   an earlier run of the output is there, or under way
+-- ModelError          the model is unknown, incomplete, or not on disk
+-- StyleError          a setting has no meaning (also a ValueError)

PromptWarning           the model does not know some words of the prompt
VideoWarning            what a person should know of a source or an output: damage, conversions, what is left out
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

Say: TypeAlias = Callable[[str], None]
"""Gets one line for a person."""


class StylizeError(Exception):
    """Base of all expected failures; `str(error)` is one line for a person: what is wrong, then the advice."""

    def __init__(self, what: str, advice: str = "") -> None:
        self.what, self.advice = (" ".join(text.split()) for text in (what, advice))
        super().__init__(f"{self.what}: {self.advice}" if advice else self.what)


class VideoError(StylizeError):
    """A video cannot be read or written."""


class DamagedVideo(VideoError):
    """A video is truncated or cannot be decoded to its end."""


class UnfinishedRun(VideoError):
    """An earlier run of the output is there or under way, and nobody said what to do with it."""


class ModelError(StylizeError):
    """A model cannot be found or loaded."""


class StyleError(StylizeError, ValueError):
    """A setting is out of its range."""


class PromptWarning(UserWarning):
    """Words of the prompt that the model does not know."""


class VideoWarning(UserWarning):
    """Something of a source or an output that is not as one may expect: damage, conversions, what is left out."""


LOADING: tuple[type[Exception], ...] = (
    OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RuntimeError, AssertionError,
)  # fmt: skip
"""What libraries raise on files that are damaged, incomplete, or of another kind."""


@contextmanager
def explained(
    error: type[StylizeError], what: str, advice: str, foreign: tuple[type[Exception], ...] = LOADING
) -> Iterator[None]:
    """What a library raises within the block becomes one of our errors.

    Args:
        error: its class.
        what: what is wrong.
        advice: what to do.
        foreign: what becomes one; our own errors stay as they are.
    """
    try:
        yield
    except StylizeError:
        raise
    except foreign as problem:
        raise error(what, advice) from problem
