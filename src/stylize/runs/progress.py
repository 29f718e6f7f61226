"""What a run says while it works and when it is done."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

Progress = Callable[[int, int | None], None]
"""Called with the frames done and the frames there will be, as far as known."""


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


@dataclass(frozen=True)
class Pace:
    """How quickly a run gets on."""

    done: int
    """Frames done in this sitting."""
    seconds: float
    """That they took."""
    left: int | None = None
    """Frames still to do, as far as known."""

    @property
    def rate(self) -> float:
        """Frames a second."""
        return self.done / max(self.seconds, 1e-6)

    def __str__(self) -> str:
        """Rate and time left: "3.21 frames/s, 40 s left"."""
        if self.done < 1:
            return ""
        left = f", {duration(self.left / self.rate)} left" if self.left is not None else ""
        return f"{self.rate:.2f} frames/s{left}"


def duration(seconds: float) -> str:
    """As people say it: "40 s", "12 min", "3 h 20 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def peak_rss_mb() -> float | None:
    """The process's peak resident memory; not known on Windows."""
    if sys.platform == "win32":
        return None
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kibibytes elsewhere
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)
