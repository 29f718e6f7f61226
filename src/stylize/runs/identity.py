"""TODO"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from stylize.decode.pictures import files_of
from stylize.encode.segments import Manifest
from stylize.errors import VideoError

ENDS = 1 << 20
"""Bytes at both ends of a file that tell it from another of the same length."""


def fingerprint(path: Path) -> str:
    """Of a file: its length and both ends; of other sources: the names and lengths of the pictures.

    Raises:
        VideoError: there is nothing of that name.
    """
    digest = hashlib.sha256()
    if path.is_file():
        length = path.stat().st_size
        with path.open("rb") as file:
            digest.update(file.read(ENDS))
            file.seek(max(0, length - ENDS))
            digest.update(file.read(ENDS))
        return f"{path.name} ({length} bytes, {digest.hexdigest()[:12]})"
    if not (files := files_of(path)):
        raise VideoError(f"{path}: there is nothing of that name", "check the name")
    return f"{path.name} ({_names(files)})"


def _names(files: Iterable[Path]) -> str:
    """A digest of names and lengths."""
    lines = "".join(f"{file.name} {file.stat().st_size}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()[:12]


def check_fits(manifest: Manifest, identity: Mapping[str, Any], output: Path) -> None:
    """Raises VideoError where an unfinished run is not this one, and says in what they differ."""
    for name, value in identity.items():
        if (before := manifest.identity.get(name)) != value:
            raise VideoError(
                f"{output}: the unfinished run has another {name} ({before}, now {value})",
                "give what it was begun with, or pass --force to begin again",
            )
