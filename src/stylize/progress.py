"""How far a run is: a bar with frames a second and time left on a terminal, now and then a plain line elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from stylize.console import say

if TYPE_CHECKING:
    from stylize.pipeline import Progress


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
    began = last = time.monotonic()

    def report(done: int, total: int | None) -> None:
        nonlocal last
        now = time.monotonic()
        if not shown or (now - last < 10 and done != total):
            return
        last, rate = now, done / max(now - began, 1e-9)
        left = f", {(total - done) / rate:.0f} s left" if total else ""
        say(f"{done}/{total or '?'} frames, {rate:.2f} frames/s{left}")

    return report


def duration(seconds: float) -> str:
    """As people say it: "40 s", "12 min", "3 h 20 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
