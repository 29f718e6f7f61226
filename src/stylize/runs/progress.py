"""Progress, speed and report of a run; durations as text; the peak memory of the process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

Progress = Callable[[int, int | None], None]
"""Called with the number of frames done and the number of all frames; the latter is `None` if not known."""


@dataclass(frozen=True)
class Report:
    """The result of a run: what was done, and the time and memory that it took."""

    output: str
    model: str
    seed: int
    frames: int
    shots: int
    keyframes: int
    """Frames that were diffused; the others were filled in between them or repeated."""
    seconds: float
    unet_evals_per_frame: float
    """Samples that went through the UNet per frame; guidance counts double."""
    peak_rss_mb: float | None
    peak_vram_mb: float | None
    concealed: int = 0
    """Frames of the source that could not be decoded and repeat the one before."""
    resumed_from: int = 0
    """Frames that an earlier, unfinished run had already done."""
    workers: int = 1
    units: int = 1
    """Parts of the video that were restyled by themselves."""
    retries: int = 0
    """Times that a part was begun again because its worker was lost."""
    worker_seconds: tuple[float, ...] = ()
    """Seconds that each worker spent on this video; empty without workers."""


@dataclass(frozen=True)
class Pace:
    """The speed of a run."""

    done: int
    """Frames done since the run was started or resumed."""
    seconds: float
    """Seconds that they took."""
    left: int | None = None
    """Frames still to do; `None` if not known."""

    @property
    def rate(self) -> float:
        """Frames per second."""
        return self.done / max(self.seconds, 1e-6)

    def __str__(self) -> str:
        """Returns rate and time left: "3.21 frames/s, 40 s left"; empty before the first frame."""
        if self.done < 1:
            return ""
        left = f", {duration(self.left / self.rate)} left" if self.left is not None else ""
        return f"{self.rate:.2f} frames/s{left}"


def duration(seconds: float) -> str:
    """Returns seconds as people say them: "40 s", "12 min", "3 h 20 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def peak_rss_mb() -> float | None:
    """Returns the peak resident memory of this process in megabytes; `None` on Windows."""
    if sys.platform == "win32":
        return None
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, other systems kibibytes
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)
