"""What tells one run from another."""

from __future__ import annotations

from pathlib import Path

from stylize.runs.identity import fingerprint


def test_a_fingerprint_tells_files_apart(tmp_path: Path) -> None:
    one, other = tmp_path / "a", tmp_path / "b"
    one.write_bytes(b"x" * 5000)
    other.write_bytes(b"x" * 4999 + b"y")
    assert fingerprint(one).split(" ", 1)[1] != fingerprint(other).split(" ", 1)[1]
