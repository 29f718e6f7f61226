"""Identity of a run: everything that its frames depend on. An unfinished run resumes only if none of it has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from stylize import __version__
from stylize.decode.pictures import files_of
from stylize.decode.source import Source
from stylize.encode import Target, WorkFolder
from stylize.encode.segments import Manifest
from stylize.errors import UnfinishedRun, VideoError
from stylize.networks import Networks, VideoNetworks
from stylize.structure import GivenDepth
from stylize.style import Style

ENDS = 1 << 20
"""Bytes read at each end of a file, to tell it from another file of the same length."""


def identity_of(
    networks: Networks | VideoNetworks,
    style: Style,
    reader: Source,
    target: Target,
    part: tuple[float | None, float | None],
) -> dict[str, Any]:
    """Returns everything that the frames of a run depend on, as JSON values.

    The caller adds what is chosen to fit the machine: layout and batch.

    Args:
        part: start and end, in seconds.
    """
    given = {f.name.replace("_", " "): getattr(style, f.name) for f in fields(style)}
    given["temporal"] = asdict(style.temporal_weights)
    given["controls"] = None if style.controls is None else {n: asdict(c) for n, c in style.asked_controls.items()}
    given["reference"] = None if style.reference is None else fingerprint(Path(style.reference))
    given["mask"] = None if style.mask is None else fingerprint(Path(style.mask))
    given["depth from"] = None if style.depth_from is None else _hash_files(GivenDepth(style.depth_from).files())
    painted = {str(second): fingerprint(Path(path)) for second, path in (style.keyframes or {}).items()}
    given["keyframes"] = painted
    given["control from"] = {name: fingerprint(Path(path)) for name, path in (style.control_from or {}).items()}
    given["size"], given["fit"] = list(target.size), list(reader.size)
    return given | {
        "version": __version__,
        "input": fingerprint(reader.info.path) if reader.info.path.name else "words",
        "model": f"{networks.name} {networks.fingerprint()}",
        "device": f"{networks.device.type} {networks.dtype}",
        "encoding": asdict(target.encoding),
        "start and end": list(part),
        **reader.facts,
    }


def fingerprint(path: Path) -> str:
    """Identifies a file by its length and both ends, and other sources by the names and lengths of their pictures.

    Raises:
        VideoError: there is no file of that name.
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
    return f"{path.name} ({_hash_files(files)})"


def _hash_files(files: Iterable[Path]) -> str:
    """Hashes the names and lengths of the files."""
    lines = "".join(f"{file.name} {file.stat().st_size}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()[:12]


def unfinished_identity(output: Path) -> Mapping[str, Any]:
    """Returns the identity of the unfinished run of an output; empty if there is no such run."""
    manifest = WorkFolder(output).manifest()
    return {} if manifest is None else manifest.identity


def check_fits(manifest: Manifest, identity: Mapping[str, Any], output: Path) -> None:
    """Raises UnfinishedRun if the unfinished run was begun with anything else; the message names the difference."""
    for name, value in identity.items():
        if (before := manifest.identity.get(name)) != value:
            raise UnfinishedRun(
                f"{output}: the unfinished run has another {name} ({before}, now {value})",
                "give what it was begun with, or pass --force to begin again",
            )
