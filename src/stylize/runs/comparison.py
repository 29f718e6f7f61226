"""Shows source and result in one file: side by side, as a wipe over the picture and back, or as a sheet of frames."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import get_args

import cv2
import numpy as np

from stylize.decode import VideoReader
from stylize.encode import VideoWriter, check_output
from stylize.encode.outputs import check_no_input, check_place
from stylize.errors import Say, StyleError, VideoError
from stylize.frames import Clip, Picture
from stylize.runs.sheets import SUFFIXES, lay_out, write_sheet
from stylize.style.values import View

PERIOD = 6.0
"""Seconds that the wipe takes to cross the picture and come back."""
LINE = 3
"""Width of the line at the edge of the wipe, in pixels."""


def compare(
    source: str | PathLike[str],
    styled: str | PathLike[str],
    output: str | PathLike[str],
    view: View = "side-by-side",
    *,
    start: float | None = None,
    force: bool = False,
    say: Say | None = None,
) -> Path:
    """Writes a video that shows source and result, each at the result's size, with the result's times and sound.

    Args:
        start: second of the source at which the result begins, where only a part was restyled.

    Raises:
        StyleError: the view is not known.
        VideoError: a video cannot be read, or the output cannot be written.
    """
    if view not in get_args(View):
        raise StyleError(f"view '{view}' is not known", f"use {' or '.join(get_args(View))}")
    path = check_output(output, source=styled, force=force, also=[source])
    with VideoReader(styled) as after:
        width, height = after.size
        with VideoReader(source, start=start, size=after.size) as before:
            size = (2 * width, height) if view == "side-by-side" else after.size
            with VideoWriter(path, after.info, size, say=say) as writer:
                for one, other in _read_pairs(before, after):
                    both = _put_side_by_side(one, other) if view == "side-by-side" else _wipe(one, other)
                    writer.write(replace(other, frames=both[None], alpha=None))
    return path


def before_after(
    source: str | PathLike[str],
    styled: str | PathLike[str],
    sheet: str | PathLike[str],
    *,
    count: int = 4,
    start: float | None = None,
    force: bool = False,
) -> Path:
    """Writes a picture of `count` frames spread over the result, each below the same frame of the source.

    Raises:
        VideoError: a video cannot be read, or the sheet cannot be written.
    """
    path = check_place(sheet, SUFFIXES, force=force)
    check_no_input(path, source, styled)
    with VideoReader(styled) as after, VideoReader(source, start=start, size=after.size) as before:
        pairs = ((one.frames[0], other.frames[0]) for one, other in _read_pairs(before, after))
        first = next(pairs)
        total = after.frame_count or count  # the packets are counted only once reading has begun
        wanted = {total * (2 * i + 1) // (2 * count) for i in range(count)}
        chosen = [pair for i, pair in enumerate(itertools.chain([first], pairs)) if i in wanted]
    rows = list(zip(*chosen, strict=True))
    write_sheet(path, lay_out(rows))
    return path


def _read_pairs(before: VideoReader, after: VideoReader) -> Iterator[tuple[Clip, Clip]]:
    for one, other in itertools.zip_longest(before.clips(1), after.clips(1)):
        if other is None:
            return  # only a part was restyled
        if one is None:
            raise VideoError(f"{after.info.path}: has more frames than {before.info.path}", "name its own source")
        yield one, other


def _put_side_by_side(one: Clip, other: Clip) -> Picture:
    return np.hstack([one.frames[0], other.frames[0]])


def _wipe(one: Clip, other: Clip) -> Picture:
    """Shows the result left of an edge that swings from side to side, and the source right of it."""
    height, width = other.frames.shape[1:3]
    part = 0.5 - 0.5 * math.cos(2 * math.pi * float(other.times[0]) / PERIOD)
    edge = round(width * (0.05 + 0.9 * part))
    both: Picture = one.frames[0].copy()
    both[:, :edge] = other.frames[0][:, :edge]
    cv2.line(both, (edge, 0), (edge, height - 1), (255, 255, 255), LINE)
    return both
