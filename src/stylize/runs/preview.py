"""Previews a run: restyles a few frames onto a sheet, and estimates the time, memory and disk of the whole run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stylize.encode.outputs import check_place
from stylize.encode.target import sample_bytes
from stylize.errors import StyleError
from stylize.masks import masking_of
from stylize.networks import Networks, choose_batch
from stylize.networks.budget import MemoryLoad, needs_of
from stylize.pipeline import make_plan, restyle_clips
from stylize.restyle import make_restyler
from stylize.runs.convert import check_paints, explain_memory
from stylize.runs.jobs import Job
from stylize.runs.progress import duration
from stylize.runs.sheets import SUFFIXES, lay_out, write_sheet
from stylize.style import Style

if TYPE_CHECKING:
    from stylize.runs.stylizer import Stylizer


SHARE = {"full": 1.05, "fast": 0.35}
"""Time of a frame in a run, as a share of its time in a preview: batches save about what flow, fusion and encoding cost
(80 frames of 512x288 on two cores: 12.7 s, at 0.15 s for each frame alone; for `fast` see docs/performance.md)."""


@dataclass(frozen=True)
class Preview:
    """The result of a preview: its sheet, and estimates for the whole run."""

    output: str
    frames: int
    """Frames of the source on the sheet."""
    seconds_a_frame: float
    """Seconds to restyle one frame on this machine, the median."""
    frames_in_all: int | None
    """Frames of the whole run; `None` if the header does not tell."""
    memory: int
    """Bytes that the networks take, an estimate."""
    bytes_a_frame: int
    """Bytes of one frame of the result at most: consecutive frames compress better than the distant ones of a sheet."""

    def seconds(self, style: Style) -> float | None:
        """Returns the seconds that the whole run will take; `None` if its number of frames is not known."""
        if self.frames_in_all is None:
            return None
        return self.frames_in_all * self.seconds_a_frame * SHARE[style.mode]

    def cost(self, style: Style) -> str:
        """Returns one sentence on the time, memory and disk space that the whole run will take."""
        line = f"{self.seconds_a_frame:.2f} s a frame here"
        if (seconds := self.seconds(style)) is None or self.frames_in_all is None:
            return line
        disk = self.bytes_a_frame * self.frames_in_all / 1e6
        whole = f"all {self.frames_in_all} frames will take about {duration(seconds)}"
        memory = f"{self.memory / 1e9:.1f} GB of memory for the networks"
        return f"{line}; {whole}, {memory}, and at most {max(disk, 0.1):.1f} MB of disk as an mp4"


def make_preview(
    stylizer: Stylizer,
    source: str | PathLike[str] | Job,
    output: str | PathLike[str],
    style: Style | None,
    *,
    count: int = 4,
    start: float | None = None,
    end: float | None = None,
    fps: Fraction | None = None,
    force: bool = False,
    sweep: Sequence[Style] = (),
    captions: Sequence[str] = (),
) -> Preview:
    """Writes a sheet of `count` frames spread over the source, each above its restyled version.

    Each frame is restyled as the first of a shot: nothing is carried over, as the frames before it are not restyled.

    Args:
        source: a file, or a job that says how frames are made (a still in motion, a larger canvas).
        style: `None` shows the frames of a job as they are.
        sweep: styles to compare, one row each; if empty, `style` makes the only row.
        captions: texts above the rows, the source's first; no text if empty.

    Raises:
        StylizeError: a setting has no meaning, or a file cannot be read or written.
    """
    if style is not None and style.keyframes:
        raise StyleError("a preview cannot carry paintings along", "run a short part of the video: --start 0 --end 2")
    sheet = check_place(output, SUFFIXES, force=force)
    if not 1 <= count <= 24:
        raise StyleError(f"{count} frames do not make a sheet", "use 1 to 24")
    job = source if isinstance(source, Job) else Job(fspath(source), start=start, end=end, fps=fps)
    estimate = stylizer.networks.estimate_depth
    with job.open(estimate) as reader:
        size, total = (style and style.size) or reader.size, reader.frame_count
        rate, matte = reader.info.frame_rate, reader.matte
    if style is not None and isinstance(stylizer.networks, Networks):
        check_paints(stylizer.networks, matte is not None)
    length = float((total or count) / rate)
    moments = [(job.start or 0.0) + length * (i + 0.5) / count for i in range(count)]
    clips = [job.frame_at(moment, size if style is None else style.fit_to(size), estimate) for moment in moments]
    rows, spent, load = [[clip.frames[0] for clip in clips]], list[float](), None
    restyler = make_restyler(stylizer.networks)
    for asked in sweep or ([] if style is None else [style]):
        plan, row = make_plan(restyler, asked, Path(job.source)), []
        plan = plan if matte is None else replace(plan, masking=masking_of(matte))
        load = plan.conditions.load
        for clip in clips:
            began = time.perf_counter()
            with explain_memory():
                ((styled, _),) = restyle_clips([clip], restyler, plan)
            spent.append(time.perf_counter() - began)
            row.append(styled.frames[0])
        rows.append(row)
    write_sheet(sheet, lay_out(rows, captions))
    seconds = float(np.median(spent[1:] or spent or [0.0]))  # the first one also warms up
    return Preview(
        str(sheet), count, seconds, total, _find_memory(stylizer, style, size, load), sample_bytes(rows[-1], size)
    )


def _find_memory(stylizer: Stylizer, style: Style | None, size: tuple[int, int], load: MemoryLoad | None) -> int:
    """Returns the bytes that the networks will take."""
    if style is None or load is None or not isinstance(stylizer.networks, Networks):
        return 0
    networks, fitted = stylizer.networks, style.fit_to(size)
    batch = choose_batch(networks, fitted, stylizer.batch, load)
    return needs_of(networks, fitted, load).of(stylizer.layout or "whole", batch)
