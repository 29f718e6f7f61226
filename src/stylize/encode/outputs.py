"""Checks the names of output files before any work is done, and lists numbered pictures."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from stylize.decode.pictures import files_of, is_pictures
from stylize.encode.codecs import CONTAINERS, NUMBERED
from stylize.encode.segments import WorkFolder
from stylize.errors import VideoError


def check_output(
    path: str | os.PathLike[str],
    *,
    source: str | os.PathLike[str],
    force: bool,
    resume: bool = False,
    also: Iterable[str | os.PathLike[str] | None] = (),
) -> Path:
    """Checks, before any work is done, that a video can be written at `path`; returns it as a `Path`.

    Args:
        source, also: inputs, which must never be overwritten, even with `force`; empty ones do not count.
        force: the file may exist.
        resume: the file may exist if an unfinished run is there that will replace it.

    Raises:
        VideoError: unknown extension, no such folder, folder not writable, file exists, or it is an input itself.
    """
    path = Path(path)
    if path.suffix.lower() not in CONTAINERS:
        raise VideoError(f"{path}: cannot write this kind of file", f"end the name in {', '.join(CONTAINERS)}")
    if os.path.islink(path):  # what it points to is replaced, and the link stays
        path = path.resolve()
    try:
        _check_folder(path)
        existing = numbered_files(path) if is_numbered(path) else [path] if path.exists() else []
        check_no_input(path, *(one for one in (source, *also) if one))
        unfinished = WorkFolder(path).path.exists()
        if existing and not force and not (resume and unfinished):
            raise VideoError(f"{existing[0]}: exists already", "name another file, or pass --force to replace it")
    except OSError as error:
        raise VideoError(f"{path}: cannot be written ({error.strerror})", "choose another name") from error
    return path


def check_place(path: str | os.PathLike[str], suffixes: Iterable[str], *, force: bool) -> Path:
    """Checks, before any work is done, that a picture or page can be written at `path`; returns it as a `Path`.

    Args:
        suffixes: endings that the name may have.
        force: the file may exist.

    Raises:
        VideoError: another suffix, no such folder, folder not writable, or the file exists.
    """
    path, suffixes = Path(path), tuple(suffixes)
    if path.suffix.lower() not in suffixes:
        raise VideoError(f"{path}: cannot write this kind of file", f"end the name in {', '.join(suffixes)}")
    try:
        _check_folder(path)
        if path.exists() and not force:
            raise VideoError(f"{path}: exists already", "name another file, or pass --force to replace it")
    except OSError as error:
        raise VideoError(f"{path}: cannot be written ({error.strerror})", "choose another name") from error
    return path


def _check_folder(path: Path) -> None:
    if path.is_dir():
        raise VideoError(f"{path}: is a folder", "name a file in it")
    if not path.parent.is_dir():
        raise VideoError(f"{path}: the folder {path.parent} does not exist", "make it, or name another")
    if not os.access(path.parent, os.W_OK):
        raise VideoError(f"{path}: the folder {path.parent} is not writable", "name another")


def check_no_input(path: Path, *sources: str | os.PathLike[str] | None) -> None:
    """Raises VideoError if writing to `path` would overwrite one of the sources."""
    if any(source is not None and is_input(path, source) for source in sources):
        raise VideoError(f"{path}: is the input itself", "give the output another name")


def is_input(path: Path, source: str | os.PathLike[str]) -> bool:
    """True if `path`, or a picture of the sequence that it names, is the source or one of its pictures."""
    inputs = files_of(source) if is_pictures(source) else [Path(source)]
    files = (numbered_files(path) if is_numbered(path) else []) or [path]
    return not _collect_identities(files).isdisjoint(_collect_identities(inputs))


def _collect_identities(files: Iterable[Path]) -> set[object]:
    """Returns real paths and inodes: a file may have several names, and some systems do not distinguish a from A."""
    names: set[object] = set()
    for file in files:
        names.add(os.path.realpath(file))
        if file.exists():
            status = file.stat()
            names.add((status.st_dev, status.st_ino))
    return names


def is_numbered(path: Path) -> bool:
    """True if the name is that of a sequence of numbered pictures, such as `frame-%05d.png`."""
    return path.suffix.lower() == ".png" and NUMBERED.fullmatch(path.name) is not None


def number_path(path: Path, number: int) -> Path:
    """Returns the path of one numbered picture; a `%` in the folder's name is left unchanged."""
    return path.with_name(path.name % number)


def numbered_files(path: Path) -> list[Path]:
    """Returns the files of the sequence that exist, sorted by name."""
    match = NUMBERED.fullmatch(path.name)
    assert match is not None
    before, after = match.groups()
    name = re.compile(rf"{re.escape(before)} *(\d+){re.escape(after)}")
    return sorted(
        file for file in path.parent.iterdir()
        if (number := name.fullmatch(file.name)) and path.name % int(number[1]) == file.name
    )  # fmt: skip


@contextlib.contextmanager
def explain_writing(path: Path) -> Iterator[None]:
    """Turns an OSError (disk full, folder gone, rights lost) into a VideoError: one line, in the system's own words."""
    try:
        yield
    except OSError as error:
        what = f"{path}: cannot be written ({error.strerror})"
        raise VideoError(what, "free space or name another folder") from error
