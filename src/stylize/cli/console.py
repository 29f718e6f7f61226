"""How far a run is: a bar with frames a second and time left on a terminal, now and then a plain line elsewhere."""

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
    """A bar with frames a second and time left on a terminal; now and then a plain line elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Task as RichTask

    class Rate(ProgressColumn):
        def render(self, task: RichTask) -> str:
            return f"{task.speed:.2f} frames/s" if task.speed else "- frames/s"

    console = Console(stderr=True)
    if not shown or not console.is_terminal:
        yield _plain_progress(shown=shown)
        return
    columns = (TextColumn("restyling"), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    with Progress(*columns, console=console, speed_estimate_period=60) as bar:
        task = bar.add_task("restyling", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _plain_progress(*, shown: bool) -> Progress:
    """One line every ten seconds or so, for logs."""
    from stylize.runs.progress import Pace

    began = last = time.monotonic()

    def report(done: int, total: int | None) -> None:
        nonlocal last
        now = time.monotonic()
        if not shown or (now - last < 10 and done != total):
            return
        last, pace = now, Pace(done, now - began, total - done if total else None)
        say(f"{done}/{total or '?'} frames, {pace}")

    return report


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
