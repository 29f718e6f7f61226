"""Names of results: what may be written there, found out before any work is done."""

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
    """That `path` can become a video, found out before any work is done.

    Args:
        source, also: must not be overwritten, whatever is said.
        force: it may exist.
        resume: it may exist where there is an unfinished run to replace it.

    Raises:
        VideoError: unknown extension, no such folder, folder not writable, file exists, or it is the source itself.
    """
    path = Path(path)
    if path.suffix.lower() not in CONTAINERS:
        raise VideoError(f"{path}: cannot write this kind of file", f"end the name in {', '.join(CONTAINERS)}")
    try:
        _check_folder(path)
        there = numbered_files(path) if is_numbered(path) else [path] if path.exists() else []
        check_no_input(path, source, *also)
        unfinished = WorkFolder(path).path.exists()
        if there and not force and not (resume and unfinished):
            raise VideoError(f"{there[0]}: exists already", "name another file, or pass --force to replace it")
    except OSError as error:
        raise VideoError(f"{path}: cannot be written ({error.strerror})", "choose another name") from error
    return path


def check_place(path: str | os.PathLike[str], suffixes: Iterable[str], *, force: bool) -> Path:
    """That a picture or page can be written at `path`, found out before any work is done.

    Args:
        suffixes: what its name may end in.
        force: it may exist.

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
    """Raises VideoError where a file that would be written is one that is read."""
    if any(source is not None and is_input(path, source) for source in sources):
        raise VideoError(f"{path}: is the input itself", "give the output another name")


def is_input(path: Path, source: str | os.PathLike[str]) -> bool:
    """Whether `path`, or a picture of the sequence that it names, is the source or one of its pictures."""
    inputs = files_of(source) if is_pictures(source) else [Path(source)]
    files = (numbered_files(path) if is_numbered(path) else []) or [path]
    return not _names_of(files).isdisjoint(_names_of(inputs))


def _names_of(files: Iterable[Path]) -> set[object]:
    """By which files are known; one may have many, and some systems do not tell a from A."""
    names: set[object] = set()
    for file in files:
        names.add(os.path.realpath(file))
        if file.exists():
            found = file.stat()
            names.add((found.st_dev, found.st_ino))
    return names


def is_numbered(path: Path) -> bool:
    """Whether the name is that of a sequence of pictures."""
    return path.suffix.lower() == ".png" and NUMBERED.fullmatch(path.name) is not None


def number_path(path: Path, number: int) -> Path:
    """One picture's file; a `%` in the folder's name is none of ours."""
    return path.with_name(path.name % number)


def numbered_files(path: Path) -> list[Path]:
    """The files of the sequence that are there."""
    found = NUMBERED.fullmatch(path.name)
    assert found is not None
    before, after = found.groups()
    name = re.compile(rf"{re.escape(before)} *(\d+){re.escape(after)}")
    return sorted(
        file for file in path.parent.iterdir()
        if (number := name.fullmatch(file.name)) and path.name % int(number[1]) == file.name
    )  # fmt: skip


@contextlib.contextmanager
def explain_writing(path: Path) -> Iterator[None]:
    """Disk full, folder gone, rights lost: the system's own words in one line."""
    try:
        yield
    except OSError as error:
        what = f"{path}: cannot be written ({error.strerror})"
        raise VideoError(what, "free space or name another folder") from error
