"""Depth that is given with a source, such as a renderer's, in place of a network's estimate."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from stylize.errors import StyleError, VideoError
from stylize.frames import Clip
from stylize.pictures import natural
from stylize.style import Large
from stylize.video import VideoReader

Map: TypeAlias = npt.NDArray[np.float32]

PICTURES = (".png", ".tif", ".tiff")
EXR = ".exr"
DEPTH_CHANNELS = ("Z", "Depth", "depth", "V", "Y", "R")
"""What renderers call it, the likeliest first; a layer's name may stand before it (`ViewLayer.Depth.Z`)."""
NOTHING = 1e6
"""Distance from which on there is nothing: renderers write 1e10 or infinity where no object is."""


class GivenDepth:
    """Depth by the number of the frame in the source.

    Args:
        path: a folder or a pattern of EXR, PNG or TIFF pictures, or a video, one picture a frame of the source.
        large: what large numbers mean. By default EXR has distances, so that large is far, and all else has bright
            for near, as ControlNet's maps do.

    Raises:
        StyleError: there are none.
    """

    def __init__(self, path: str | os.PathLike[str], large: Large | None = None) -> None:
        self._path, self._large = Path(path), large
        self._files = _files(path)
        self._film = None if self._files else _Film(self._path)

    def at(self, index: int, size: tuple[int, int]) -> Map:
        """Inverse depth of a frame, near is large, `[H, W]` at `size` (width, height).

        Raises:
            VideoError: there is none for this frame, or it cannot be read.
        """
        if self._film is not None:
            raw, large = self._film.at(index), self._large or "near"
        else:
            if index >= len(self._files):
                what = f"{self._path}: has {len(self._files)} depth maps, the video has more frames"
                raise VideoError(what, "give one for each frame of the source")
            file = self._files[index]
            raw = _read(file)
            large = self._large or ("far" if file.suffix.lower() == EXR else "near")
        nearness = _nearness(raw) if large == "far" else np.nan_to_num(raw, nan=0, posinf=0, neginf=0)
        return np.asarray(cv2.resize(nearness, size, interpolation=cv2.INTER_AREA), np.float32)

    def files(self) -> tuple[Path, ...]:
        """Those that it is read from."""
        return self._files or (self._path,)


class _Film:
    """A video whose brightness is depth."""

    def __init__(self, path: Path) -> None:
        self._path, self._reader = path, VideoReader(path)
        self._clips: Iterator[Clip] = iter(())
        self._next = -1

    def at(self, index: int) -> Map:
        if index < self._next or self._next < 0:
            self._clips, self._next = self._reader.clips(1, skip=index), index
        for clip in self._clips:
            self._next += 1
            if self._next > index:
                return np.asarray(cv2.cvtColor(clip.frames[0], cv2.COLOR_RGB2GRAY), np.float32)
        what = f"{self._path}: has {max(self._next, 0)} depth maps, the video has more frames"
        raise VideoError(what, "give one for each frame of the source")


def _files(path: str | os.PathLike[str]) -> tuple[Path, ...]:
    """In natural order; empty for a video."""
    place, suffixes = Path(path), (*PICTURES, EXR)
    if place.is_dir():
        found = [p for p in place.iterdir() if not p.name.startswith(".")]
    elif place.is_file() and place.suffix.lower() not in suffixes:
        return ()
    else:
        found = [Path(name) for name in glob.glob(os.fspath(path))]
    files = tuple(sorted((p for p in found if p.suffix.lower() in suffixes), key=natural))
    if not files:
        raise StyleError(
            f"{path}: no depth maps there", f"name a folder or pattern of {', '.join(suffixes)}, or a video"
        )
    return files


def _read(file: Path) -> Map:
    """The numbers that it holds, float32 `[H, W]`."""
    if file.suffix.lower() == EXR:
        return _read_exr(file)
    found = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    if found is None:
        raise VideoError(f"{file}: cannot be read as a depth map", "try to open it, or render it again")
    return np.asarray(found if found.ndim == 2 else found[..., :3].max(-1), np.float32)


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
    by_end: Callable[[str], str] = lambda name: name.rsplit(".", 1)[-1]  # noqa: E731
    for wanted in DEPTH_CHANNELS:
        for name, channel in channels.items():
            if by_end(name) == wanted:
                return np.asarray(channel.pixels, np.float32)
    raise VideoError(f"{file}: has no channel of depth", f"write one of {', '.join(DEPTH_CHANNELS)}")


def _nearness(distance: Map) -> Map:
    """One by the distance; nothing there is as far as can be."""
    there = np.isfinite(distance) & (distance > 0) & (distance < NOTHING)
    return np.where(there, 1 / np.where(there, distance, 1), 0).astype(np.float32)
