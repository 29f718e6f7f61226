"""A look before a long run: a few frames, source above result, and how long the whole will take."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from fractions import Fraction
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from stylize.errors import StyleError, VideoError
from stylize.fast import MAX_GAP
from stylize.frames import Clip, Picture
from stylize.style import Style
from stylize.video import VideoReader

if TYPE_CHECKING:
    from stylize.pipeline import Stylizer

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
TILE = 640
"""Width of a picture on the sheet at most, in pixels."""


@dataclass(frozen=True)
class Preview:
    """What a preview found out."""

    output: str
    frames: int
    """On the sheet."""
    seconds_a_frame: float
    """That diffusing one takes here."""
    frames_in_all: int | None
    """Of the whole run, as far as the header tells."""

    def seconds(self, style: Style) -> float | None:
        """How long the whole run will take: fast mode diffuses about every third frame of a moving clip."""
        if self.frames_in_all is None:
            return None
        share = 1.0 if style.mode == "full" else 2.0 / MAX_GAP
        return self.frames_in_all * self.seconds_a_frame * share


def make_preview(
    stylizer: Stylizer,
    source: str | PathLike[str],
    output: str | PathLike[str],
    style: Style,
    *,
    count: int = 4,
    start: float | None = None,
    end: float | None = None,
    fps: Fraction | None = None,
    force: bool = False,
) -> Preview:
    """Writes a sheet of `count` frames spread over the source, each above its restyled self.

    Every frame is restyled as the first of a shot, so nothing is carried over from frames that were not made.

    Raises:
        StylizeError: a setting has no meaning, or a file cannot be read or written.
    """
    sheet = check_sheet(output, force=force)
    if not 1 <= count <= 24:
        raise StyleError(f"{count} frames do not make a sheet", "use 1 to 24")
    with VideoReader(source, start=start, end=end, fps=fps) as reader:
        size, total = style.size or reader.size, reader.frame_count
        rate = reader.info.frame_rate
    begin = start or 0.0
    length = float((total or count) / rate)
    columns, spent = [], []
    for i in range(count):
        clip = _frame_at(source, begin + length * (i + 0.5) / count, begin, end, style.fitted(size), fps)
        began = time.perf_counter()
        (styled,) = stylizer.stream([clip], style)
        spent.append(time.perf_counter() - began)
        columns.append(np.vstack([_tile(clip.frames[0]), _tile(styled.frames[0])]))
    _write(sheet, np.hstack(columns))
    # the first one also warms up
    return Preview(str(sheet), count, float(np.median(spent[1:] or spent)), total)


def check_sheet(path: str | PathLike[str], *, force: bool) -> Path:
    """The path, if a sheet can be written there.

    Raises:
        VideoError: it is no picture's name, its folder is not there, or it exists.
    """
    sheet = Path(path)
    if sheet.suffix.lower() not in SUFFIXES:
        raise VideoError(f"{sheet}: is no name of a picture", f"end it in {', '.join(SUFFIXES)}")
    if not sheet.parent.is_dir():
        raise VideoError(f"{sheet}: the folder {sheet.parent} does not exist", "make it, or name another")
    if sheet.exists() and not force:
        raise VideoError(f"{sheet}: exists already", "name another file, or pass --force to replace it")
    return sheet


def _frame_at(
    source: str | PathLike[str],
    second: float,
    begin: float,
    end: float | None,
    size: tuple[int, int],
    fps: Fraction | None,
) -> Clip:
    """The first frame from `second` on, or, where a header promised too much, from the beginning."""
    for moment in (second, begin):
        with VideoReader(source, start=moment, end=end, size=size, fps=fps) as reader:
            try:
                return next(reader.clips(1))
            except VideoError:
                if moment == begin:
                    raise
    raise AssertionError


def _tile(picture: Picture) -> Picture:
    scale = min(1.0, TILE / picture.shape[1])
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def _write(sheet: Path, picture: Picture) -> None:
    done, encoded = cv2.imencode(sheet.suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    partial = sheet.with_name(f".{sheet.name}.part")
    try:
        partial.write_bytes(encoded.tobytes() if done else b"")
        os.replace(partial, sheet)
    except OSError as error:
        raise VideoError(
            f"{sheet}: cannot be written ({error.strerror})", "free space or name another folder"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
