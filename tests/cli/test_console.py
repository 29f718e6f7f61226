"""What the command says on stderr."""

from __future__ import annotations

import pytest

from stylize.cli import console


def test_a_resumed_runs_pace_counts_only_its_own_frames(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 1.0, 20.0])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock))
    with console.progress_bar() as report:
        report(1001, 1100)
        report(1040, 1100)
    assert capsys.readouterr().err == "stylize: 1040/1100 frames, 2.00 frames/s, 30 s left\n"
