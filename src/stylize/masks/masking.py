"""Only a part of the picture is restyled: which one, its matte steadied along the motion, feathered, and mixed in."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from stylize.decode.pictures import SUFFIXES
from stylize.errors import VideoWarning
from stylize.frames import Clip, Image, Picture, to_floats
from stylize.masks.mattes import Box, FilmMattes, Matte, MattedFrame, MatteMaker, MovingMattes, StillMatte
from stylize.motion import motion_between, warp
from stylize.style import Style

STEADY = 0.5
"""How much of the matte before is kept where the motion can be trusted."""
SEEN = 0.5
"""A matte that is nowhere more than this shows nothing."""
FAINT = 1 / 255
"""A matte below this is none: there the source stays to the bit."""


@dataclass(frozen=True)
class Masking:
    """Which part of the picture is restyled."""

    mattes: MatteMaker
    """Of the subject."""
    background: bool = False
    """Restyle what is not the subject."""
    feather: float = 0.0
    """Deviation of the blur of the matte's border, in pixels."""


def masking_for(style: Style, source: Path | None, device: str = "cpu") -> Masking | None:
    """The masking that a style asks for; `None` where the whole picture is restyled.

    Args:
        source: the video itself; motion looks at its beginning.
        device: where a network runs.
    """
    if style.mask is None and not style.mask_from:
        return None
    mattes = make_mattes(None if style.mask is None else Path(style.mask), style.mask_from, source, device)
    return Masking(mattes, style.mask_part == "background", style.mask_feather)


def make_mattes(mask: Path | None, made_from: str, source: Path | None = None, device: str = "cpu") -> MatteMaker:
    """Mattes from a still, a video or a folder; or made from "motion", "box:X,Y,W,H", or by a network.

    Args:
        source: the video itself; motion looks at its beginning.
        device: where a network runs.

    Raises:
        StyleError: they cannot be used.
    """
    if mask is not None:
        return StillMatte(mask) if mask.suffix.lower() in SUFFIXES and mask.is_file() else FilmMattes(mask)
    if made_from == "motion":
        return MovingMattes(source)
    if made_from.startswith("box:"):
        return Box(made_from, source)
    from stylize.masks.segmenters import network_mattes

    return network_mattes(made_from, source, device)


def apply_mask(
    masking: Masking, clip: Clip, styled: Picture, before: MattedFrame | None
) -> tuple[Picture, MattedFrame | None]:
    """The styled frames within the mattes, the source's without.

    Args:
        clip: consecutive frames of the source, of one shot.
        styled: what became of them, uint8 `[T, H, W, 3]`.
        before: the frame before them in this shot, with its matte.

    Returns:
        The mixed frames, and the last one of the source with its matte.
    """
    frames = []
    for i, (picture, result) in enumerate(zip(clip.frames, styled, strict=True)):
        matte = masking.mattes(picture, before, clip.index + i, clip.times[i])
        if before is not None:
            matte = steady_matte(matte, picture, *before)
        elif matte.max() < SEEN:
            what = f"the mask finds no subject in frame {clip.index + i}"
            warnings.warn(f"{what}: look at a preview, or give a matte (--mask)", VideoWarning, 2)
        before = picture, matte
        soft = feather(1 - matte if masking.background else matte, masking.feather)
        frames.append(composite(picture, result, soft))
    return np.stack(frames), before


def steady_matte(matte: Matte, picture: Picture, earlier: Picture, before: Matte) -> Matte:
    """`matte` mixed with the one before, carried along the motion, where that can be trusted."""
    motion = motion_between(earlier, picture)
    share = STEADY * motion.visible
    return np.asarray(matte + share * (warp(before, motion.flow) - matte), np.float32)


def feather(matte: Matte, deviation: float) -> Matte:
    """With a soft border, and exactly 0 and 1 away from it."""
    soft = cv2.GaussianBlur(matte, (0, 0), deviation) if deviation > 0 else matte
    soft = np.where(soft < FAINT, 0, np.where(soft > 1 - FAINT, 1, soft))
    return np.asarray(soft, np.float32)


def composite(source: Picture, styled: Picture, matte: Matte) -> Picture:
    """Mixed as light is: in linear light (sRGB, IEC 61966-2-1); where the matte is 0 or 1, one of them to the bit."""
    share = matte[..., None]
    mixed = to_linear(to_floats(source)) * (1 - share) + to_linear(to_floats(styled)) * share
    encoded = np.where(mixed <= 0.0031308, 12.92 * mixed, 1.055 * np.maximum(mixed, 1e-9) ** (1 / 2.4) - 0.055)
    result = np.round(encoded * 255).clip(0, 255).astype(np.uint8)
    return np.where(share == 0, source, np.where(share == 1, styled, result))


def to_linear(image: Image) -> Image:
    """sRGB in [0, 1] to light."""
    return np.asarray(np.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055) ** 2.4), np.float32)
