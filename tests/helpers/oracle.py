"""An oracle for reading and writing videos: known pictures in exact colours, converted by its own arithmetic.

Every picture has eight flat patches of known RGB and its number as a barcode. RGB becomes YCbCr here, by the equations
of ISO/IEC 23091-2, and back again; of PyAV only encoders, decoders and containers are used, none of its conversions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

PATCHES = np.array(
    [(200, 40, 40), (40, 170, 60), (50, 70, 200), (220, 200, 60), (60, 190, 190), (180, 70, 180), (128, 128, 128),
     (235, 235, 235)], np.float64,
)  # fmt: skip
BITS = 12
WEIGHTS = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
"""Shares of red and blue in luma, by matrix."""


@dataclass
class Variant:
    """One kind of video; what is not said is the plainest."""

    suffix: str = ".mp4"
    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    size: tuple[int, int] = (128, 96)
    count: int = 10
    rate: Fraction = Fraction(25)
    base: Fraction | None = None
    pts: list[int] | None = None
    matrix: int = 1
    primaries: int = 1
    transfer: int = 1
    full_range: bool = False
    tagged: bool = True
    sound: tuple[str, ...] = ()
    rotation: int = 0
    aspect: Fraction = Fraction(1)
    options: dict[str, str] = field(default_factory=dict)
    container_options: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    subtitles: bool = False
    chapters: bool = False

    @property
    def bits(self) -> int:
        return 10 if "10le" in self.pixel_format else 8

    @property
    def alpha(self) -> bool:
        return self.pixel_format.startswith("yuva")


def pattern(index: int, size: tuple[int, int]) -> np.ndarray:
    """RGB `[H, W, 3]` float64: patches above, the number in black and white below."""
    width, height = size
    picture = np.zeros((height, width, 3))
    half = height * 2 // 3 // 2
    for k, colour in enumerate(PATCHES):
        top, left = (k // 4) * half, (k % 4) * width // 4
        picture[top : top + half, left : left + width // 4 + 1] = colour
    for bit in range(BITS):
        left, right = bit * width // BITS, (bit + 1) * width // BITS
        picture[2 * half :, left:right] = 235 if index >> bit & 1 else 20
    return picture


def matte(index: int, size: tuple[int, int]) -> np.ndarray:
    """Opacity `[H, W]` uint8: the left half lets shine through, more with every picture."""
    opacity = np.full((size[1], size[0]), 255, np.uint8)
    opacity[:, : size[0] // 2] = 60 + 10 * (index % 8)
    return opacity


def number_of(picture: np.ndarray) -> int:
    """The number in the barcode."""
    height, width = picture.shape[:2]
    row = picture[height * 2 // 3 // 2 * 2 :].mean((0, 2))
    places = [(2 * bit + 1) * width // (2 * BITS) for bit in range(BITS)]
    return sum(1 << bit for bit, x in enumerate(places) if row[x - 1 : x + 2].mean() > 127)


def patches_of(picture: np.ndarray) -> np.ndarray:
    """Mean colour of the inner part of every patch, `[8, 3]`."""
    height, width = picture.shape[:2]
    half = height * 2 // 3 // 2
    means = []
    for k in range(8):
        top, left = (k // 4) * half, (k % 4) * width // 4
        inner = picture[top + half // 4 : top + half * 3 // 4, left + width // 16 : left + width // 4 - width // 16]
        means.append(inner.mean((0, 1)))
    return np.array(means)


def planes_of(rgb: np.ndarray, variant: Variant) -> list[np.ndarray]:
    """Y, Cb and Cr as integers; the colour planes are averaged where the format halves them."""
    red, blue = WEIGHTS[variant.matrix]
    r, g, b = (rgb[..., c] / 255 for c in range(3))
    y = red * r + (1 - red - blue) * g + blue * b
    cb, cr = (b - y) / (2 * (1 - blue)), (r - y) / (2 * (1 - red))
    scale = 2 ** (variant.bits - 8)
    if variant.full_range:
        top = 2**variant.bits - 1
        planes = [y * top, cb * top + 128 * scale, cr * top + 128 * scale]
    else:
        planes = [(219 * y + 16) * scale, (224 * cb + 128) * scale, (224 * cr + 128) * scale]
    kind = np.uint16 if variant.bits > 8 else np.uint8
    across, down = (2 if "420" in variant.pixel_format or "422" in variant.pixel_format else 1), (
        2 if "420" in variant.pixel_format else 1
    )  # fmt: skip
    small = [p.reshape(p.shape[0] // down, down, p.shape[1] // across, across).mean((1, 3)) for p in planes[1:]]
    return [np.round(p).astype(kind) for p in (planes[0], *small)]


def frame_of(index: int, variant: Variant) -> Any:
    """A frame of FFmpeg's whose planes are filled here."""
    frame = av.VideoFrame(*variant.size, variant.pixel_format)
    planes = planes_of(pattern(index, variant.size), variant)
    if variant.alpha:
        scale = 257 / 64.25 if variant.bits > 8 else 1
        opacity = np.round(matte(index, variant.size).astype(np.float64) * scale)
        planes.append(opacity.astype(planes[0].dtype))
    for plane, values in zip(frame.planes, planes, strict=True):
        line = plane.line_size // values.dtype.itemsize
        padded = np.zeros((plane.height, line), values.dtype)
        padded[:, : values.shape[1]] = values
        plane.update(padded.tobytes())
    if variant.tagged:
        frame.colorspace, frame.color_range = variant.matrix, 2 if variant.full_range else 1
        frame.color_primaries, frame.color_trc = variant.primaries, variant.transfer
    return frame


def make(path: Path, variant: Variant) -> Path:
    """Writes the variant's video."""
    with av.open(str(path), "w", options=variant.container_options) as container:
        container.metadata.update(variant.metadata)
        options = variant.options or {"crf": "2", "preset": "ultrafast"}
        stream = container.add_stream(variant.codec, rate=variant.rate, options=options)
        stream.width, stream.height = variant.size
        stream.pix_fmt = variant.pixel_format
        base = variant.base or 1 / variant.rate
        context = stream.codec_context
        stream.time_base = context.time_base = base
        context.sample_aspect_ratio = variant.aspect
        if variant.tagged:
            context.colorspace, context.color_range = variant.matrix, 2 if variant.full_range else 1
            context.color_primaries, context.color_trc = variant.primaries, variant.transfer
        if variant.rotation:
            stream.set_display_rotation(variant.rotation)
        voices = [container.add_stream(name, rate=48000) for name in variant.sound]
        for voice in voices:
            voice.layout = "mono"
        pts = variant.pts or list(range(variant.count))
        for i in range(variant.count):
            frame = frame_of(i, variant)
            frame.time_base, frame.pts = base, pts[i]
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        for k, voice in enumerate(voices):
            _sing(container, voice, float((pts[-1] + 1) * base), 220 * (k + 1))
    return path


def _sing(container: Any, voice: Any, seconds: float, pitch: float) -> None:
    length = voice.codec_context.frame_size or 1024
    wanted = voice.codec_context.format.name
    for begin in range(0, int(seconds * 48000), length):
        tone = 0.4 * np.sin(2 * np.pi * pitch * (begin + np.arange(length)) / 48000).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
        frame.rate, frame.pts, frame.time_base = 48000, begin, Fraction(1, 48000)
        for piece in av.AudioResampler(format=wanted, layout="mono", rate=48000).resample(frame):
            container.mux(voice.encode(piece))
    container.mux(voice.encode(None))


@dataclass
class Read:
    """What the oracle sees in a file."""

    pictures: list[np.ndarray]
    """RGB `[H, W, 3]` float64."""
    mattes: list[np.ndarray]
    times: list[Fraction]
    matrix: int
    primaries: int
    transfer: int
    full_range: bool
    aspect: Fraction
    codec: str
    metadata: dict[str, str]


def read(path: Path) -> Read:
    """Decodes a file, by its tags."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        decoder = stream.codec_context
        if stream.metadata.get("alpha_mode") == "1":
            decoder = av.CodecContext.create("libvpx-vp9", "r")
        frames = [f for p in container.demux(stream) for f in decoder.decode(p if p.size else None)]
        first = frames[0]
        names = ("colorspace", "color_primaries", "color_trc")
        said = [(int(getattr(first, n)), int(getattr(stream.codec_context, n))) for n in names]
        tags = [second if one == 2 else one for one, second in said]
        pictures, mattes = zip(*(rgb_of(frame) for frame in frames), strict=True)
        return Read(
            list(pictures), [m for m in mattes if m is not None], [f.pts * stream.time_base for f in frames],
            *tags, int(first.color_range) == 2,
            Fraction(stream.sample_aspect_ratio or 1), stream.codec_context.name, dict(container.metadata),
        )  # fmt: skip


def rgb_of(frame: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """A frame's picture and matte; the colour planes are repeated where they are halved."""
    name = frame.format.name
    if name in ("bgr0", "bgra", "rgb24", "rgba", "pal8"):
        pixels = frame.to_ndarray(format="rgba" if name in ("bgra", "rgba", "pal8") else "rgb24").astype(np.float64)
        return pixels[..., :3], pixels[..., 3] if pixels.shape[-1] == 4 else None
    bits = frame.format.components[0].bits
    kind = np.uint16 if bits > 8 else np.uint8
    planes = []
    for plane in frame.planes:
        values = np.frombuffer(plane, kind).reshape(plane.height, -1)[:, : plane.width].astype(np.float64)
        ratio = -(-frame.height // plane.height), -(-frame.width // plane.width)
        planes.append(np.repeat(np.repeat(values, ratio[0], 0), ratio[1], 1)[: frame.height, : frame.width])
    y, cb, cr = planes[:3]
    scale = 2 ** (bits - 8)
    if int(frame.color_range) == 2 or name.startswith("yuvj"):
        top = 2**bits - 1
        y, cb, cr = y / top, (cb - 128 * scale) / top, (cr - 128 * scale) / top
    else:
        y, cb, cr = (y / scale - 16) / 219, (cb / scale - 128) / 224, (cr / scale - 128) / 224
    red, blue = WEIGHTS.get(int(frame.colorspace), WEIGHTS[1 if frame.height >= 720 else 6])
    r, b = y + 2 * (1 - red) * cr, y + 2 * (1 - blue) * cb
    g = (y - red * r - blue * b) / (1 - red - blue)
    opacity = planes[3] / (2**bits - 1) * 255 if len(planes) == 4 else None
    return 255 * np.stack([r, g, b], -1).clip(0, 1), opacity
