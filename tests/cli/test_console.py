"""What the command says on stderr."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from types import SimpleNamespace

import pytest
import typer

from stylize.cli import console


def test_a_resumed_runs_pace_counts_only_its_own_frames(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 1.0, 20.0])
    monkeypatch.setattr(console, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    with console.progress_bar() as report:
        report(1001, 1100)
        report(1040, 1100)
    assert capsys.readouterr().err == "stylize: 1040/1100 frames, 2.00 frames/s, 30 s left\n"


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ there")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_that_a_library_swallows_is_not_lost(number: signal.Signals) -> None:
    with pytest.raises(typer.Exit) as ended, console.one_line_errors(), console.progress_bar(shown=False) as report:
        report(1, 10)
        with contextlib.suppress(KeyboardInterrupt):  # as code does that catches everything
            os.kill(os.getpid(), number)
        report(2, 10)
        pytest.fail("it went on")
    assert ended.value.exit_code == console.INTERRUPTED
    with console.progress_bar(shown=False) as report:
        report(1, 10)
