"""Output of the commands on stderr: progress, warnings, and errors in one line."""

from __future__ import annotations

import _thread
import logging
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any

import typer

from stylize.errors import PromptWarning, StylizeError, VideoWarning

if TYPE_CHECKING:
    from stylize.runs import Progress


@contextmanager
def progress_bar(*, shown: bool = True) -> Iterator[Progress]:
    """Shows a bar with frames per second and time left on a terminal, elsewhere a plain line every ten seconds."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Task as RichTask

    class Rate(ProgressColumn):
        def render(self, task: RichTask) -> str:
            return f"{task.speed:.2f} frames/s" if task.speed else "- frames/s"

    console = Console(stderr=True)
    if not shown or not console.is_terminal:
        yield _raising(_make_plain_progress(shown=shown))
        return
    columns = (TextColumn("restyling"), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    with Progress(*columns, console=console, speed_estimate_period=60) as bar:
        task = bar.add_task("restyling", total=None)
        yield _raising(lambda done, total: bar.update(task, completed=done, total=total))


def _raising(report: Progress) -> Progress:
    """Returns a callback that also raises an interrupt which a library swallowed."""

    def call(done: int, total: int | None) -> None:
        if _interrupted.is_set():
            raise KeyboardInterrupt
        report(done, total)

    return call


def _make_plain_progress(*, shown: bool) -> Progress:
    """Returns a callback that prints a line every ten seconds or so, for logs."""
    from stylize.runs.progress import Pace

    began = last = time.monotonic()
    resumed_from: int | None = None
    told = -1

    def report(done: int, total: int | None) -> None:
        nonlocal last, resumed_from, told
        resumed_from = done - 1 if resumed_from is None else resumed_from
        now = time.monotonic()
        if not shown or done == told or (now - last < 10 and done != total):
            return
        told = done
        last, pace = now, Pace(done - resumed_from, now - began, total - done if total else None)
        say(f"{done}/{total or '?'} frames, {pace}")

    return report


FAILED, INTERRUPTED = 1, 130
_interrupted = threading.Event()
"""Ctrl-C or SIGTERM came."""


def say(*lines: str) -> None:
    """Writes lines to stderr; ignores a closed pipe (`2>&1 | head`), which is no reason to end a night's work."""
    for line in lines:
        with suppress(OSError):
            typer.echo(f"stylize: {line}", err=True)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turns expected failures into one line and exit code 1; Ctrl-C and SIGTERM into exit code 130."""
    try:
        logging.getLogger("libav").setLevel(logging.CRITICAL)  # our own errors report what it finds
        with _raise_on_signals():
            yield
    except StylizeError as error:
        say(str(error))
        raise typer.Exit(FAILED) from error
    except KeyboardInterrupt as error:
        say(str(error) or "interrupted: nothing was written")
        raise typer.Exit(INTERRUPTED) from error


@contextmanager
def _raise_on_signals() -> Iterator[None]:
    """Makes SIGTERM raise KeyboardInterrupt, as Ctrl-C does, and ensures that neither of them is lost.

    Libraries catch exceptions, too: what one of them swallows is raised again where progress is reported.

    Python drops any exception that is raised in a finalizer, even a Ctrl-C (the `regex` package has thousands of
    finalizers that run in one collection of cycles). A dropped interrupt is raised again when they are done.
    """

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        _interrupted.set()
        raise KeyboardInterrupt

    def raise_again(unraisable: Any) -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            threading.Timer(0.05, _thread.interrupt_main, [signal.SIGTERM]).start()
        else:
            hook(unraisable)

    _interrupted.clear()
    numbers = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) is not signal.SIG_IGN]
    before, hook = {number: signal.signal(number, interrupt) for number in numbers}, sys.unraisablehook
    sys.unraisablehook = raise_again
    try:
        yield
    finally:
        _interrupted.clear()
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def warnings_as_lines(*, shown: bool) -> Iterator[None]:
    """Prints warnings about words that the model does not know, and about damaged sources, as lines on stderr."""

    show_others = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *where: Any) -> None:
        if not issubclass(category, PromptWarning | VideoWarning):
            show_others(message, category, *where)
        elif shown:
            say(f"{'note' if issubclass(category, VideoWarning) else 'warning'}: {message}")

    with warnings.catch_warnings():
        for category in (PromptWarning, VideoWarning):
            warnings.simplefilter("always", category)
        warnings.showwarning = show  # type: ignore[assignment]
        yield
