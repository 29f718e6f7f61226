"""Exceptions and warnings that a caller may want to catch.

StylizeError            one line: what is wrong, then what to do
+-- VideoError          the input cannot be read, or the output cannot be written
|   +-- DamagedVideo    the input opens, but ends early or cannot be decoded to its end
|   +-- UnfinishedRun   an earlier run of the same output is unfinished or still running
+-- ModelError          the model is unknown, incomplete, or not on disk
+-- StyleError          a setting has an invalid value (also a ValueError)

PromptWarning           the model does not know some words of the prompt
VideoWarning            the user should know about damage, conversions, or parts that are left out
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

Say: TypeAlias = Callable[[str], None]
"""Receives one line of text for the user."""


class StylizeError(Exception):
    """Base class of all expected errors; `str(error)` is one line for the user: what is wrong, then what to do."""

    def __init__(self, what: str, advice: str = "") -> None:
        self.what, self.advice = (" ".join(text.split()) for text in (what, advice))
        super().__init__(f"{self.what}: {self.advice}" if advice else self.what)


class VideoError(StylizeError):
    """A video cannot be read or written."""


class DamagedVideo(VideoError):
    """A video is truncated or cannot be decoded to its end."""


class UnfinishedRun(VideoError):
    """An earlier run of the same output is unfinished or still running, or its saved state cannot be used."""


class ModelError(StylizeError):
    """A model cannot be found or loaded."""


class StyleError(StylizeError, ValueError):
    """A setting has an invalid value."""


class PromptWarning(UserWarning):
    """The model does not know some words of the prompt."""


class VideoWarning(UserWarning):
    """A source or an output is not as expected: it is damaged, is converted, or lacks parts that are left out."""


LOADING: tuple[type[Exception], ...] = (
    OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RuntimeError, AssertionError,
)  # fmt: skip
"""Exceptions that libraries raise on files that are damaged, incomplete, or of the wrong type."""


@contextmanager
def explained(
    error: type[StylizeError], what: str, advice: str, foreign: tuple[type[Exception], ...] = LOADING
) -> Iterator[None]:
    """Turns exceptions that a library raises within the block into one of our errors.

    Args:
        error: class of the error to raise.
        what: says what is wrong.
        advice: says what the user can do.
        foreign: exceptions to convert; our own errors pass unchanged.
    """
    try:
        yield
    except StylizeError:
        raise
    except foreign as problem:
        raise error(what, advice) from problem
