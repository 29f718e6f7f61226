"""Chooses the codec, container, pixel format and settings that a video is written with."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2

from stylize.decode.colour import MATRIX_OF_SWSCALE, Colour
from stylize.encode.priority import usual_priority
from stylize.errors import StyleError, VideoError

PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
NUMBERED = re.compile(r"([^%]*)%0?\d*d([^%]*)")
"""The name of a sequence of numbered pictures: `frame-%05d.png`."""


@dataclass(frozen=True)
class Codec:
    """An encoder for pictures, with its pixel formats and its range of quality."""

    encoder: str
    """FFmpeg's name of the encoder."""
    plain: str
    """Usual pixel format."""
    odd: str = ""
    """Pixel format for odd widths or heights; empty if it has no special one."""
    alpha: str = ""
    """Pixel format with transparency; empty if it has none."""
    crf: tuple[int, int] | None = None
    """Default and largest constant rate factor."""
    least: int = 1
    """Smallest side that the encoder takes, in pixels."""
    narrowest: int = 1
    """Smallest width that it takes, in pixels."""
    fastest: int | None = None
    """Most frames a second that it takes."""


CODECS: Mapping[str, Codec] = {
    "h264": Codec("libx264", "yuv420p", "yuv444p", crf=(17, 51)),
    # x265 4.1 writes beyond its memory at 34x20 and 48x16, and ends the process
    "h265": Codec("libx265", "yuv420p", "yuv444p", crf=(19, 51), least=16, narrowest=64),
    "av1": Codec("libsvtav1", "yuv420p", crf=(23, 63), least=16, narrowest=16, fastest=240),
    "vp9": Codec("libvpx-vp9", "yuv420p", "yuv444p", "yuva420p", crf=(22, 63)),
    "prores": Codec("prores_ks", "yuv422p10le", "yuv444p10le", "yuva444p10le"),
    "ffv1": Codec("ffv1", "bgr0", alpha="bgra"),
    "gif": Codec("gif", "pal8", alpha="pal8"),
    "png": Codec("png", "rgb24", alpha="rgba"),
}


@dataclass(frozen=True)
class Container:
    """A type of video file, chosen by its suffix."""

    format: str
    """FFmpeg's name of the muxer."""
    codecs: tuple[str, ...]
    """Names of the codecs that it holds; the first is the default."""
    sound: str = ""
    """Encoder for sound that it cannot hold as it is; empty if it holds none at all."""
    options: Mapping[str, str] | None = None

    @property
    def is_quicktime(self) -> bool:
        """True for mp4 and mov, which are one format with two names."""
        return self.format in ("mp4", "mov")


FASTSTART = {"movflags": "+faststart"}
CONTAINERS: Mapping[str, Container] = {
    ".mp4": Container("mp4", ("h264", "h265", "av1"), "aac", FASTSTART),
    ".m4v": Container("mp4", ("h264", "h265"), "aac", FASTSTART),
    ".mov": Container("mov", ("prores", "h264", "h265"), "aac", FASTSTART),
    ".mkv": Container("matroska", ("ffv1", "h264", "h265", "av1", "vp9"), "flac"),
    ".webm": Container("webm", ("vp9", "av1"), "libopus"),
    ".gif": Container("gif", ("gif",)),
    ".png": Container("image2", ("png",)),
}


@dataclass(frozen=True)
class Encoding:
    """Settings with which a video is written; `choose_encoding` fills in those that are left open.

    Raises:
        VideoError: no such kind of file, or it cannot hold the codec.
        StyleError: a setting is out of range.
    """

    suffix: str
    codec: str
    pixel_format: str
    crf: int | None = None
    preset: str = "medium"

    @property
    def container(self) -> Container:
        """The type of the output file."""
        return CONTAINERS[self.suffix]

    @property
    def carrier(self) -> Container:
        """The type of the segments' files: that of the output, or Matroska (FFV1) if frames are encoded at the end."""
        return CONTAINERS[".mkv"] if self.at_the_end else self.container

    @property
    def at_the_end(self) -> bool:
        """True if the final codec (gif, png) encodes all frames only once they are done."""
        return self.codec in ("gif", "png")

    def add_stream(self, container: Any, rate: Fraction, size: tuple[int, int], base: Fraction, aspect: Fraction,
                   colour: Colour, *, alpha: bool) -> Any:  # fmt: skip
        """Adds the encoder for the segments to an open container, and returns its stream."""
        codec = CODECS["ffv1" if self.at_the_end else self.codec]
        stream = container.add_stream(codec.encoder, rate=rate, options=self._options(codec))
        stream.width, stream.height = size
        stream.pix_fmt = (codec.alpha if alpha else codec.plain) if self.at_the_end else self.pixel_format
        context = stream.codec_context
        stream.time_base = context.time_base = base
        context.sample_aspect_ratio = aspect
        if not is_rgb(stream.pix_fmt):
            colour.tag(context)
        if self.codec == "h265" and self.container.is_quicktime:
            context.codec_tag = "hvc1"  # what Apple's players ask for
        if codec.encoder == "libsvtav1":
            with usual_priority():
                context.open(strict=False)
        return stream

    def _options(self, codec: Codec) -> dict[str, str]:
        crf = {} if self.crf is None else {"crf": str(self.crf)}
        speed = PRESETS.index(self.preset)
        return {
            "libx264": crf | {"preset": self.preset} | repeatable_x264(),
            "libx265": crf | {"preset": self.preset, "x265-params": "log-level=error"},
            "libsvtav1": crf | {"preset": str(12 - speed), "svtav1-params": "enable-stat-report=0"},
            "libvpx-vp9": crf | {"b": "0", "deadline": "good", "cpu-used": str(max(0, 6 - speed // 2)), "row-mt": "1"},
            "prores_ks": {"profile": "4" if self.pixel_format.startswith(("yuv444", "yuva")) else "3"},
            "ffv1": {"level": "3", "g": "1", "slicecrc": "1"},
        }[codec.encoder]

    def target(self, colour: Colour) -> dict[str, int]:
        """Returns arguments for `reformat` that give the colour of its result."""
        if is_rgb(self.pixel_format) or self.at_the_end:
            return {}
        return {"dst_colorspace": MATRIX_OF_SWSCALE[colour.matrix], "dst_color_range": colour.range}


AVX_512F = 13
"""OpenCV's number for the instruction set (`CV_CPU_AVX_512F`)."""


def repeatable_x264() -> dict[str, str]:
    """Returns options that keep x264 from using AVX-512 where the machine has it.

    With AVX-512, x264's macroblock tree reads memory that was never written (seen with MALLOC_PERTURB_ in x264 of
    PyAV 17's wheels): the same frames are then encoded differently from run to run.
    """
    return {"x264-params": "asm=avx2"} if cv2.checkHardwareSupport(AVX_512F) else {}


def is_rgb(pixel_format: str) -> bool:
    """True if the pixel format is RGB, to which matrix and range do not apply."""
    return pixel_format.startswith(("bgr", "rgb", "gbr"))


def choose_encoding(
    path: str | os.PathLike[str],
    size: tuple[int, int],
    *,
    codec: str | None = None,
    crf: int | None = None,
    preset: str = "medium",
    pixel_format: str | None = None,
    alpha: bool = False,
    rate: Fraction = Fraction(25),
) -> Encoding:
    """Returns the encoding for a file of this name and size, with good defaults for arguments that are `None`.

    Raises:
        VideoError: no such kind of file, it cannot hold the codec, or the codec cannot hold the size or rate.
        StyleError: a setting is out of range.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in CONTAINERS:
        raise VideoError(f"{path}: cannot write this kind of file", f"end the name in {', '.join(CONTAINERS)}")
    if suffix == ".png" and not NUMBERED.fullmatch(Path(path).name):
        raise VideoError(f"{path}: is one picture", "number them: frame-%05d.png")
    container = CONTAINERS[suffix]
    name = container.codecs[0] if codec is None else codec
    if name not in container.codecs:
        raise VideoError(f"{path}: {suffix} does not hold {name} here", f"use {' or '.join(container.codecs)}")
    chosen = CODECS[name]
    odd = bool(size[0] % 2 or size[1] % 2)
    if odd and not chosen.odd and chosen.plain.startswith("yuv420"):
        raise VideoError(f"{path}: {name} cannot hold the odd size {size[0]}x{size[1]}", "choose another codec")
    _check_settings(name, chosen, crf, preset, pixel_format)
    _check_limits(path, name, chosen, size, rate)
    usual = chosen.alpha if alpha and chosen.alpha else chosen.odd if odd and chosen.odd else chosen.plain
    default = chosen.crf[0] if chosen.crf else None
    return Encoding(suffix, name, pixel_format or usual, default if crf is None else crf, preset)


def _check_limits(path: str | os.PathLike[str], name: str, codec: Codec, size: tuple[int, int], rate: Fraction) -> None:
    if min(size) < codec.least or size[0] < codec.narrowest:
        what, least = f"{path}: {name} cannot hold {size[0]}x{size[1]}", f"{codec.narrowest}x{codec.least}"
        raise VideoError(what, f"it takes {least} pixels and more: choose --codec h264, or another --size")
    if codec.fastest is not None and rate > codec.fastest:
        what = f"{path}: {name} cannot hold {float(rate):g} frames a second"
        raise VideoError(what, f"it takes up to {codec.fastest}: choose --codec h264")


def _check_settings(name: str, codec: Codec, crf: int | None, preset: str, pixel_format: str | None) -> None:
    if preset not in PRESETS:
        raise StyleError(f"unknown preset '{preset}'", f"use one of {', '.join(PRESETS)}")
    if crf is not None and codec.crf is None:
        raise StyleError(f"{name} has no crf", "leave it out")
    if crf is not None and codec.crf is not None and not 0 <= crf <= codec.crf[1]:
        raise StyleError(f"crf {crf} is out of range", f"use 0 to {codec.crf[1]}")
    if pixel_format is not None:
        import av

        known = [f.name for f in av.Codec(codec.encoder, "w").video_formats or ()]
        if pixel_format not in known:
            raise StyleError(f"{name} has no pixel format '{pixel_format}'", f"use one of {', '.join(known)}")
