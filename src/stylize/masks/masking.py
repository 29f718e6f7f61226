"""Only a part of the picture is restyled: its matte steadied along the motion, feathered, and mixed in linear light."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from stylize.decode.pictures import SUFFIXES
from stylize.errors import VideoWarning
from stylize.frames import Clip, Image, Picture, unit
from stylize.masks.mattes import Box, Matte, Source, _Film, _Moving, _Still
from stylize.motion import motion_between, warp
from stylize.style import Style

STEADY = 0.5
"""How much of the matte before is kept where the motion can be trusted."""
SEEN = 0.5
"""A matte that is nowhere more than this shows nothing."""
FAINT = 1 / 255
"""A matte below this is none: there the source stays to the bit."""


class Masking:
    """Puts restyled frames into their source; remembers the frame before.

    Args:
        mattes: of the subject.
        background: restyle what is not the subject.
        feather: deviation of the blur of the matte's border, in pixels.
        before: the last frame of an unfinished run and its matte.
    """

    def __init__(
        self, mattes: Source, *, background: bool, feather: float, before: tuple[Picture, Matte] | None = None
    ) -> None:
        self._mattes, self._background, self._feather = mattes, background, feather
        self.before = before

    def applied(self, source: Clip, styled: Clip) -> Clip:
        """The styled clip within the mattes, the source's without; clips of one frame each."""
        frames = []
        for i, (picture, result) in enumerate(zip(source.frames, styled.frames, strict=True)):
            fresh = source.starts_shot and i == 0
            matte = self._mattes(picture, None if fresh else self.before, source.index + i, source.times[i])
            if (fresh or self.before is None) and matte.max() < SEEN:
                what = f"the mask finds no subject in frame {source.index + i}"
                warnings.warn(f"{what}: look at a preview, or give a matte (--mask)", VideoWarning, 2)
            if self.before is not None and not fresh:
                matte = steadied(matte, picture, *self.before)
            self.before = picture, matte
            soft = feathered(1 - matte if self._background else matte, self._feather)
            frames.append(composite(picture, result, soft))
        return replace(styled, frames=np.stack(frames))


def steadied(matte: Matte, picture: Picture, earlier: Picture, before: Matte) -> Matte:
    """`matte` mixed with the one before, carried along the motion, where that can be trusted."""
    motion = motion_between(earlier, picture)
    share = STEADY * motion.visible
    return np.asarray(matte + share * (warp(before, motion.flow) - matte), np.float32)


def feathered(matte: Matte, deviation: float) -> Matte:
    """With a soft border, and exactly 0 and 1 away from it."""
    soft = cv2.GaussianBlur(matte, (0, 0), deviation) if deviation > 0 else matte
    soft = np.where(soft < FAINT, 0, np.where(soft > 1 - FAINT, 1, soft))
    return np.asarray(soft, np.float32)


def composite(source: Picture, styled: Picture, matte: Matte) -> Picture:
    """Mixed as light is: in linear light (sRGB, IEC 61966-2-1); where the matte is 0 or 1, one of them to the bit."""
    share = matte[..., None]
    mixed = linear(unit(source)) * (1 - share) + linear(unit(styled)) * share
    encoded = np.where(mixed <= 0.0031308, 12.92 * mixed, 1.055 * np.maximum(mixed, 1e-9) ** (1 / 2.4) - 0.055)
    result = np.round(encoded * 255).clip(0, 255).astype(np.uint8)
    return np.where(share == 0, source, np.where(share == 1, styled, result))


def linear(image: Image) -> Image:
    """sRGB in [0, 1] to light."""
    return np.asarray(np.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055) ** 2.4), np.float32)


def matte_source(mask: Path | None, made_from: str, source: Path | None = None) -> Source:
    """The mattes that are asked for: a still, a video, a folder; or made from "motion", "box:X,Y,W,H", a network.

    Args:
        source: the video itself; motion looks at its beginning.

    Raises:
        StyleError: neither or both are asked for, or they cannot be used.
    """
    if mask is not None:
        return _Still(mask) if mask.suffix.lower() in SUFFIXES and mask.is_file() else _Film(mask)
    if made_from == "motion":
        return _Moving(source)
    if made_from.startswith("box:"):
        return Box(made_from, source)
    from stylize.masks.segmenters import network_source

    return network_source(made_from, source)


def masking_for(style: Style, source: Path | None, before: tuple[Picture, Matte] | None) -> Masking | None:
    """What keeps the rest of the picture as it is, if only a part is to be restyled."""
    if style.mask is None and not style.mask_from:
        return None
    mattes = matte_source(None if style.mask is None else Path(style.mask), style.mask_from, source)
    return Masking(mattes, background=style.mask_part == "background", feather=style.mask_feather, before=before)
