"""Reads depth and other control pictures that come with a source, and replace estimates and detectors."""

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
from stylize.frames import Image, Map, resize, to_floats
from stylize.style.values import Large

PICTURES = (".png", ".tif", ".tiff")
EXR = ".exr"
SAME_SHAPE = 0.03
"""Most by which width to height may differ from the video's."""
MAX_DISTANCE = 1e6
"""Distance from which a pixel counts as empty: renderers write 1e10 or infinity where they see no object."""


class GivenDepth:
    """Depth maps by the frame's number in the source.

    Args:
        path: a folder or a pattern of EXR, PNG or TIFF pictures, or a video; one picture per frame of the source.
        large: whether large numbers mean "near" or "far". By default, they mean far in EXR (and TIFF of floats), which
            hold distances, and near in all other formats, as in ControlNet's maps; with "far", the latter are inverted.

    Raises:
        StyleError: there are no depth maps, or maps of several formats.
    """

    def __init__(self, path: str | os.PathLike[str], large: Large | None = None) -> None:
        self._path, self._large = Path(path), large
        self._files = _list_files(path)
        self._film = None if self._files else PerFrame(self._path, "depth maps")

    def at(self, index: int, size: tuple[int, int]) -> Map:
        """Returns the inverse depth of a frame, near is large, `[H, W]` at `size` (width, height).

        Raises:
            VideoError: the frame has no depth map, or it cannot be read.
        """
        maximum: float | None = 255.0
        if self._film is not None:
            raw = np.asarray(cv2.cvtColor(self._film.at(index).frames[0], cv2.COLOR_RGB2GRAY), np.float32)
        elif index < len(self._files):
            raw, maximum = _read(self._files[index])
        else:
            raise too_few(self._path, len(self._files), "depth maps")
        if maximum is None:
            nearness = raw if self._large == "near" else _invert_distance(raw)
        else:
            nearness = maximum - raw if self._large == "far" else raw
        nearness = np.nan_to_num(nearness, nan=0, posinf=0, neginf=0)
        return np.asarray(cv2.resize(nearness, size, interpolation=cv2.INTER_AREA), np.float32)

    def check_enough(self, frames: int) -> None:
        """Raises VideoError if there are fewer maps than frames; maps in a video are only counted as they are read."""
        if self._film is None and len(self._files) < frames:
            raise too_few(self._path, len(self._files), "depth maps")

    def files(self) -> tuple[Path, ...]:
        """Returns the files that the depth is read from."""
        return self._files or (self._path,)


class GivenControl:
    """A control's pictures by the frame's number in the source: edges, poses, anything that its ControlNet reads.

    Args:
        path: a folder or a pattern of pictures, or a video; one picture per frame of the source.

    Raises:
        VideoError: there are no pictures.
    """

    def __init__(self, name: str, path: str | os.PathLike[str]) -> None:
        self._path, self._pictures = Path(path), PerFrame(Path(path), f"pictures for {name}")

    def at(self, index: int, size: tuple[int, int]) -> Image:
        """Returns the picture of a frame, float32 `[H, W, 3]` in [0, 1], at `size` (width, height).

        Raises:
            VideoError: the frame has none, or it cannot be read.
        """
        return to_floats(resize(self._pictures.at(index).frames[0], size, enlarge=cv2.INTER_NEAREST))

    def check(self, frames: int | None, size: tuple[int, int]) -> None:
        """Raises VideoError if the pictures do not go with a video, as far as is known before reading.

        Args:
            frames: the video's number of frames, if it is known.
            size: its width and height; pictures of the same shape are resized.
        """
        width, height = self._pictures.size
        if abs(width * size[1] / (height * size[0]) - 1) > SAME_SHAPE:
            what = f"{self._path}: is {width}x{height}, the video {size[0]}x{size[1]}"
            raise VideoError(what, "give pictures of the video's shape")
        if frames is not None:
            self._pictures.check_enough(frames)


def _list_files(path: str | os.PathLike[str]) -> tuple[Path, ...]:
    """Returns the files of depth maps in natural order; empty for a video."""
    suffixes = (*PICTURES, EXR)
    if Path(path).is_file() and Path(path).suffix.lower() not in suffixes:
        return ()
    files = files_of(path, suffixes)
    formats = {p.suffix.lower() for p in files}
    if len(formats) > 1:
        raise StyleError(f"{path}: holds {' and '.join(sorted(formats))}", "name one kind, as in 'depth/*.exr'")
    if not files:
        raise StyleError(
            f"{path}: no depth maps there", f"name a folder or pattern of {', '.join(suffixes)}, or a video"
        )
    return files


def _read(file: Path) -> tuple[Map, float | None]:
    """Returns the file's numbers, float32 `[H, W]`, and the largest number of its format; `None` for floats."""
    if file.suffix.lower() == EXR:
        return _read_exr(file), None
    picture = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise VideoError(f"{file}: cannot be read as a depth map", "try to open it, or render it again")
    grey = np.asarray(picture if picture.ndim == 2 else picture[..., :3].max(-1), np.float32)
    return grey, float(np.iinfo(picture.dtype).max) if picture.dtype.kind == "u" else None


def _read_exr(file: Path) -> Map:
    try:
        import OpenEXR
    except ImportError as error:
        raise VideoError(f"{file}: OpenEXR is not installed", "pip install OpenEXR") from error
    try:
        with OpenEXR.File(str(file), separate_channels=True) as exr:
            return _read_depth_channel(exr.channels(), file)
    except RuntimeError as error:
        raise VideoError(f"{file}: cannot be read as EXR", "try to open it, or render it again") from error


def _read_depth_channel(channels: dict[str, Any], file: Path) -> Map:
    """Reads the channel with "depth" in its name, or Z without X beside it (a normal has X, Y, Z), or the only one."""
    named = [name for name in channels if "depth" in name.lower()]
    lone = [n for n in channels if n.rsplit(".", 1)[-1] == "Z" and f"{n[:-1]}X" not in channels]
    only = list(channels) if len(channels) == 1 else []
    for name in (*named, *lone, *only):
        return np.asarray(channels[name].pixels, np.float32)
    raise VideoError(f"{file}: has no channel of depth", "write one whose name has Z or Depth in it")


def _invert_distance(distance: Map) -> Map:
    """Returns 1 / distance; 0, as far as possible, for empty pixels."""
    hit = np.isfinite(distance) & (distance > 0) & (distance < MAX_DISTANCE)
    return np.where(hit, 1 / np.where(hit, distance, 1), 0).astype(np.float32)
