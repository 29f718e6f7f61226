"""The looks that paint with strokes and cells: a photo and what chance has decided in, a rendition out.

Nothing is left to chance here: lines, stroke field and cells are handed in, and the networks see them too, so that a
rendition is a function of what the networks see, and can be learnt by regression.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from colours import (
    Image,
    brighten,
    gradient,
    gray_of,
    local_tone,
    posterise,
    saturate,
    smooth,
    step_up,
    tint,
    to_lab,
    to_rgb,
    to_u8,
)  # fmt: skip
from given import Given
from looks import LOOKS
from stylize.structure.screens import SCREEN

STARRY = np.float32([[10, 14, 34], [22, 40, 96], [44, 84, 150], [98, 146, 186], [178, 198, 180], [244, 226, 130],
                     [252, 246, 214]])  # fmt: skip
"""Colours of a starry night, from dark to light."""
EARTH = np.float32([[52, 40, 36], [120, 78, 58], [176, 128, 92], [212, 180, 138], [238, 224, 198]])
"""Colours of lime plaster and earth pigments."""


def _light(height: np.ndarray, strength: float = 0.5, most: float = 0.5) -> np.ndarray:
    """Light from the upper left on a relief, as a factor `[H, W, 1]`."""
    slope = 0.5 * (cv2.Sobel(height, cv2.CV_32F, 1, 0) + cv2.Sobel(height, cv2.CV_32F, 0, 1))
    return 1 + strength * np.clip(slope, -most, most)[..., None]


def oil(image: Image, given: Given) -> Image:
    """Impasto: paint dragged along the forms, bristle marks lit from the upper left."""
    paint = given.along(saturate(image, 1.5, 1.04), 1, 3)
    tone = paint + (8.5 * given.s)[..., None] * np.float32([1, 1, 0.92])
    height = 0.3 * given.s + 1.4 * cv2.GaussianBlur(gray_of(to_u8(paint)), (0, 0), 0.8)
    return to_u8(tone * np.float32([1.03, 0.99, 0.9]) * _light(height))


def van_gogh(image: Image, given: Given) -> Image:
    """Long swirling strokes of thick paint in the colours of a starry night."""
    base = given.along(image, 1, 4)
    tone = gray_of(to_u8(base))
    wide = cv2.GaussianBlur(tone, (0, 0), 16)
    tone = np.clip(0.5 + 1.25 * (tone - wide) + 0.95 * (wide - 0.45), 0, 1) + 0.11 * given.s
    lab, own = to_lab(to_u8(gradient(tone, STARRY))), to_lab(saturate(to_u8(base), 1.7))
    lab[..., 1:] += 0.45 * (own[..., 1:] - 128)
    lab[..., 2] += 12 * np.clip((own[..., 2] - 140) / 40, 0, 1)
    return to_u8(to_rgb(lab).astype(np.float32) * _light(0.3 * given.s, 0.5, 0.6))


def impressionist(image: Image, given: Given) -> Image:
    """Short dabs of broken colour, shadows that lean to violet."""
    vivid, v = saturate(brighten(image, 0.8), 1.45, 1.04), given.values
    lab = to_lab(to_u8(given.means(vivid))[None])[0]
    lab[:, 0] = lab[:, 0] * 0.9 + 24 + 26 * (v - 0.5)
    lab[:, 1:] = (lab[:, 1:] - 128) * 1.1 + 128
    lab[:, 1] += 16 * np.abs((v * 3) % 1 - 0.5) - 4
    lab[:, 2] += 3 + 22 * np.abs((v * 2) % 1 - 0.5) - 5
    shade = np.clip((120 - lab[:, 0]) / 120, 0, 1)
    lab[:, 1:] += np.stack([4 * shade, -10 * shade], 1)
    paint = given.fill(to_rgb(lab[None])[0].astype(np.float32), cv2.GaussianBlur(vivid, (0, 0), 2).astype(np.float32))
    return to_u8(cv2.GaussianBlur(paint, (0, 0), 0.6) * (1 + 0.05 * given.s)[..., None])


def pointillism(image: Image, given: Given) -> Image:
    """Round dots of pure colour on a cream ground."""
    v = given.values
    lab = to_lab(to_u8(given.means(saturate(image, 1.7, 1.06)))[None])[0]
    lab[:, 0] += 6 + 30 * (v - 0.5)
    lab[:, 1:] = (lab[:, 1:] - 128) * 1.25 + 128
    lab[:, 1] += 60 * (np.abs((v * 2) % 1 - 0.5) - 0.25)
    lab[:, 2] += 34 * np.sin(2 * np.pi * v)
    ground = 0.45 * cv2.GaussianBlur(image, (0, 0), 5).astype(np.float32) + 0.55 * np.float32([238, 228, 205])
    return to_u8(cv2.GaussianBlur(given.fill(to_rgb(lab[None])[0].astype(np.float32), ground), (0, 0), 0.5))


def mosaic(image: Image, given: Given) -> Image:
    """Small stones of one colour each in dark mortar."""
    stones = given.means(saturate(image, 1.6, 1.03)) * (0.84 + 0.32 * given.values)[:, None]
    inner = cv2.GaussianBlur(given.cells.cover, (0, 0), 1.2)[..., None]
    return to_u8(given.fill(stones, np.float32([92, 86, 78])) * (0.78 + 0.3 * inner))


def stained_glass(image: Image, given: Given) -> Image:
    """Glowing panes of one colour between lines of lead."""
    hsv = cv2.cvtColor((given.means(brighten(image, 0.7)) / 255)[None], cv2.COLOR_RGB2HSV)[0]
    hsv[:, 1] = np.clip(hsv[:, 1] * 2.3 + 0.12, 0, 1)
    hsv[:, 2] = np.clip(hsv[:, 2] * 1.12 + 0.08 + 0.16 * (given.values - 0.5), 0.12, 1)
    panes = 255 * cv2.cvtColor(hsv[None], cv2.COLOR_HSV2RGB)[0]
    glow = 0.62 + 0.46 * cv2.GaussianBlur(given.cells.cover, (0, 0), 5) + 0.035 * given.s
    glass = panes[given.cells.labels] * glow[..., None]
    return to_u8(np.float32([20, 19, 22]) + (glass - np.float32([20, 19, 22])) * given.cells.cover[..., None])


def watercolour(image: Image, given: Given) -> Image:
    """Line and wash: pigment that pools at the borders of washes and granulates, with thin pencil lines."""
    flat = cv2.GaussianBlur(smooth(image, 6, 60), (0, 0), 1.0)
    wash = 255 - (255 - saturate(flat, 1.75, 1.12).astype(np.float32)) * 0.86
    soft = cv2.GaussianBlur(to_lab(flat), (0, 0), 1.2)
    edge = np.hypot(cv2.Sobel(soft, -1, 1, 0), cv2.Sobel(soft, -1, 0, 1)).sum(-1)
    pool = np.clip(cv2.GaussianBlur(edge, (0, 0), 0.8) / 60, 0, 1)
    cloud = cv2.GaussianBlur(given.s, (0, 0), 6)
    pigment = (255 - wash) * (1 + 0.55 * pool + 0.32 * cloud + 0.08 * given.s)[..., None]
    lines = 0.45 + 0.55 * given.ink(16)
    return to_u8((255 - pigment) * np.float32([1, 0.99, 0.965]) * lines[..., None])


def gouache(image: Image, given: Given) -> Image:
    """Opaque matt paint in broad flat touches along the forms, drawn together by few lightnesses."""
    calm = saturate(smooth(image, 3, 50), 1.5, 1.04)
    lab = to_lab(to_u8(given.means(calm))[None])[0]
    lab[:, 0] = 30 + 0.86 * lab[:, 0] + 22 * (given.values - 0.5)
    lab[:, 2] += 2 + 14 * (given.values * 3 % 1 - 0.5)
    touches = to_rgb(lab[None])[0].astype(np.float32)
    ground = cv2.GaussianBlur(calm, (0, 0), 3).astype(np.float32) * 0.9
    return to_u8(given.fill(touches, ground) + (3 * given.s)[..., None])


def pop_art(image: Image, given: Given) -> Image:
    """A comic's halftone: strong flat colour, printed as dots on paper where it is light, inside bold black lines."""
    flat = posterise(saturate(smooth(image, 4, 60), 2.3, 1.15), 3).astype(np.float32)
    gray = cv2.GaussianBlur(gray_of(image), (0, 0), 3)
    # dots touch where it is darker than a half, and never vanish
    printed = step_up(given.screen + np.clip(1.6 - 1.5 * gray, 0.28, 1.3) - 1.05, 14)
    paper = np.float32([252, 246, 226])
    colour = paper + (flat - paper) * (0.2 + 0.8 * printed[..., None])
    return to_u8(colour * given.ink(20)[..., None])


def woodcut(image: Image, given: Given) -> Image:
    """Black on cream: cuts along the forms, wide in the light, none in the dark."""
    gray = cv2.GaussianBlur(local_tone(smooth(image, 2), 1.7), (0, 0), 1.0)
    tone = step_up(gray * 1.25 - 0.6 + 0.17 * given.s, 15)
    return tint(tone * given.ink(16), (24, 16, 12), (240, 226, 198))


def linocut(image: Image, given: Given) -> Image:
    """Three inks, vermilion, ochre and black, carved along the forms."""
    gray = cv2.GaussianBlur(local_tone(smooth(image, 4, 60), 1.4), (0, 0), 1.5)
    black, red = (step_up(gray - at + 0.05 * given.s, 26)[..., None] for at in (0.3, 0.52))
    paper = step_up(gray - 0.74 + 0.05 * given.s, 26)[..., None]
    inks = np.float32([[26, 24, 30], [204, 66, 40], [232, 176, 84], [248, 238, 214]])
    return to_u8(inks[0] + (inks[1] - inks[0]) * black + (inks[2] - inks[1]) * red + (inks[3] - inks[2]) * paper)


def etching(image: Image, given: Given) -> Image:
    """Black on warm white: fine lines along the forms, denser in the shadows."""
    gray = cv2.GaussianBlur(gray_of(smooth(image, 2)), (0, 0), 0.8)
    paper = step_up(gray * 1.5 - 0.52 + 0.2 * given.s, 11) * given.ink(16)
    return tint(paper, (26, 22, 22), (248, 243, 230))


def engraving(image: Image, given: Given) -> Image:
    """White heightening on blue paper, with dark lines in the shadows."""
    gray = cv2.GaussianBlur(local_tone(smooth(image, 2), 1.5), (0, 0), 0.8)
    white = step_up(gray - 0.72 + 0.13 * given.s, 12)[..., None]
    dark = (step_up(0.36 - gray + 0.12 * given.s, 12) * 0.9)[..., None]
    paper = np.float32([98, 126, 158])
    picture = paper + (np.float32([240, 242, 238]) - paper) * white
    picture += (np.float32([22, 32, 56]) - picture) * dark
    return to_u8(picture * (0.35 + 0.65 * given.ink(16))[..., None])


def comic(image: Image, given: Given) -> Image:
    """Flat colours, bold lines, and hatching along the forms in the shadows."""
    calm = cv2.GaussianBlur(smooth(image, 5, 60), (0, 0), 1.0)
    flat = posterise(saturate(calm, 1.5, 1.2), 3).astype(np.float32)
    gray = cv2.GaussianBlur(gray_of(calm), (0, 0), 1.0)
    hatching = step_up(gray * 1.8 - 0.5 + 0.28 * given.s, 12)
    lines = given.ink(22)
    ink = np.minimum(hatching, lines)[..., None]
    return to_u8(np.float32([18, 16, 26]) * (1 - ink) + flat * ink)


def coloured_pencil(image: Image, given: Given) -> Image:
    """Strokes of colour along the forms with the white paper between them, the darker the denser."""
    flat = saturate(smooth(image, 3), 1.7, 1.05).astype(np.float32)
    gray = cv2.GaussianBlur(gray_of(image), (0, 0), 1.5)
    cover = np.clip(1.02 - 0.72 * gray + 0.2 * given.s, 0.06, 1)[..., None]
    lines = 0.45 + 0.55 * given.ink(12)[..., None]
    return to_u8((252 + (flat - 252) * cover) * lines)


def crayon(image: Image, given: Given) -> Image:
    """Broad waxy strokes in few strong colours on brown paper that shows through."""
    flat = posterise(saturate(cv2.GaussianBlur(smooth(image, 4, 60), (0, 0), 1.5), 2.0, 1.15), 4).astype(np.float32)
    broad = cv2.GaussianBlur(given.s, (0, 0), 1.2) * 1.8
    cover = step_up(broad + 0.55, 3.5)[..., None] * 0.92
    paper = np.float32([176, 148, 112])
    return to_u8(paper + (flat - paper) * cover)


def pastel(image: Image, given: Given) -> Image:
    """Soft chalk in tender colours, smeared along the forms."""
    soft = given.along(cv2.GaussianBlur(image, (0, 0), 1.5), 2, 6)
    tender = 96 + 0.64 * saturate(to_u8(soft), 1.5, 1.1).astype(np.float32)
    return to_u8(tender + (9 * given.s)[..., None])


def fresco(image: Image, given: Given) -> Image:
    """Earth pigments on lime plaster, worn and cracked along the borders of plaster patches."""
    calm = cv2.GaussianBlur(smooth(image, 4, 50), (0, 0), 1.0)
    earth = gradient(0.08 + 0.86 * gray_of(calm), EARTH)
    lab, own = to_lab(to_u8(earth)), to_lab(saturate(calm, 1.1))
    lab[..., 1:] = 128 + 0.55 * (lab[..., 1:] - 128) + 0.5 * (own[..., 1:] - 128)
    worn = np.clip(cv2.GaussianBlur(given.s, (0, 0), 4) * 1.6 - 0.3, 0, 1)[..., None] * 0.5
    wall = to_rgb(lab).astype(np.float32) + (5 * given.s)[..., None]
    wall += (np.float32([226, 214, 192]) - wall) * worn
    return to_u8(wall * (0.45 + 0.55 * given.cells.cover)[..., None])


def risograph(image: Image, given: Given) -> Image:
    """Two inks, blue and fluorescent pink, in coarse grain on cream paper."""
    calm = cv2.GaussianBlur(image, (0, 0), 1.0).astype(np.float32) / 255
    gray, warmth = calm @ np.float32([0.3, 0.59, 0.11]), calm[..., 0] - calm[..., 2]
    blue = step_up(0.5 - gray - 0.5 * warmth + 0.16 * given.s, 9)[..., None]
    pink = step_up(0.62 - gray + 0.9 * warmth - 0.16 * given.s, 9)[..., None]
    paper = np.float32([246, 240, 224])
    return to_u8(
        paper * (1 - blue * (1 - np.float32([30, 88, 190]) / 255)) * (1 - pink * (1 - np.float32([255, 92, 140]) / 255))
    )


def charcoal(image: Image, given: Given) -> Image:
    """Smudged tones on toned paper, with the grain of the strokes."""
    tone = np.clip((local_tone(smooth(image, 2), 1.8) - 0.1) * 1.15, 0, 1) ** 1.1
    grainy = tone + 0.11 * given.s * (1 - tone)
    return tint(np.clip(grainy * (0.4 + 0.6 * given.ink(10)), 0, 1), (22, 20, 20), (228, 222, 210))


def pencil(image: Image, given: Given) -> Image:
    """Graphite: contours, and shading strokes along the forms."""
    gray = gray_of(image)
    contours = 0.25 + 0.75 * given.ink(7)
    shade = np.clip(0.62 + 0.42 * cv2.GaussianBlur(gray, (0, 0), 1.5) + 0.1 * given.s * (1 - gray), 0, 1)
    return tint(np.clip(contours * shade, 0, 1), (45, 45, 50), (250, 248, 242))


def vintage(image: Image, given: Given) -> Image:
    """Sepia with a little grain."""
    gray = np.clip((gray_of(image) - 0.5) * 0.85 + 0.52, 0, 1)
    return tint(np.clip(gray + 0.025 * given.s, 0, 1), (44, 28, 14), (242, 222, 184))


def cyanotype(image: Image, given: Given) -> Image:
    """Prussian blue with brushed grain."""
    gray = np.clip((gray_of(image) - 0.5) * 1.1 + 0.54, 0, 1)
    return tint(np.clip(gray + 0.03 * given.s, 0, 1), (8, 34, 92), (226, 238, 244))


def chalkboard(image: Image, given: Given) -> Image:
    """White chalk lines and dusty light on a dark green board."""
    gray = cv2.GaussianBlur(gray_of(image), (0, 0), 1.5)
    lines = cv2.GaussianBlur(1 - given.ink(20), (0, 0), 0.7)
    dust = 0.34 * np.clip(gray - 0.25, 0, 1) * np.clip(0.8 + 0.4 * given.s, 0, 2)
    return tint(np.clip(0.95 * lines + dust, 0, 1), (28, 52, 44), (240, 242, 232))


PAINTERS: dict[str, Callable[[Image, Given], Image]] = LOOKS | {
    "watercolour": watercolour, "oil": oil, "pencil": pencil, "charcoal": charcoal, "mosaic": mosaic,
    "woodcut": woodcut, "stained-glass": stained_glass, "vintage": vintage, "etching": etching,
    "pointillism": pointillism, "chalkboard": chalkboard, "coloured-pencil": coloured_pencil, "cyanotype": cyanotype,
    "van-gogh": van_gogh, "impressionist": impressionist, "gouache": gouache, "linocut": linocut,
    "engraving": engraving, "comic": comic, "crayon": crayon, "pastel": pastel, "fresco": fresco,
    "risograph": risograph, "pop-art": pop_art,
}  # fmt: skip

CELLS = {
    "mosaic": "stones",
    "stained-glass": "panes",
    "pointillism": "dots",
    "impressionist": "dabs",
    "fresco": "panes",
    "gouache": "brush",
    "pop-art": SCREEN,
}
"""Which kind of cells a look wants."""

PIXELS = {"pixel-art": 96}
"""How many rows of pixels results in a look are made of."""
