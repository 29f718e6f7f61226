"""Pipes of the command line: `-` for stdin and stdout, where nothing but the video may appear."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from stylize.cli.console import progress_bar, say, warnings_as_lines
from stylize.cli.loader import load_from
from stylize.errors import StyleError
from stylize.style.parsing import parse_rate, parse_size

if TYPE_CHECKING:
    from stylize.encode.pipe import PipeFormat
    from stylize.runs import Job
    from stylize.style import Style

PIPE = "-"


def is_piped(sources: Sequence[str], output: str, *options: str | None) -> bool:
    """Tells whether a run reads from stdin or writes to stdout; raises StyleError if only options of pipes say so."""
    piped = PIPE in (*sources, output)
    if any(options) and not piped:
        raise StyleError("--pipe options are for pipes", "name - as the source or the output, or leave them out")
    return piped


def restyle(
    sources: Sequence[str],
    output: str,
    settings: Job,
    style: Style,
    given: Mapping[str, Any],
    kind: PipeFormat | None,
    raw: tuple[str | None, str | None],
    others: bool,
) -> None:
    """Restyles a video between pipes, or between a pipe and a file.

    Args:
        kind: format of stdout.
        raw: size and rate of raw pictures that come through stdin.
        others: options were given that go with files only.

    Raises:
        StylizeError: as `restyle_piped`.
    """
    from stylize.runs.jobs import Views
    from stylize.runs.pipe import Pipes, check_pipes, restyle_piped

    if len(sources) > 1:
        raise StyleError("a pipe carries one video", "name one source")
    if (raw != (None, None) and sources[0] != PIPE) or (kind is not None and output != PIPE):
        raise StyleError("--pipe-size and --pipe-fps are of stdin, --pipe-format of stdout", "leave them out for files")
    if output == PIPE and (settings.codec or settings.pixel_format):
        raise StyleError("a pipe is written in H.264, or without loss in y4m", "leave out --codec and --pix-fmt")
    if others or settings.views != Views():
        raise StyleError("a pipe has no comparisons, report or workers", "leave these out, or name files")
    job = replace(settings, source=sources[0], output=Path(output))
    check_pipes(job, style)
    size = _parse_raw(*raw)
    if output != PIPE:
        from stylize.encode import check_output

        check_output(job.output, source="pipe", force=job.force, resume=False, also=style.files)
    if sources[0] != PIPE:
        from stylize.decode.pipe import PipeReader

        with PipeReader(Path(sources[0])):  # faults of the file are reported before the networks are loaded
            pass
    source, sink = sys.stdin.buffer if sources[0] == PIPE else None, _take_stdout() if output == PIPE else None
    shown = not given["quiet"]
    with warnings_as_lines(shown=shown):
        stylizer = load_from(given)
        with progress_bar(shown=shown) as progress:
            frames = restyle_piped(stylizer, job, style, Pipes(source, sink, size, kind), progress=progress, say=say)
    if shown:
        say(f"{frames} frames")


def _parse_raw(size: str | None, fps: str | None) -> tuple[int, int, Fraction] | None:
    if size is None and fps is None:
        return None
    if size is None or fps is None:
        raise StyleError("raw pictures come without size and rate", "give both --pipe-size 640x360 and --pipe-fps 25")
    width, height = parse_size(size)
    rate = parse_rate(fps)
    assert rate is not None
    return width, height, rate


def _take_stdout() -> BinaryIO:
    """Returns stdout for the video alone: whatever else would be written there goes to stderr."""
    sys.stdout.flush()
    video = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return video
