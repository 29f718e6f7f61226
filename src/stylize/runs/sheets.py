"""Sheets: pictures in rows, each row with its caption, as one file that is complete or not there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from stylize.encode.atomic import write_atomically
from stylize.encode.outputs import explain_writing
from stylize.frames import Picture, resize

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
TILE = 640
"""Largest width of a picture on a sheet, in pixels."""
CAPTION = 28
"""Height of a caption, in pixels."""


def tile(picture: Picture, width: int = TILE) -> Picture:
    """Returns the picture, shrunk if it is wider than `width` pixels."""
    scale = min(1.0, width / picture.shape[1])
    return resize(picture, (round(picture.shape[1] * scale), round(picture.shape[0] * scale)))


def lay_out(rows: Sequence[Sequence[Picture]], captions: Sequence[str] = ()) -> Picture:
    """Stacks rows of pictures of one size; with captions, each stands above its row."""
    lines = []
    for i, row in enumerate(rows):
        line = np.hstack([tile(picture) for picture in row])
        if captions:
            lines.append(_draw_caption(captions[i], line.shape[1]))
        lines.append(line)
    return np.vstack(lines)


def _draw_caption(text: str, width: int) -> Picture:
    line = Image.new("RGB", (width, CAPTION), (255, 255, 255))
    font = ImageFont.load_default(size=17)
    ImageDraw.Draw(line).text((8, CAPTION // 2), text, fill=(30, 30, 30), font=font, anchor="lm")
    return np.asarray(line)


def write_sheet(sheet: Path, picture: Picture) -> None:
    """Writes the sheet, complete or not at all.

    Raises:
        VideoError: the disk is full, or the folder is gone.
    """
    _, encoded = cv2.imencode(sheet.suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    with explain_writing(sheet):
        write_atomically(sheet, encoded.tobytes())
