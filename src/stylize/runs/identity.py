"""Everything that the frames of a run depend on: an unfinished one goes on only if nothing of it has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from stylize import __version__
from stylize.decode import VideoReader
from stylize.decode.pictures import files_of
from stylize.encode import Target, WorkFolder
from stylize.encode.segments import Manifest
from stylize.errors import UnfinishedRun, VideoError
from stylize.networks import Networks
from stylize.structure import GivenDepth
from stylize.style import Style

ENDS = 1 << 20
"""Bytes at both ends of a file that tell it from another of the same length."""


def identity_of(
    networks: Networks, style: Style, reader: VideoReader, target: Target, part: tuple[float | None, float | None]
) -> dict[str, Any]:
    """Of a run, as JSON has it; what is chosen to fit the machine (layout, batch) is for the caller to add.

    Args:
        part: start and end, in seconds.
    """
    given = {f.name.replace("_", " "): getattr(style, f.name) for f in fields(style)}
    given["temporal"] = asdict(style.temporal_weights)
    given["controls"] = None if style.controls is None else {n: asdict(c) for n, c in style.asked_controls.items()}
    given["reference"] = None if style.reference is None else fingerprint(Path(style.reference))
    given["mask"] = None if style.mask is None else fingerprint(Path(style.mask))
    given["depth from"] = None if style.depth_from is None else _digest(GivenDepth(style.depth_from).files())
    given["size"], given["fit"] = list(target.size), list(reader.size)
    return given | {
        "version": __version__,
        "input": fingerprint(reader.info.path),
        "model": f"{networks.name} {networks.fingerprint()}",
        "device": f"{networks.device.type} {networks.dtype}",
        "encoding": asdict(target.encoding),
        "start and end": list(part),
        "backend": reader.backend,
    }


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
    return f"{path.name} ({_digest(files)})"


def _digest(files: Iterable[Path]) -> str:
    """Of names and lengths."""
    lines = "".join(f"{file.name} {file.stat().st_size}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()[:12]


def unfinished_identity(output: Path) -> Mapping[str, Any]:
    """All that the frames of an unfinished run depend on; nothing if there is none."""
    manifest = WorkFolder(output).manifest()
    return {} if manifest is None else manifest.identity


def check_fits(manifest: Manifest, identity: Mapping[str, Any], output: Path) -> None:
    """Raises UnfinishedRun where an unfinished run is not this one, and says in what they differ."""
    for name, value in identity.items():
        if (before := manifest.identity.get(name)) != value:
            raise UnfinishedRun(
                f"{output}: the unfinished run has another {name} ({before}, now {value})",
                "give what it was begun with, or pass --force to begin again",
            )
