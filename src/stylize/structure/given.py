"""Depth that is given with a source, such as a renderer's, in place of a network's estimate."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from stylize.decode import PerFrame
from stylize.decode.per_frame import too_few
from stylize.decode.pictures import files_of
from stylize.errors import StyleError, VideoError
from stylize.frames import Map
from stylize.style.values import Large

PICTURES = (".png", ".tif", ".tiff")
EXR = ".exr"
NOTHING = 1e6
"""Distance from which on there is nothing: renderers write 1e10 or infinity where no object is."""


class GivenDepth:
    """Depth by the number of the frame in the source.

    Args:
        path: a folder or a pattern of EXR, PNG or TIFF pictures, or a video, one picture a frame of the source.
        large: what large numbers mean. By default EXR (and TIFF of floats) has distances, so that large is far, and
            all else has bright for near, as ControlNet's maps do; told "far", such a picture is turned around.

    Raises:
        StyleError: there are none.
    """

    def __init__(self, path: str | os.PathLike[str], large: Large | None = None) -> None:
        self._path, self._large = Path(path), large
        self._files = _files(path)
        self._film = None if self._files else PerFrame(self._path, "depth maps")

    def at(self, index: int, size: tuple[int, int]) -> Map:
        """Inverse depth of a frame, near is large, `[H, W]` at `size` (width, height).

        Raises:
            VideoError: there is none for this frame, or it cannot be read.
        """
        most: float | None = 255.0
        if self._film is not None:
            raw = np.asarray(cv2.cvtColor(self._film.at(index).frames[0], cv2.COLOR_RGB2GRAY), np.float32)
        elif index < len(self._files):
            raw, most = _read(self._files[index])
        else:
            raise too_few(self._path, len(self._files), "depth maps")
        if most is None:
            nearness = raw if self._large == "near" else _nearness(raw)
        else:
            nearness = most - raw if self._large == "far" else raw
        nearness = np.nan_to_num(nearness, nan=0, posinf=0, neginf=0)
        return np.asarray(cv2.resize(nearness, size, interpolation=cv2.INTER_AREA), np.float32)

    def check_enough(self, frames: int) -> None:
        """Raises VideoError where there are fewer maps than frames; of a video that shows as it is read."""
        if self._film is None and len(self._files) < frames:
            raise too_few(self._path, len(self._files), "depth maps")

    def files(self) -> tuple[Path, ...]:
        """Those that it is read from."""
        return self._files or (self._path,)


def _files(path: str | os.PathLike[str]) -> tuple[Path, ...]:
    """In natural order; empty for a video."""
    suffixes = (*PICTURES, EXR)
    if Path(path).is_file() and Path(path).suffix.lower() not in suffixes:
        return ()
    files = files_of(path, suffixes)
    kinds = {p.suffix.lower() for p in files}
    if len(kinds) > 1:
        raise StyleError(f"{path}: holds {' and '.join(sorted(kinds))}", "name one kind, as in 'depth/*.exr'")
    if not files:
        raise StyleError(
            f"{path}: no depth maps there", f"name a folder or pattern of {', '.join(suffixes)}, or a video"
        )
    return files


def _read(file: Path) -> tuple[Map, float | None]:
    """The numbers that it holds, float32 `[H, W]`, and the largest that it can; `None` where that is open."""
    if file.suffix.lower() == EXR:
        return _read_exr(file), None
    found = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    if found is None:
        raise VideoError(f"{file}: cannot be read as a depth map", "try to open it, or render it again")
    grey = np.asarray(found if found.ndim == 2 else found[..., :3].max(-1), np.float32)
    return grey, float(np.iinfo(found.dtype).max) if found.dtype.kind == "u" else None


def _read_exr(file: Path) -> Map:
    try:
        import OpenEXR
    except ImportError as error:
        raise VideoError(f"{file}: OpenEXR is not installed", "pip install 'stylize[exr]'") from error
    try:
        with OpenEXR.File(str(file), separate_channels=True) as opened:
            return _depth_channel(opened.channels(), file)
    except RuntimeError as error:
        raise VideoError(f"{file}: cannot be read as EXR", "try to open it, or render it again") from error


def _depth_channel(channels: dict[str, Any], file: Path) -> Map:
    """By its name: with "depth" in it, or Z where no X is beside it (as a normal has), or the only one there is."""
    named = [name for name in channels if "depth" in name.lower()]
    lone = [n for n in channels if n.rsplit(".", 1)[-1] == "Z" and f"{n[:-1]}X" not in channels]
    only = list(channels) if len(channels) == 1 else []
    for name in (*named, *lone, *only):
        return np.asarray(channels[name].pixels, np.float32)
    raise VideoError(f"{file}: has no channel of depth", "write one whose name has Z or Depth in it")


def _nearness(distance: Map) -> Map:
    """One by the distance; nothing there is as far as can be."""
    there = np.isfinite(distance) & (distance > 0) & (distance < NOTHING)
    return np.where(there, 1 / np.where(there, distance, 1), 0).astype(np.float32)
