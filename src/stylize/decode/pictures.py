"""Reads pictures as a video: a folder or a pattern of image files, or an animation that only Pillow reads."""

from __future__ import annotations

import functools
import glob
import io
import itertools
import os
import re
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from os import PathLike
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps, ImageSequence

from stylize.decode.container import HURRIED, UNHURRIED, check_size
from stylize.decode.packets import RawFrame
from stylize.errors import StyleError, VideoError, VideoWarning
from stylize.frames import Picture

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}
VIDEOS = {
    ".3gp", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts",
    ".webm", ".wmv", ".y4m",
}  # fmt: skip
"""Usual suffixes of videos."""
RATE = Fraction(25)
SIDEWAYS = (5, 6, 7, 8)
"""EXIF orientations that exchange width and height."""
PROBLEMS = (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning)
"""Errors that Pillow raises on files that are not pictures, or on pictures that are too large."""


@dataclass(frozen=True)
class Pictures:
    """A set of pictures as a video: its files, size and times, from which a `VideoInfo` is made."""

    path: Path
    files: tuple[Path, ...]
    """In natural order."""
    width: int
    height: int
    has_alpha: bool
    times: tuple[Fraction, ...]
    """Seconds at which each picture is shown, and, as the last entry, at which the last picture ends."""
    animated: bool = False
    """True if the pictures are the frames of one animation."""

    @property
    def rate(self) -> Fraction:
        """Pictures a second, on average."""
        return (len(self.times) - 1) / (self.times[-1] - self.times[0])


def is_pictures(path: str | os.PathLike[str]) -> bool:
    """True for a folder, a pattern such as `shots/*.png`, or a WebP, which is read as an animation."""
    text = os.fspath(path)
    return os.path.isdir(text) or Path(text).suffix.lower() == ".webp" or (not os.path.exists(text) and "*" in text)


def natural_key(path: Path) -> list[int | str]:
    """Returns a key for sorting that puts `frame2` before `frame10`."""
    return [int(part) if part.isdigit() else part.lower() for part in re.split(r"(\d+)", path.name)]


def look_up(path: str | os.PathLike[str], fps: Fraction | None = None) -> Pictures:
    """Describes the pictures, from their names and headers.

    Raises:
        VideoError: there are no pictures, one cannot be read, or one has another size.
    """
    location = Path(path)
    if location.is_file() and _is_animated(location):
        return _describe_animation(location, fps)
    files = files_of(path)
    if not files and (videos := files_of(path, VIDEOS)):
        raise VideoError(f"{path}: no pictures there, but videos", f"name these, such as {videos[0]}")
    if not files:
        raise VideoError(f"{path}: no pictures there", f"name a folder or a pattern with {', '.join(sorted(SUFFIXES))}")
    headers = [_read_header(file) for file in files]  # all are checked: a night's work should not fail at the last one
    (width, height), _ = headers[0]
    for file, (size, _) in zip(files, headers, strict=True):
        if size != (width, height):
            sizes = f"is {size[0]}x{size[1]}, the first picture {width}x{height}"
            raise VideoError(f"{file}: {sizes}", "bring all to one size")
    rate = fps or RATE
    times = tuple(i / rate for i in range(len(files) + 1))
    return Pictures(location, files, width, height, any(alpha for _, alpha in headers), times)


def files_of(path: str | os.PathLike[str], suffixes: Collection[str] = SUFFIXES) -> tuple[Path, ...]:
    """Returns the pictures of a folder or pattern, sorted by their numbers; for a file, returns that file alone."""
    location = Path(path)
    if location.is_file():
        return (location,)
    if location.is_dir():
        candidates = list(location.iterdir())
    else:  # brackets are more often part of a name than meant for glob
        candidates = [Path(name) for name in glob.glob(os.fspath(path).replace("[", "[[]"))]
    pictures = (file for file in candidates if file.suffix.lower() in suffixes and not file.name.startswith("."))
    return tuple(sorted(pictures, key=natural_key))


def _read_header(path: Path) -> tuple[tuple[int, int], bool]:
    """Returns the upright size (width, height), and whether there is transparency."""
    with _open_picture(path) as picture:
        width, height = picture.size
        # the base class's method: PNG's own one decodes the whole picture where there is no EXIF
        sideways = Image.Image.getexif(picture).get(ExifTags.Base.Orientation, 1) in SIDEWAYS
        return (height, width) if sideways else (width, height), _choose_mode(picture) == "RGBA"


def _is_animated(path: Path) -> bool:
    with _open_picture(path) as picture:
        return int(getattr(picture, "n_frames", 1)) > 1


def _describe_animation(path: Path, fps: Fraction | None) -> Pictures:
    """Describes an animation; reads all its frames once for their times, since a header does not list them."""
    times = [Fraction(0)]
    try:
        with Image.open(path) as animation:
            check_size(path, *animation.size, getattr(animation, "n_frames", 1), Fraction(0))
            alpha = "A" in animation.convert(_choose_mode(animation)).getbands()
            for picture in ImageSequence.Iterator(animation):
                picture.load()
                milliseconds = int(picture.info.get("duration", 0))
                milliseconds = 10 * UNHURRIED if milliseconds <= 10 * HURRIED else milliseconds
                times.append(times[-1] + (1 / fps if fps else Fraction(milliseconds, 1000)))
            return Pictures(path, (path,), *animation.size, alpha, tuple(times), animated=True)
    except FileNotFoundError as error:
        raise VideoError(f"{path}: no such file", "check the name and the folder") from error
    except PROBLEMS as error:
        raise VideoError(f"{path}: cannot be read as an animation", "try to open it, or download it again") from error


def read_frames(pictures: Pictures, time_base: Fraction, first: int = 0) -> Iterator[RawFrame]:
    """Yields the pictures with their times in ticks, without the `first` ones.

    Raises:
        VideoError: a picture cannot be read, or has another size than the first.
    """
    animation = itertools.islice(_read_animation(pictures), first, None) if pictures.animated else None
    for i, picture in enumerate(animation or map(_read_pixels, pictures.files[first:]), first):
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


def _read_animation(pictures: Pictures) -> Iterator[Picture]:
    try:
        with Image.open(pictures.files[0]) as animation:
            for picture in ImageSequence.Iterator(animation):
                yield np.asarray(to_srgb(picture).convert("RGBA" if pictures.has_alpha else "RGB"), np.uint8)
    except PROBLEMS as error:
        raise VideoError(f"{pictures.path}: cannot be read to its end", "download it again") from error


def _read_pixels(path: Path) -> Picture:
    """Reads a picture as upright uint8 `[H, W, 3]`, or `[H, W, 4]` with transparency."""
    with _open_picture(path) as picture:
        upright = to_srgb(ImageOps.exif_transpose(picture))
        if upright.mode.startswith("I"):  # 16 bits of grey; Pillow's own conversion clips them
            grey = np.round(np.asarray(upright, np.float64).clip(0, 65535) / 257).astype(np.uint8)
            return np.repeat(grey[..., None], 3, -1)
        return np.asarray(upright.convert(_choose_mode(upright)), np.uint8)


@contextmanager
def _open_picture(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as picture:
            check_size(path, *picture.size, 0, Fraction(0))
            yield picture
    except PROBLEMS as error:
        raise VideoError(f"{path}: cannot be read as a picture", "try to open it, or leave it out") from error


def to_srgb(picture: Image.Image) -> Image.Image:
    """Converts a picture from its colour profile, if it has one that can be read, to sRGB."""
    profile = picture.info.get("icc_profile")
    if not profile or picture.mode not in ("RGB", "RGBA", "L", "LA", "CMYK", "P", "PA"):
        return picture
    alpha = picture.convert("RGBA").getchannel("A") if _choose_mode(picture) == "RGBA" else None
    flat = picture if picture.mode in ("RGB", "L", "CMYK") else picture.convert("L" if picture.mode == "LA" else "RGB")
    try:
        transform = _find_transform(profile, flat.mode)
        converted = None if transform is None else ImageCms.applyTransform(flat, transform)
    except (ImageCms.PyCMSError, OSError, ValueError):
        warnings.warn("a colour profile cannot be read: sRGB is assumed", VideoWarning, 2)
        return picture
    if converted is None:
        return picture
    if alpha is not None:
        converted.putalpha(alpha)
    converted.info.pop("icc_profile", None)
    return converted


@functools.lru_cache(maxsize=8)
def _find_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Returns the transform from a profile to sRGB; `None` if it changes nothing, as with nearly all pictures."""
    source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(source, target, mode, "RGB")
    if mode == "RGB":
        steps = np.arange(0, 256, 15, dtype=np.uint8)
        cube = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(1, -1, 3)
        changed = ImageCms.applyTransform(Image.fromarray(cube), transform)
        if np.abs(np.asarray(changed, np.int16) - cube).max() <= 2:
            return None
    return transform


def _choose_mode(picture: Image.Image) -> str:
    return "RGBA" if "A" in picture.getbands() or "transparency" in picture.info else "RGB"


def read_picture(path: str | PathLike[str]) -> Image.Image:
    """Reads a picture, upright and in RGB; clear parts become white.

    Raises:
        StyleError: the file does not exist, or is not a picture.
    """
    try:
        with Image.open(path) as picture:
            upright = to_srgb(ImageOps.exif_transpose(picture))
            if _choose_mode(upright) == "RGBA":
                upright = upright.convert("RGBA")
                upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright)
            return upright.convert("RGB")
    except FileNotFoundError as error:
        raise StyleError(f"{path}: no such reference picture", "check the name") from error
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise StyleError(f"{path}: cannot be read as a picture", "use a PNG, JPEG or WebP") from error
