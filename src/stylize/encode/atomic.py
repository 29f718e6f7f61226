"""TODO"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def atomically(path: Path, content: bytes) -> None:
    """Writes a file under its name only when it is whole and on the disk."""
    partial = path.with_name(f"{path.name}.part")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
    _sync_folder(path.parent)


def to_disk(path: Path) -> None:
    """What was written to the file survives a power cut."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # not every system lets folders be opened
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
