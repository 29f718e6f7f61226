"""What the benchmarks share: a moving synthetic clip, and the words for the hardware."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch

from stylize import Clip


def moving_clips(frames: int, width: int, height: int, rate: int = 25) -> Iterator[Clip]:
    """A soft colour field that drifts under a square that crosses it; one clip a frame, made when asked for."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    for i in range(frames):
        rgb = np.stack([128 + 60 * np.sin((x + i) / 17), 110 + 50 * np.cos((y - i) / 13), 90 + 60 * np.sin(x / 29)], -1)
        left = int(2 * i % max(1, width - 16))
        rgb[height // 4 : height // 2, left : left + 16] = (235, 220, 40)
        picture = rgb.clip(0, 255).astype(np.uint8)
        yield Clip(picture[None], (Fraction(i, rate),), (Fraction(1, rate),), i)


def hardware() -> str:
    """The processor, its cores, the GPU if there is one, and torch's version."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        name = names[0] if names else name
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{name}, {os.cpu_count()} cores{gpu}, torch {torch.__version__}"


@contextmanager
def peak_rss_mb() -> Iterator[list[float]]:
    """The list gets the process's peak resident memory within the block (Linux; NaN elsewhere)."""
    peak: list[float] = []
    reset, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    if reset.exists():
        reset.write_text("5")
    yield peak
    lines = status.read_text().splitlines() if status.exists() else []
    peak.append(next((int(line.split()[1]) / 1e3 for line in lines if line.startswith("VmHWM")), float("nan")))


def resident_mb() -> float:
    """This process's resident memory now (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def source_video(folder: Path, frames: int, size: tuple[int, int]) -> Path:
    """A real file, so that reading it is measured too."""
    path = folder / "source.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for clip in moving_clips(frames, *size):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(clip.frames[0], format="rgb24")))
        container.mux(stream.encode(None))
    return path
