"""What the command says on stderr: notes, warnings and expected errors, each in one line."""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import typer

from stylize.errors import PromptWarning, StylizeError, VideoWarning

FAILED, INTERRUPTED = 1, 130


def say(*lines: str) -> None:
    for line in lines:
        typer.echo(f"stylize: {line}", err=True)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Expected failures become one line and exit code 1; Ctrl-C and a polite kill become 130."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        logging.getLogger("libav").setLevel(logging.CRITICAL)  # its findings come as our own errors
        yield
    except StylizeError as error:
        say(str(error))
        raise typer.Exit(FAILED) from error
    except KeyboardInterrupt as error:
        say(str(error) or "interrupted: nothing was written")
        raise typer.Exit(INTERRUPTED) from error
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def warnings_as_lines(*, shown: bool) -> Iterator[None]:
    """Words that the model does not know, and damage of sources, become lines on stderr."""

    others = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *where: Any) -> None:
        if not issubclass(category, PromptWarning | VideoWarning):
            others(message, category, *where)
        elif shown:
            say(f"{'note' if issubclass(category, VideoWarning) else 'warning'}: {message}")

    with warnings.catch_warnings():
        for category in (PromptWarning, VideoWarning):
            warnings.simplefilter("always", category)
        warnings.showwarning = show  # type: ignore[assignment]
        yield
