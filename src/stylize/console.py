"""What the command says on stderr: notes, warnings and expected errors, each in one line."""

from __future__ import annotations

import _thread
import logging
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import typer

from stylize.errors import PromptWarning, StylizeError, VideoWarning

FAILED, INTERRUPTED = 1, 130


def say(*lines: str) -> None:
    """Nobody may be listening any more (`2>&1 | head`): no reason to end a night's work."""
    for line in lines:
        with suppress(OSError):
            typer.echo(f"stylize: {line}", err=True)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Expected failures become one line and exit code 1; Ctrl-C and a polite kill become 130."""
    try:
        logging.getLogger("libav").setLevel(logging.CRITICAL)  # its findings come as our own errors
        with _interrupts():
            yield
    except StylizeError as error:
        say(str(error))
        raise typer.Exit(FAILED) from error
    except KeyboardInterrupt as error:
        say(str(error) or "interrupted: nothing was written")
        raise typer.Exit(INTERRUPTED) from error


@contextmanager
def _interrupts() -> Iterator[None]:
    """Both signals raise KeyboardInterrupt, and none of them is lost.

    Python drops what is raised in a finalizer (the `regex` package has thousands that run in one collection of cycles),
    a Ctrl-C too: such a one comes again a moment later, when the finalizers are through.
    """

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    def dropped(what: Any) -> None:
        if issubclass(what.exc_type, KeyboardInterrupt):
            threading.Timer(0.05, _thread.interrupt_main, [signal.SIGTERM]).start()
        else:
            hook(what)

    before, hook = signal.signal(signal.SIGTERM, interrupt), sys.unraisablehook
    sys.unraisablehook = dropped
    try:
        yield
    finally:
        sys.unraisablehook = hook
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
