"""Interprets the colour of a video (matrix, range, primaries, transfer); maps high dynamic range to BT.709."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stylize.frames import Image, Picture

UNSPECIFIED, BT709, BT470BG, SMPTE170M = 2, 1, 5, 6
PQ, HLG = 16, 18
LIMITED, FULL = 1, 2
MATRIX_OF_SWSCALE = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
"""Maps the standard's numbers (ISO/IEC 23091-2) of the matrices that swscale knows to swscale's numbers."""
ACCURATE = 4 | 8192 | 262144
"""swscale's flags for bicubic, full chroma, accurate rounding: five times as slow as its default, which decord uses."""
WHITE = 203.0
"""Nits of graphic white in high dynamic range (BT.2408); it becomes the white of the result."""
KNEE = 0.6
"""Share of graphic white up to which light is left unchanged."""


@dataclass(frozen=True)
class Colour:
    """Numbers of ISO/IEC 23091-2 for a YCbCr picture; none of them is "unspecified"."""

    matrix: int = BT709
    primaries: int = BT709
    transfer: int = BT709
    full_range: bool = False
    assumed_hd: bool = False
    """True if the file is HD and does not give the matrix."""

    @property
    def range(self) -> int:
        """FFmpeg's number for the range."""
        return FULL if self.full_range else LIMITED

    def tag(self, target: Any) -> None:
        """Writes the colour on a frame or on an encoder's context."""
        target.colorspace, target.color_range = self.matrix, self.range
        target.color_primaries, target.color_trc = self.primaries, self.transfer

    @property
    def is_hdr(self) -> bool:
        """True for PQ and HLG, which hold more light than an ordinary screen shows."""
        return self.transfer in (PQ, HLG)

    @property
    def output(self) -> Colour:
        """The colour of a restyled video: the same, but BT.709 for high dynamic range and for unknown matrices."""
        known = self.matrix in MATRIX_OF_SWSCALE and not self.is_hdr
        return Colour(self.matrix, self.primaries, self.transfer, self.full_range) if known else Colour()


def colour_of(frame: Any, context: Any) -> Colour:
    """Returns the colour of a decoded frame, or else of its stream.

    Values that both leave open are those of BT.709 for HD and of BT.601 below, as in players.

    Args:
        context: the context of the stream's decoder, which knows what the container says.
    """
    names = ("colorspace", "color_primaries", "color_trc")
    matrix, primaries, transfer = (_choose_specified(int(getattr(frame, n)), int(getattr(context, n))) for n in names)
    if frame.format.is_rgb or frame.format.name == "pal8":
        return Colour()
    hd = frame.height >= 720 or frame.width >= 1280
    usual = BT709 if hd else BT470BG if frame.height == 576 else SMPTE170M
    full = int(frame.color_range) == FULL or frame.format.name.startswith("yuvj")
    untagged = matrix in (0, UNSPECIFIED)
    matrix = usual if untagged else matrix
    primaries = usual if primaries in (0, UNSPECIFIED) else primaries
    transfer = (BT709 if usual == BT709 else SMPTE170M) if transfer in (0, UNSPECIFIED) else transfer
    return Colour(matrix, primaries, transfer, full, assumed_hd=untagged and hd)


def _choose_specified(first: int, second: int) -> int:
    return second if first in (0, UNSPECIFIED) else first


def tone_mapped(pixels: npt.NDArray[np.uint16], transfer: int) -> Picture:
    """Converts BT.2020 in PQ or HLG, uint16 RGB `[H, W, 3]`, to BT.709 for an ordinary screen, uint8.

    Converts the pixels to light (BT.2100) and to BT.709's primaries (BT.2087). Keeps luminance up to `KNEE`; above it,
    lets luminance approach white along `k + (1 - k) (1 - exp(-(l - k) / (1 - k)))`. Then applies BT.709's gamma.
    """
    light = _make_light_table(transfer)[pixels >> 4]
    light = light @ TO_BT709.T
    luminance = np.maximum(light @ np.array([0.2126, 0.7152, 0.0722], np.float32), 1e-6)
    over = np.maximum(luminance - KNEE, 0) / (1 - KNEE)
    mapped = np.minimum(luminance, KNEE) + (1 - KNEE) * (1 - np.exp(-over))
    shown = np.clip(light * (mapped / luminance)[..., None], 0, 1)
    coded = np.where(shown < 0.018, 4.5 * shown, 1.099 * shown**0.45 - 0.099)
    return np.asarray(np.round(255 * coded.clip(0, 1)), np.uint8)


TO_BT709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32)
"""Matrix from linear BT.2020 RGB to linear BT.709 RGB (BT.2087)."""


@functools.lru_cache(maxsize=2)
def _make_light_table(transfer: int) -> Image:
    """Returns the light, in units of graphic white, of each 12-bit code: 4096 entries."""
    code = np.arange(4096, dtype=np.float64) / 4095
    if transfer == PQ:  # SMPTE ST 2084
        root = code ** (1 / 78.84375)
        nits = 10000 * (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)
    else:  # HLG on a screen of 1000 nits, gamma 1.2 on each component instead of the luminance
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
        nits = 1000 * scene**1.2
    return np.asarray(nits / WHITE, np.float32)
