"""Fades from one look to another: the last picture of the old one is carried along the source's motion meanwhile."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np

from stylize.frames import Image, Map, Picture, resize, to_bytes, to_floats
from stylize.motion import motion_between, warp

SECONDS = Fraction(1, 2)
"""Length of a fade."""
SOFTNESS = 0.03
"""Blur of the border of what is carried, in widths of the picture: hard ones would show as patches."""


class Blend:
    """Fades over half a second after each `begin`; at other times pictures pass unchanged."""

    def __init__(self) -> None:
        self._last: tuple[Picture, Picture] | None = None
        self._is_asked = False
        self._began: Fraction | None = None
        self._carried: Image | None = None
        self._held: Map | None = None

    def begin(self) -> None:
        """Begins to fade with the next frame, from the picture that was shown last."""
        self._is_asked = self._last is not None

    def show(self, source: Picture, styled: Picture, moment: Fraction) -> Picture:
        """Returns the picture that is shown: `styled`, or a mixture while a fade is under way.

        Args:
            source, styled: uint8 `[H, W, 3]`, a frame and what became of it.
            moment: its second.
        """
        if self._is_asked and self._last is not None:
            self._is_asked, self._began, self._carried = False, moment, to_floats(self._last[1])
            self._held = np.ones(self._carried.shape[:2], np.float32)
        if self._began is not None and self._last is not None:
            share = 1 - float((moment - self._began) / SECONDS)
            if share > 0:
                styled = self._mix(self._last[0], source, styled, share)
            else:
                self._began = None
        self._last = source, styled
        return styled

    def _mix(self, before: Picture, source: Picture, styled: Picture, share: float) -> Picture:
        """Mixes the carried picture in, but for what came into view since the fade began."""
        assert self._carried is not None and self._held is not None
        size = source.shape[1], source.shape[0]
        motion = motion_between(resize(before, size), source)
        self._carried = warp(np.asarray(resize_floats(self._carried, size), np.float32), motion.flow)
        self._held = warp(resize_floats(self._held, size), motion.flow) * motion.visible
        soft = cv2.GaussianBlur(self._held, (0, 0), max(1.0, size[0] * SOFTNESS))
        weight = (share * np.minimum(soft, 1))[..., None]
        mixed = self._carried * weight + to_floats(resize(styled, size)) * (1 - weight)
        return to_bytes(np.asarray(mixed, np.float32))


def resize_floats(image: Image | Map, size: tuple[int, int]) -> Image:
    """Resizes floats `[H, W]` or `[H, W, 3]` to `size` (width, height)."""
    return np.asarray(resize(image, size), np.float32)  # type: ignore[arg-type]
