"""Makes videos for the tests, with PyAV alone, and reads them back: the oracle that shares no code with the package."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

VARIABLE = [0, 900, 2100, 2400, 5000, 5700, 6100, 9000]
"""Times of eight frames in ticks, none a regular step from the last."""
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "constant": ("constant.mp4", {"sound": True}),
    "ntsc": ("ntsc.mp4", {"rate": Fraction(30000, 1001), "sound": True}),
    "variable": ("variable.mp4", {"pts": VARIABLE, "time_base": Fraction(1, 90000), "sound": True}),
    "variable mkv": ("variable.mkv", {"pts": VARIABLE, "time_base": Fraction(1, 1000)}),
    "odd size": ("odd.mp4", {"width": 61, "height": 45, "pixel_format": "yuv444p"}),
    "one frame": ("one.mp4", {"count": 1}),
    "b-frames": ("b.mp4", {"count": 30, "options": {"preset": "medium", "bf": "3"}}),
    "late start": ("late.mp4", {"pts": [100 + i for i in range(8)]}),
}
"""Kinds of video that differ in timing, size or order: file name and `make_video`'s arguments."""


def make_kind(folder: Path, name: str) -> Path:
    """Writes the video of one of `KINDS`."""
    file, arguments = KINDS[name]
    return make_video(folder / file, **arguments)


def picture(index: int, width: int = 64, height: int = 48) -> np.ndarray:
    """A smooth colour field with a bright square that moves two pixels a frame."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    rgb = np.stack([120 + 60 * np.sin(x / 17), 110 + 50 * np.cos(y / 13), 90 + 0.8 * x], axis=-1)
    left = (5 + 2 * index) % max(1, width - 16)
    rgb[12:28, left : left + 16] = (235, 220, 40)
    return rgb.clip(0, 255).astype(np.uint8)


def make_video(
    path: Path,
    count: int = 8,
    *,
    width: int = 64,
    height: int = 48,
    rate: Fraction = Fraction(25),
    pts: list[int] | None = None,
    time_base: Fraction | None = None,
    sound: bool = False,
    pixel_format: str = "yuv420p",
    codec: str = "libx264",
    pictures: list[np.ndarray] | None = None,
    tagged: bool = True,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Writes `count` frames; with `pts` in ticks of `time_base` the frame rate varies."""
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=rate, options=options or {"crf": "12", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        base = time_base or 1 / rate
        stream.time_base = stream.codec_context.time_base = base
        if tagged:
            context = stream.codec_context
            context.colorspace = context.color_primaries = context.color_trc = context.color_range = 1
        voice = container.add_stream("aac", rate=44100) if sound else None
        for i in range(count):
            pixels = pictures[i] if pictures is not None else picture(i, width, height)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame = frame.reformat(format=pixel_format, dst_colorspace=1 if tagged else 5, dst_color_range=1)
            frame.time_base, frame.pts = base, pts[i] if pts is not None else i
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if voice is not None:
            tone = np.sin(np.arange(44100 * 2) / 20).astype(np.float32)[None] * 0.3
            length = float((pts[-1] if pts else count - 1) * base + 1 / rate)
            for begin in range(0, int(length * 44100), 1024):
                samples = av.AudioFrame.from_ndarray(tone[:, begin % 44100 :][:, :1024], format="fltp", layout="mono")
                samples.rate, samples.pts, samples.time_base = 44100, begin, Fraction(1, 44100)
                container.mux(voice.encode(samples))
            container.mux(voice.encode(None))
    return path


def frame_times(path: Path) -> list[Fraction]:
    """Every frame's time in seconds, decoded by PyAV."""
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def frames(path: Path, *, accurate: bool = False) -> np.ndarray:
    """Every frame, uint8 RGB `[T, H, W, 3]`, decoded by PyAV, with swscale's default arithmetic or its accurate one."""
    how = {"interpolation": 4 | 8192 | 262144} if accurate else {}
    with av.open(str(path)) as container:
        return np.stack([f.reformat(format="rgb24", **how).to_ndarray() for f in container.decode(video=0)])


def sound_packets(path: Path) -> list[tuple[str, Fraction]]:
    """Digest and time of every sound packet."""
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return []
        packets = container.demux(container.streams.audio[0])
        return [(hashlib.md5(bytes(p)).hexdigest(), p.pts * p.time_base) for p in packets if p.pts is not None]


def video_duration(path: Path) -> Fraction:
    """Seconds that the pictures last: the stream's own word, or from the first packet's start to the last one's end."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        if stream.duration:
            return stream.duration * stream.time_base
        packets = [p for p in container.demux(stream) if p.pts is not None]
        ends = stream.metadata.get("DURATION")
    last, first = max(packets, key=lambda p: p.pts), min(p.pts for p in packets)
    if not last.duration and ends:  # Matroska: a tag of the track says when its last frame ends
        hours, minutes, seconds = ends.split(":")
        return 3600 * int(hours) + 60 * int(minutes) + Fraction(seconds) - first * last.time_base
    return (last.pts + last.duration - first) * last.time_base
