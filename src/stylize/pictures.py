"""Pictures as a video: a folder or a pattern of image files, or an animation that only Pillow reads."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, ImageSequence

from stylize.container import check_size
from stylize.decoding import RawFrame
from stylize.errors import VideoError
from stylize.frames import Picture

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}
RATE = Fraction(25)
PROBLEMS = (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning)
"""What Pillow raises on files that are no pictures, or too large ones."""


@dataclass(frozen=True)
class Pictures:
    """What a set of pictures is as a video; the parts of `VideoInfo` that `pictures.probe` cannot look up."""

    path: Path
    files: tuple[Path, ...]
    """In natural order; one file is an animation."""
    width: int
    height: int
    has_alpha: bool
    times: tuple[Fraction, ...]
    """When each picture is shown, and at the end when the last one ends."""

    @property
    def rate(self) -> Fraction:
        return (len(self.times) - 1) / (self.times[-1] - self.times[0])


def is_pictures(path: str | os.PathLike[str]) -> bool:
    """A folder, a pattern such as `shots/*.png`, or an animated WebP."""
    text = os.fspath(path)
    return os.path.isdir(text) or Path(text).suffix.lower() == ".webp" or (not os.path.exists(text) and "*" in text)


def natural(path: Path) -> list[int | str]:
    """Sorts `frame2` before `frame10`."""
    return [int(part) if part.isdigit() else part.lower() for part in re.split(r"(\d+)", path.name)]


def look_up(path: str | os.PathLike[str], fps: Fraction | None = None) -> Pictures:
    """What the pictures are, from their names and the first one.

    Raises:
        VideoError: there is none, or the first cannot be read.
    """
    place = Path(path)
    if place.is_dir():
        found = [p for p in place.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]
    elif place.exists():
        return _animation(place, fps)
    else:
        found = [Path(name) for name in glob.glob(os.fspath(path)) if Path(name).suffix.lower() in SUFFIXES]
    files = tuple(sorted(found, key=natural))
    if not files:
        raise VideoError(f"{path}: no pictures there", f"name a folder or a pattern with {', '.join(sorted(SUFFIXES))}")
    first = _read(files[0])
    rate = fps or RATE
    times = tuple(i / rate for i in range(len(files) + 1))
    return Pictures(place, files, first.shape[1], first.shape[0], first.shape[2] == 4, times)


def _animation(path: Path, fps: Fraction | None) -> Pictures:
    """An animation's frames are gone through once for their times: a header does not list them."""
    times = [Fraction(0)]
    try:
        with Image.open(path) as animation:
            check_size(path, *animation.size, getattr(animation, "n_frames", 1), Fraction(0))
            alpha = "A" in animation.convert(_mode(animation)).getbands()
            for picture in ImageSequence.Iterator(animation):
                picture.load()
                milliseconds = int(picture.info.get("duration", 0)) or 100
                times.append(times[-1] + (1 / fps if fps else Fraction(milliseconds, 1000)))
            return Pictures(path, (path,), *animation.size, alpha, tuple(times))
    except FileNotFoundError as error:
        raise VideoError(f"{path}: no such file", "check the name and the folder") from error
    except PROBLEMS as error:
        raise VideoError(f"{path}: cannot be read as an animation", "try to open it, or download it again") from error


def frames(pictures: Pictures, time_base: Fraction) -> Iterator[RawFrame]:
    """The pictures with their times in ticks.

    Raises:
        VideoError: one cannot be read, or has another size than the first.
    """
    for i, picture in enumerate(_animated(pictures) if len(pictures.files) == 1 else map(_read, pictures.files)):
        if i + 1 >= len(pictures.times):
            return
        if picture.shape[:2] != (pictures.height, pictures.width):
            name = pictures.files[min(i, len(pictures.files) - 1)]
            sizes = f"is {picture.shape[1]}x{picture.shape[0]}, the first picture {pictures.width}x{pictures.height}"
            raise VideoError(f"{name}: {sizes}", "bring all to one size")
        if (picture.shape[2] == 4) != pictures.has_alpha:
            opaque = np.full((*picture.shape[:2], 1), 255, np.uint8)
            picture = np.concatenate([picture, opaque], -1) if pictures.has_alpha else picture[..., :3]
        start, end = (round(time / time_base) for time in pictures.times[i : i + 2])
        yield RawFrame(start, end - start, np.ascontiguousarray(picture))


def _animated(pictures: Pictures) -> Iterator[Picture]:
    try:
        with Image.open(pictures.files[0]) as animation:
            for picture in ImageSequence.Iterator(animation):
                yield np.asarray(picture.convert("RGBA" if pictures.has_alpha else "RGB"), np.uint8)
    except PROBLEMS as error:
        raise VideoError(f"{pictures.path}: cannot be read to its end", "download it again") from error


def _read(path: Path) -> Picture:
    """Upright, uint8 `[H, W, 3]`, or `[H, W, 4]` with transparency."""
    try:
        with Image.open(path) as picture:
            check_size(path, *picture.size, 0, Fraction(0))
            upright = ImageOps.exif_transpose(picture)
            return np.asarray(upright.convert(_mode(upright)), np.uint8)
    except PROBLEMS as error:
        raise VideoError(f"{path}: cannot be read as a picture", "try to open it, or leave it out") from error


def _mode(picture: Image.Image) -> str:
    return "RGBA" if "A" in picture.getbands() or "transparency" in picture.info else "RGB"
