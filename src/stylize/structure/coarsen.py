"""Forms and textures of a source that are let go before it is restyled."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from stylize.frames import Clip, Picture
from stylize.style import Footage

FORGOTTEN, ACROSS = 4.0, 512
"""Halvings of the resolution by which structure 0 forgets forms, in a picture of so many pixels across (Gen-1's t_s has
up to 7)."""


def coarsen(clip: Clip, footage: Footage, structure: float) -> Clip:
    """The clip that the diffusion begins with.

    Args:
        footage: what kind of footage it is says how much of textures and colours goes.
        structure: how tightly forms are held, in [0, 1]; 1 keeps them all.
    """
    if structure >= 1 and footage.smooth == 0 and footage.grey == 0:
        return clip
    return replace(clip, frames=np.stack([blur_forms(flatten(p, footage), structure) for p in clip.frames]))


def blur_forms(picture: Any, structure: float) -> Any:
    """A picture or map without forms below a size: shrunk and brought back.

    It is shrunk by `1 + (2^(FORGOTTEN (1 - structure)) - 1) side / ACROSS`: forms go by their share of the picture.
    Gen-1's structure parameter t_s (Esser et al. 2023, sec. 3.2) blurs and shrinks the depth map alike.

    Args:
        structure: 1 changes nothing.
    """
    if structure >= 1:
        return picture
    height, width = picture.shape[:2]
    factor = 1 + (2 ** (FORGOTTEN * (1 - structure)) - 1) * max(height, width) / ACROSS
    small = tuple(max(2, round(side / factor)) for side in (width, height))
    shrunk = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
    return cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_LINEAR)


def flatten(picture: Picture, footage: Footage) -> Picture:
    """A picture without the textures and colours that its footage lets go; uint8 RGB `[H, W, 3]` in and out."""
    if footage.smooth == 0 and footage.grey == 0:
        return picture
    flat = cv2.bilateralFilter(picture, 0, 255 * 0.25, picture.shape[1] / 64)
    plain = cv2.addWeighted(picture, 1 - footage.smooth, flat, footage.smooth, 0)
    light = cv2.cvtColor(cv2.cvtColor(plain, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.addWeighted(plain, 1 - footage.grey, light, footage.grey, 0), np.uint8)
