"""Restyles only a part of the picture: steadies its matte along the motion, feathers it, and mixes the frames."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from fractions import Fraction
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
"""Share of the previous matte that is kept where the motion can be trusted."""
MIN_SUBJECT = 0.5
"""A matte that stays below this everywhere shows no subject."""
FAINT = 1 / 255
"""Matte values below this become 0, so that the source stays unchanged to the bit."""


@dataclass(frozen=True)
class Masking:
    """The part of the picture that is restyled."""

    mattes: MatteMaker
    """Makes the mattes of the subject."""
    background: bool = False
    """Restyle everything except the subject."""
    feather: float = 0.0
    """Standard deviation of the blur of the matte's border, in pixels."""
    steadied: bool = True
    """The matte is steadied along the motion; a matte that is exact need not be."""


def masking_for(style: Style, source: Path | None, device: str = "cpu") -> Masking | None:
    """Returns the masking that a style asks for; `None` if the whole picture is restyled.

    Args:
        source: the source video; for mattes from motion, the beginning of each shot is read from it.
        device: device for a segmentation network.
    """
    if style.mask is None and not style.mask_from:
        return None
    mattes = make_mattes(None if style.mask is None else Path(style.mask), style.mask_from, source, device)
    return Masking(mattes, style.mask_part == "background", style.mask_feather)


def make_mattes(mask: Path | None, made_from: str, source: Path | None = None, device: str = "cpu") -> MatteMaker:
    """Returns what makes the mattes: a picture, a video or a folder; or "motion", "box:X,Y,W,H", or a network.

    Args:
        mask: path of a picture, a video or a folder of mattes; it takes precedence over `made_from`.
        source: the source video; for "motion", the beginning of each shot is read from it.
        device: device for a segmentation network.

    Raises:
        StyleError: the mattes cannot be made from this.
    """
    if mask is not None:
        return StillMatte(mask) if is_still(mask) else FilmMattes(mask)
    if made_from == "motion":
        return MovingMattes(source)
    if made_from.startswith("box:"):
        return Box(made_from, source)
    from stylize.masks.segmenters import network_mattes

    return network_mattes(made_from, source, device)


def is_still(mask: Path) -> bool:
    """True if a matte is one picture."""
    return mask.suffix.lower() in SUFFIXES and mask.is_file()


def masking_of(matte: Matte) -> Masking:
    """Returns the masking of one exact matte, the same for all frames."""

    def give(picture: Picture, before: MattedFrame | None, index: int, time: Fraction = Fraction(0)) -> Matte:
        return matte

    return Masking(give, steadied=False)


def apply_mask(
    masking: Masking, clip: Clip, styled: Picture, before: MattedFrame | None
) -> tuple[Picture, MattedFrame | None]:
    """Combines the styled frames inside the mattes with the source frames outside.

    Args:
        clip: consecutive frames of the source, of one shot.
        styled: their restyled versions, uint8 `[T, H, W, 3]`.
        before: the previous frame of this shot with its matte; `None` at the start of a shot.

    Returns:
        The mixed frames, and the last source frame with its matte.
    """
    frames = []
    for i, (picture, result) in enumerate(zip(clip.frames, styled, strict=True)):
        matte = masking.mattes(picture, before, clip.index + i, clip.times[i])
        if before is not None and masking.steadied:
            matte = steady_matte(matte, picture, *before)
        elif before is None and matte.max() < MIN_SUBJECT:
            what = f"the mask finds no subject in frame {clip.index + i}"
            warnings.warn(f"{what}: look at a preview, or give a matte (--mask)", VideoWarning, 2)
        before = picture, matte
        soft = feather(1 - matte if masking.background else matte, masking.feather)
        frames.append(composite(picture, result, soft))
    return np.stack(frames), before


def steady_matte(matte: Matte, picture: Picture, earlier: Picture, before: Matte) -> Matte:
    """Mixes `matte` with the previous one, warped along the motion, where the motion can be trusted."""
    motion = motion_between(earlier, picture)
    share = STEADY * motion.visible
    return np.asarray(matte + share * (warp(before, motion.flow) - matte), np.float32)


def feather(matte: Matte, deviation: float) -> Matte:
    """Softens the border of a matte; away from it, the matte is exactly 0 or 1."""
    soft = cv2.GaussianBlur(matte, (0, 0), deviation) if deviation > 0 else matte
    soft = np.where(soft < FAINT, 0, np.where(soft > 1 - FAINT, 1, soft))
    return np.asarray(soft, np.float32)


def composite(source: Picture, styled: Picture, matte: Matte) -> Picture:
    """Mixes both pictures in linear light (sRGB, IEC 61966-2-1); a matte of 0 or 1 keeps one of them to the bit."""
    share = matte[..., None]
    mixed = to_linear(to_floats(source)) * (1 - share) + to_linear(to_floats(styled)) * share
    encoded = np.where(mixed <= 0.0031308, 12.92 * mixed, 1.055 * np.maximum(mixed, 1e-9) ** (1 / 2.4) - 0.055)
    result = np.round(encoded * 255).clip(0, 255).astype(np.uint8)
    return np.where(share == 0, source, np.where(share == 1, styled, result))


def to_linear(image: Image) -> Image:
    """Converts sRGB in [0, 1] to linear light."""
    return np.asarray(np.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055) ** 2.4), np.float32)
