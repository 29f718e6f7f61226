"""Previews a run: restyles a few frames onto a sheet, and estimates the time, memory and disk of the whole run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stylize.decode import VideoReader
from stylize.encode.outputs import check_place
from stylize.encode.target import sample_bytes
from stylize.errors import StyleError, VideoError
from stylize.frames import Clip
from stylize.networks import choose_batch
from stylize.networks.budget import needs_of
from stylize.pipeline import make_plan, restyle_clips
from stylize.restyle import ImageRestyler
from stylize.runs.convert import explain_memory
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
    source: str | PathLike[str],
    output: str | PathLike[str],
    style: Style,
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
        sweep: styles to compare, one row each; if empty, `style` makes the only row.
        captions: texts above the rows, the source's first; no text if empty.

    Raises:
        StylizeError: a setting has no meaning, or a file cannot be read or written.
    """
    if style.keyframes:
        raise StyleError("a preview cannot carry paintings along", "run a short part of the video: --start 0 --end 2")
    sheet = check_place(output, SUFFIXES, force=force)
    if not 1 <= count <= 24:
        raise StyleError(f"{count} frames do not make a sheet", "use 1 to 24")
    with VideoReader(source, start=start, end=end, fps=fps) as reader:
        size, total = style.size or reader.size, reader.frame_count
        rate = reader.info.frame_rate
    begin = start or 0.0
    length = float((total or count) / rate)
    moments = [begin + length * (i + 0.5) / count for i in range(count)]
    clips = [_read_frame(source, moment, begin, end, style.fit_to(size), fps) for moment in moments]
    rows, spent = [[clip.frames[0] for clip in clips]], []
    restyler = ImageRestyler(stylizer.networks)
    for asked in sweep or [style]:
        plan, row = make_plan(restyler, asked, Path(source)), []
        for clip in clips:
            began = time.perf_counter()
            with explain_memory():
                ((styled, _),) = restyle_clips([clip], restyler, plan)
            spent.append(time.perf_counter() - began)
            row.append(styled.frames[0])
        rows.append(row)
    write_sheet(sheet, lay_out(rows, captions))
    networks, fitted = stylizer.networks, style.fit_to(size)
    batch = choose_batch(networks, fitted, stylizer.batch, plan.conditions.load)
    memory = needs_of(networks, fitted, plan.conditions.load).of(stylizer.layout or "whole", batch)
    seconds = float(np.median(spent[1:] or spent))  # the first one also warms up
    return Preview(str(sheet), count, seconds, total, memory, sample_bytes(rows[1], size))


def _read_frame(
    source: str | PathLike[str],
    second: float,
    begin: float,
    end: float | None,
    size: tuple[int, int],
    fps: Fraction | None,
) -> Clip:
    """Reads the first frame from `second` on, or from `begin` on if the header promised more frames than there are."""
    for moment in (second, begin):
        with VideoReader(source, start=moment, end=end, size=size, fps=fps) as reader:
            try:
                return next(reader.clips(1))
            except VideoError:
                if moment == begin:
                    raise
    raise AssertionError
