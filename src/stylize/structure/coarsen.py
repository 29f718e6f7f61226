"""Removes details, textures and colours from source frames before they are restyled."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from stylize.frames import Clip, Picture
from stylize.style import Footage

HALVINGS, REFERENCE_SIDE = 4.0, 512
"""Halvings of the resolution at structure 0, for a picture whose longer side has `REFERENCE_SIDE` pixels (Gen-1's t_s
goes up to 7)."""


def coarsen(clip: Clip, footage: Footage, structure: float) -> Clip:
    """Returns the clip that the diffusion starts from.

    Args:
        footage: the type of footage decides how much of the textures and colours is removed.
        structure: how much of the structure is kept, in [0, 1]; 1 keeps all of it.
    """
    if structure >= 1 and footage.smooth == 0 and footage.grey == 0:
        return clip
    return replace(clip, frames=np.stack([blur_forms(flatten(p, footage), structure) for p in clip.frames]))


def blur_forms(picture: Any, structure: float) -> Any:
    """Removes forms below a certain size from a picture or map: shrinks it and enlarges it again.

    It is shrunk by `1 + (2^(HALVINGS (1 - structure)) - 1) side / REFERENCE_SIDE`, so that forms are removed
    according to their share of the picture. Gen-1's structure parameter t_s (Esser et al. 2023, sec. 3.2) blurs and
    shrinks the depth map in the same manner.

    Args:
        structure: 1 changes nothing.
    """
    if structure >= 1:
        return picture
    height, width = picture.shape[:2]
    factor = 1 + (2 ** (HALVINGS * (1 - structure)) - 1) * max(height, width) / REFERENCE_SIDE
    small = tuple(max(2, round(side / factor)) for side in (width, height))
    shrunk = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
    return cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_LINEAR)


def flatten(picture: Picture, footage: Footage) -> Picture:
    """Removes textures and colours as far as `footage` asks; uint8 RGB `[H, W, 3]` in and out."""
    if footage.smooth == 0 and footage.grey == 0:
        return picture
    flat = cv2.bilateralFilter(picture, 0, 255 * 0.25, picture.shape[1] / 64)
    plain = cv2.addWeighted(picture, 1 - footage.smooth, flat, footage.smooth, 0)
    light = cv2.cvtColor(cv2.cvtColor(plain, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.addWeighted(plain, 1 - footage.grey, light, footage.grey, 0), np.uint8)
