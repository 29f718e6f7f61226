"""The looks that `pocket` learns: one function a look, photo in, rendition out.

Each is deterministic and stable under small motion (filters and fixed grids, no random strokes), so that the renditions
of two neighbouring frames are neighbours too. Pictures are uint8 RGB `[H, W, 3]`. Grids (mosaic, pixel art, halftone)
have a period of 8 or 4 pixels, the autoencoder's own, so that they survive the latent space crisply.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

Image = np.ndarray


def _gray(image: Image) -> np.ndarray:
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255


def smooth(image: Image, rounds: int = 2, colour: float = 40.0) -> Image:
    for _ in range(rounds):
        image = cv2.bilateralFilter(image, 7, colour, 5)
    return image


def _saturate(image: np.ndarray, factor: float, value: float = 1.0) -> Image:
    hsv = cv2.cvtColor(image.astype(np.uint8), cv2.COLOR_RGB2HSV).astype(np.float32)
    hsv[..., 1] = np.clip(hsv[..., 1] * factor, 0, 255)
    hsv[..., 2] = np.clip(hsv[..., 2] * value, 0, 255)
    return cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB)


def ink_lines(image: Image, sigma: float = 1.0, sharpness: float = 14.0) -> np.ndarray:
    """Ink lines by a difference of Gaussians: 1 = paper, 0 = line (XDoG, Winnemoeller 2011)."""
    gray = _gray(image)
    narrow = cv2.GaussianBlur(gray, (0, 0), sigma)
    wide = cv2.GaussianBlur(gray, (0, 0), sigma * 1.6)
    dog = narrow - 0.98 * wide
    return np.where(dog > 0, 1.0, 1.0 + np.tanh(sharpness * 8 * dog)).clip(0, 1).astype(np.float32)


def _posterise(image: Image, levels: int) -> Image:
    """Fewer lightness levels with soft steps; hue is kept."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32)
    step = 255.0 / levels
    base = np.floor(lab[..., 0] / step)
    lab[..., 0] = np.clip((base + 0.5 + 0.5 * np.tanh(4 * (lab[..., 0] / step - base - 0.5))) * step, 0, 255)
    return cv2.cvtColor(lab.astype(np.uint8), cv2.COLOR_LAB2RGB)


def _kuwahara(image: Image, radius: int) -> Image:
    """Each pixel takes the mean of the calmest of its four quadrants (Kuwahara 1976)."""
    picture = image.astype(np.float32)
    size = radius + 1
    best, calm = picture.copy(), np.full(image.shape[:2], np.inf, np.float32)
    for anchor in ((0, 0), (radius, 0), (0, radius), (radius, radius)):
        mean = cv2.blur(picture, (size, size), anchor=anchor, borderType=cv2.BORDER_REFLECT)
        square = cv2.blur(picture**2, (size, size), anchor=anchor, borderType=cv2.BORDER_REFLECT)
        variance = (square - mean**2).sum(-1)
        take = variance < calm
        best[take], calm[take] = mean[take], variance[take]
    return best.clip(0, 255).astype(np.uint8)


def _tint(gray: np.ndarray, dark: tuple[int, int, int], light: tuple[int, int, int]) -> Image:
    """A gray picture in [0, 1] between two colours."""
    a, b = np.float32(dark), np.float32(light)
    return (a + (b - a) * gray[..., None]).clip(0, 255).astype(np.uint8)


def _paper(shape: tuple[int, int], seed: int, grain: float = 1.2) -> np.ndarray:
    """A fixed paper grain around 0, the same for every picture of this size."""
    noise = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), grain)
    return noise / noise.std()


def watercolour(image: Image) -> Image:
    flat = _kuwahara(smooth(image, 4, 50), 6)
    wash = cv2.GaussianBlur(_saturate(flat, 1.7, 1.15), (0, 0), 1.2).astype(np.float32)
    wash = 252 - (252 - wash) * 0.78
    gray = cv2.GaussianBlur(_gray(flat), (0, 0), 1.0)
    edge = cv2.GaussianBlur(np.hypot(cv2.Sobel(gray, -1, 1, 0), cv2.Sobel(gray, -1, 0, 1)), (0, 0), 1.0)
    pigment = 1 - 0.4 * np.clip(edge * 1.5, 0, 1)[..., None]
    paper = 1 + 0.012 * _paper(gray.shape, 7, 1.5)[..., None]
    return (wash * pigment * paper).clip(0, 255).astype(np.uint8)


def oil(image: Image) -> Image:
    """Broad strokes whose edges stand up in the light, under a warm varnish."""
    strokes = _kuwahara(_kuwahara(_saturate(image, 1.6), 7), 5)
    light = _gray(_kuwahara(image, 3))
    relief = np.clip(cv2.Sobel(light, -1, 1, 0) + cv2.Sobel(light, -1, 0, 1), -0.6, 0.6)
    varnish = np.float32([1.04, 0.96, 0.8])
    return (strokes.astype(np.float32) * varnish * (1 + 0.9 * relief[..., None])).clip(0, 255).astype(np.uint8)


def pencil(image: Image) -> Image:
    gray = _gray(image)
    blurred = cv2.GaussianBlur(gray, (0, 0), 6)
    dodge = np.clip(gray / np.maximum(blurred, 0.02), 0, 1) ** 3.0
    shade = 0.72 + 0.28 * np.clip(cv2.GaussianBlur(gray, (0, 0), 2) * 1.6, 0, 1)
    return _tint(np.clip(dodge * shade, 0, 1), (45, 45, 50), (250, 248, 242))


def ink(image: Image) -> Image:
    lines = ink_lines(smooth(image, 2), 1.1, 22)
    gray = cv2.GaussianBlur(_gray(image), (0, 0), 1.5)
    black = 1 / (1 + np.exp(-(gray - 0.2) * 40))
    return _tint(lines * black, (12, 12, 16), (252, 251, 247))


def charcoal(image: Image) -> Image:
    gray = cv2.createCLAHE(3.0, (4, 4)).apply((_gray(smooth(image, 2)) * 255).astype(np.uint8)) / np.float32(255)
    tone = np.clip((gray - 0.12) * 1.15, 0, 1) ** 1.15
    grainy = tone + 0.10 * _paper(gray.shape, 3, 1.0) * (1 - tone)
    return _tint(np.clip(grainy * (0.4 + 0.6 * ink_lines(image, 1.6, 10)), 0, 1), (22, 20, 20), (228, 222, 210))


def cartoon(image: Image) -> Image:
    """Flat areas of strong colour in four lightnesses, inside bold black lines."""
    flat = _kuwahara(_posterise(_saturate(_kuwahara(smooth(image, 5, 50), 5), 1.9, 1.12), 4), 3)
    return (flat * ink_lines(smooth(image, 4), 1.8, 20)[..., None]).astype(np.uint8)


def pop_art(image: Image) -> Image:
    """Halftone dots on a grid of 8 px over strong flat colour."""
    flat = _posterise(_saturate(smooth(image, 3), 2.3, 1.15), 3)
    gray = cv2.GaussianBlur(_gray(image), (0, 0), 3)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
    screen = 0.5 + 0.25 * (np.cos(2 * np.pi * (x - 3.5) / 8) + np.cos(2 * np.pi * (y - 3.5) / 8))
    dots = 1 / (1 + np.exp((screen - np.clip(gray * 1.5 + 0.12, 0, 1.2)) * 14))
    lines = ink_lines(smooth(image, 3), 1.4, 18)
    return (flat.astype(np.float32) * (0.35 + 0.65 * dots[..., None]) * lines[..., None]).clip(0, 255).astype(np.uint8)


def mosaic(image: Image) -> Image:
    """Square tiles of 8 px with a dark joint and a light upper edge."""
    height, width = image.shape[:2]
    small = cv2.resize(_saturate(image, 1.5), (width // 8, height // 8), interpolation=cv2.INTER_AREA)
    tiles = cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST).astype(np.float32)
    y, x = np.mgrid[:height, :width] % 8
    joint = np.where((x == 0) | (y == 0), 0.45, 1.0) * np.where((x == 1) | (y == 1), 1.12, 1.0)
    joint = joint * np.where((x == 7) | (y == 7), 0.85, 1.0)
    return (tiles * joint[..., None]).clip(0, 255).astype(np.uint8)


def pixel_art(image: Image) -> Image:
    """Pixels of 4 px in 5 levels a channel."""
    height, width = image.shape[:2]
    small = cv2.resize(_saturate(smooth(image, 2), 1.5), (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    levels = np.round(small.astype(np.float32) / 255 * 5) / 5 * 255
    return cv2.resize(levels.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)


def neon(image: Image) -> Image:
    """Glowing magenta and cyan contours over a violet night."""
    flat = smooth(image, 3)
    gray = _gray(flat)
    edge = np.hypot(cv2.Sobel(gray, -1, 1, 0), cv2.Sobel(gray, -1, 0, 1))
    edge = np.clip(edge * 1.4, 0, 1)
    glow = np.clip(edge + 0.9 * cv2.GaussianBlur(edge, (0, 0), 3), 0, 1)[..., None]
    hue = cv2.GaussianBlur(gray, (0, 0), 4)[..., None]
    colour = np.float32([255, 40, 190]) * (1 - hue) + np.float32([40, 235, 255]) * hue
    night = np.float32([10, 6, 34]) + gray[..., None] * np.float32([70, 30, 120])
    return (night * (1 - glow) + colour * glow + 60 * glow**4).clip(0, 255).astype(np.uint8)


def woodcut(image: Image) -> Image:
    """Black on cream, tone by horizontal cuts with a period of 8 px that follow the light."""
    gray = cv2.GaussianBlur(_gray(smooth(image, 2)), (0, 0), 1.0)
    y = np.mgrid[: image.shape[0], : image.shape[1]][0].astype(np.float32)
    cuts = 0.5 + 0.5 * np.cos(2 * np.pi * y / 8)
    tone = 1 / (1 + np.exp(-(gray * 1.25 - 0.12 - 0.62 * cuts) * 12))
    return _tint(tone * ink_lines(image, 1.2, 16), (24, 16, 12), (240, 226, 198))


def stained_glass(image: Image) -> Image:
    """Large panes of glowing colour, lit from behind even where the picture is dark, between lines of lead."""
    lit = (255 * (image.astype(np.float32) / 255) ** 0.65).astype(np.uint8)
    flat = _kuwahara(_kuwahara(_saturate(lit, 2.4, 1.1), 10), 8)
    flat = _posterise(flat, 4)
    gray = cv2.GaussianBlur(_gray(flat), (0, 0), 1.0)
    edge = np.hypot(cv2.Sobel(gray, -1, 1, 0), cv2.Sobel(gray, -1, 0, 1))
    lead = 1 / (1 + np.exp(np.minimum((cv2.dilate(edge, np.ones((3, 3))) - 0.16) * 40, 50)))
    return (flat.astype(np.float32) * lead[..., None] + 14 * (1 - lead[..., None])).clip(0, 255).astype(np.uint8)


def vintage(image: Image) -> Image:
    gray = np.clip((_gray(image) - 0.5) * 0.85 + 0.52, 0, 1)
    return _tint(np.clip(gray + 0.025 * _paper(gray.shape, 5, 0.8), 0, 1), (44, 28, 14), (242, 222, 184))


def blueprint(image: Image) -> Image:
    lines = 1 - ink_lines(smooth(image, 2), 1.0, 22)
    shade = 0.13 * cv2.GaussianBlur(_gray(image), (0, 0), 2)
    return _tint(np.clip(lines + shade, 0, 1), (18, 52, 128), (238, 246, 255))


def etching(image: Image) -> Image:
    """Black on warm white; crossed diagonal hatching with a period of 8 px, one more direction at each darker step."""
    gray = cv2.GaussianBlur(_gray(smooth(image, 2)), (0, 0), 0.8)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
    paper = np.ones_like(gray)
    for start, phase in ((0.72, x + y), (0.48, x - y), (0.26, x + y + 4)):
        hatch = 0.5 + 0.5 * np.cos(2 * np.pi * phase / 8)
        depth = np.clip((start - gray) / 0.24, 0, 1)
        paper *= 1 - 0.85 / (1 + np.exp(-(hatch - 1 + 0.75 * depth) * 12)) * (depth > 0)
    return _tint(paper * ink_lines(image, 1.0, 16), (26, 22, 22), (248, 243, 230))


def paper_cut(image: Image) -> Image:
    """Five layers of coloured paper from deep blue to cream, each throwing a soft shadow on the one below."""
    gray = cv2.GaussianBlur(_gray(_kuwahara(smooth(image, 4, 50), 6)), (0, 0), 1.5)
    palette = np.float32([[28, 38, 84], [36, 98, 132], [92, 168, 160], [240, 190, 110], [252, 238, 208]])
    picture = np.broadcast_to(palette[0], image.shape).copy()
    for level, colour in zip((0.2, 0.38, 0.56, 0.74), palette[1:], strict=True):
        layer = 1 / (1 + np.exp(-(gray - level) * 60))
        shadow = np.roll(cv2.GaussianBlur(layer, (0, 0), 4), (4, 4), (0, 1))
        picture *= 1 - 0.5 * (shadow * (1 - layer))[..., None]
        picture += (colour - picture) * layer[..., None]
    return picture.clip(0, 255).astype(np.uint8)


def noir(image: Image) -> Image:
    """High-contrast black and white with a lit and a dark side, nothing between but a soft edge."""
    gray = cv2.createCLAHE(2.0, (4, 4)).apply((_gray(smooth(image, 3)) * 255).astype(np.uint8)) / np.float32(255)
    gray = cv2.GaussianBlur(gray, (0, 0), 1.0)
    return _tint(1 / (1 + np.exp(-(gray - 0.45) * 22)), (6, 6, 8), (244, 244, 242))


def thermal(image: Image) -> Image:
    gray = (cv2.GaussianBlur(_gray(image), (0, 0), 1.0) * 255).astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(gray, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)


def pointillism(image: Image) -> Image:
    """Round dabs of pure colour on a grid of 8 px over a pale ground, neighbours leaning to warm and to cold."""
    height, width = image.shape[:2]
    small = cv2.resize(_saturate(image, 1.9, 1.1), (width // 8, height // 8), interpolation=cv2.INTER_AREA)
    small = small.astype(np.float32)
    lean = np.where((np.add.outer(np.arange(height // 8), np.arange(width // 8)) % 2)[..., None], 1.0, -1.0)
    small = small + lean * np.float32([26, 4, -30])
    dabs = cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)
    y, x = np.mgrid[:height, :width].astype(np.float32) % 8 - 3.5
    cover = 1 / (1 + np.exp((np.hypot(x, y) - 3.6) * 3))[..., None]
    ground = 0.55 * cv2.GaussianBlur(image, (0, 0), 6).astype(np.float32) + 105
    return (ground + (dabs - ground) * cover).clip(0, 255).astype(np.uint8)


def chalkboard(image: Image) -> Image:
    """White chalk lines and dusty light on a dark green board."""
    gray = cv2.GaussianBlur(_gray(image), (0, 0), 1.5)
    lines = cv2.GaussianBlur(1 - ink_lines(smooth(image, 2), 1.3, 20), (0, 0), 0.7)
    dust = 0.26 * np.clip(gray - 0.3, 0, 1) * np.clip(0.85 + 0.25 * _paper(gray.shape, 11, 0.9), 0, 2)
    return _tint(np.clip(0.95 * lines + dust, 0, 1), (28, 52, 44), (240, 242, 232))


def coloured_pencil(image: Image) -> Image:
    """Diagonal strokes of colour with the white paper between them, the darker the denser."""
    flat = _saturate(smooth(image, 3), 1.6, 1.05).astype(np.float32)
    gray = cv2.GaussianBlur(_gray(image), (0, 0), 1.5)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
    strokes = 0.5 + 0.5 * np.cos(2 * np.pi * (x + y) / 8)
    cover = np.clip(0.95 - 0.75 * gray * (0.35 + 0.65 * strokes), 0.12, 1)[..., None]
    lines = 0.35 + 0.65 * ink_lines(image, 1.0, 12)[..., None]
    return ((250 + (flat - 250) * cover) * lines).clip(0, 255).astype(np.uint8)


def cyanotype(image: Image) -> Image:
    gray = np.clip((_gray(image) - 0.5) * 1.1 + 0.54, 0, 1)
    return _tint(np.clip(gray + 0.03 * _paper(gray.shape, 13, 0.9), 0, 1), (8, 34, 92), (226, 238, 244))


DRAWN_LOOKS: dict[str, Callable[[Image], Image]] = {
    "watercolour": watercolour, "oil": oil, "pencil": pencil, "ink": ink, "charcoal": charcoal, "cartoon": cartoon,
    "pop-art": pop_art, "mosaic": mosaic, "pixel-art": pixel_art, "neon": neon, "woodcut": woodcut,
    "stained-glass": stained_glass, "vintage": vintage, "blueprint": blueprint, "etching": etching,
    "paper-cut": paper_cut, "noir": noir, "thermal": thermal, "pointillism": pointillism, "chalkboard": chalkboard,
    "coloured-pencil": coloured_pencil, "cyanotype": cyanotype,
}  # fmt: skip

PHOTO = "photo"
"""The look that changes nothing; trained so that "a photo" is a prompt too."""
