"""Sheets: pictures in rows and columns, each with its caption, as one file that is complete or not there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from stylize.errors import VideoError
from stylize.frames import Picture

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
TILE = 640
"""Width of a picture on a sheet at most, in pixels."""
CAPTION = 28
"""Height of a line of caption, in pixels."""


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


def tile(picture: Picture, width: int = TILE) -> Picture:
    """The picture, no wider than a tile."""
    scale = min(1.0, width / picture.shape[1])
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def arranged(rows: Sequence[Sequence[Picture]], captions: Sequence[str] = ()) -> Picture:
    """Rows of pictures of one size under each other; with captions, each above its row."""
    lines = []
    for i, row in enumerate(rows):
        line = np.hstack([tile(picture) for picture in row])
        if captions:
            lines.append(_caption(captions[i], line.shape[1]))
        lines.append(line)
    return np.vstack(lines)


def _caption(text: str, width: int) -> Picture:
    line = Image.new("RGB", (width, CAPTION), (255, 255, 255))
    font = ImageFont.load_default(size=17)
    ImageDraw.Draw(line).text((8, CAPTION // 2), text, fill=(30, 30, 30), font=font, anchor="lm")
    return np.asarray(line)


def write_sheet(sheet: Path, picture: Picture) -> None:
    """Writes it, complete or not at all.

    Raises:
        VideoError: the disk is full, or the folder gone.
    """
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
