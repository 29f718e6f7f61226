"""What kind of footage a source is, and how tightly its forms and colours are then held: Gen-1's ways to begin.

An ordinary video keeps its forms, its edges and its light. A storyboard of boxes and cardboard stands for something
else: its depth leads, its colours and textures are let go. A render without textures has exact forms and little else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from stylize.frames import Picture
from stylize.style import FootageKind

FORGOTTEN, ACROSS = 4.0, 512
"""Halvings of the resolution by which structure 0 forgets forms, in a picture of so many pixels across (Gen-1's t_s has
up to 7)."""


@dataclass(frozen=True)
class Footage:
    """What a style leaves open, this kind of footage settles."""

    strength: float | None = None
    """`None` is the model's own."""
    controls: Mapping[str, float] = field(default_factory=dict)
    """Factors on the model's own weights; controls that are not named keep theirs."""
    structure: float = 1.0
    smooth: float = 0.0
    """How much of the source's textures goes before it is noised, in [0, 1]."""
    grey: float = 0.0
    """How much of its colours."""

    def weights(self, own: Mapping[str, float]) -> dict[str, float]:
        """The controls' weights, from the model's own."""
        return {name: min(2.0, weight * self.controls.get(name, 1.0)) for name, weight in own.items()}

    def prepared(self, picture: Picture) -> Picture:
        """The picture as the diffusion is to begin with it; uint8 RGB `[H, W, 3]` in and out."""
        if self.smooth == 0 and self.grey == 0:
            return picture
        flat = cv2.bilateralFilter(picture, 0, 255 * 0.25, picture.shape[1] / 64)
        plain = cv2.addWeighted(picture, 1 - self.smooth, flat, self.smooth, 0)
        light = cv2.cvtColor(cv2.cvtColor(plain, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        return np.asarray(cv2.addWeighted(plain, 1 - self.grey, light, self.grey, 0), np.uint8)


FOOTAGE: dict[FootageKind, Footage] = {
    "video": Footage(),
    "storyboard": Footage(strength=0.9, controls={"depth": 1.5, "canny": 0.75}, structure=0.95, smooth=1.0, grey=0.8),
    "render": Footage(strength=1.0, controls={"depth": 2.0}, smooth=0.5),
}


def coarsened(picture: Any, structure: float) -> Any:
    """The picture or map with forms below a size gone: shrunk and brought back.

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
