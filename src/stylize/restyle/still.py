"""Draws a picture from words alone, as the first frame of a scene."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
from PIL import Image as PillowImage

from stylize.errors import StyleError
from stylize.frames import Clip, Picture, StructureMaps, to_bytes
from stylize.restyle.image_restyler import ImageRestyler
from stylize.restyle.memory import Memory
from stylize.style import Style

GREY = 128


def draw_still(
    restyler: ImageRestyler, style: Style, size: tuple[int, int], reference: PillowImage.Image | None = None
) -> Picture:
    """Draws what a prompt says, uint8 RGB `[H, W, 3]`: all steps from noise, with no control.

    Args:
        size: width and height.
        reference: the style's reference picture.

    Raises:
        StyleError: the model only redraws pictures, as the built-in one does.
    """
    if restyler.networks.vocabulary is not None:
        what = f"{restyler.name} gives pictures a look, and cannot draw from words alone"
        raise StyleError(what, "add --image FILE, or draw with --model sd15 or sdxl")
    alone = replace(style, strength=1.0, controls={}, temporal=0.0, structure=1.0, footage="video", depth_from=None)
    conditions = restyler.prepare(alone, reference)
    grey = np.full((1, size[1], size[0], 3), GREY, np.uint8)
    nothing = Clip(grey, (Fraction(0),), (Fraction(1),), starts_shot=True)
    images, _ = restyler.restyle(nothing, StructureMaps({}), Memory().cut(), conditions)
    return to_bytes(next(iter(images)))
