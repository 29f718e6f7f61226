"""What tells one run from another."""

from __future__ import annotations

from pathlib import Path

from stylize.runs import convert as run_module


def test_a_fingerprint_tells_files_apart(tmp_path: Path) -> None:
    one, other = tmp_path / "a", tmp_path / "b"
    one.write_bytes(b"x" * 5000)
    other.write_bytes(b"x" * 4999 + b"y")
    assert run_module.fingerprint(one).split(" ", 1)[1] != run_module.fingerprint(other).split(" ", 1)[1]
