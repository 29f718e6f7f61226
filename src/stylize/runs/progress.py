"""TODO"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import torch

Progress = Callable[[int, int | None], None]
"""Called with the frames done and the frames there will be, as far as known."""


def duration(seconds: float) -> str:
    """As people say it: "40 s", "12 min", "3 h 20 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


@dataclass(frozen=True)
class Report:
    """What a run did and what it took."""

    output: str
    model: str
    seed: int
    frames: int
    shots: int
    keyframes: int
    """Frames that were diffused; the others were filled in between them or repeated."""
    seconds: float
    unet_evals_per_frame: float
    """Samples that went through the UNet, guidance counted double."""
    peak_rss_mb: float | None
    peak_vram_mb: float | None
    concealed: int = 0
    """Frames of the source that could not be decoded and show the one before."""
    resumed_from: int = 0
    """Frames that an earlier, unfinished run had done."""


def _peak_rss_mb() -> float | None:
    """The process's peak resident memory; not known on Windows."""
    if sys.platform == "win32":
        return None
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kibibytes elsewhere
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)


def _peak_vram_mb(device: torch.device) -> float | None:
    return round(torch.cuda.max_memory_allocated(device) / 1e6, 1) if device.type == "cuda" else None
