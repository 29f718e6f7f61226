"""Runs between pipes: a video that comes through a stream, or is to go into one, restyled as it passes."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from stylize.decode import ReadAhead
from stylize.decode.pipe import Peeked, PipeReader, Readable, without_fields
from stylize.encode import VideoWriter
from stylize.encode.pipe import PipeFormat, PipeWriter, Writable
from stylize.encode.target import warn
from stylize.errors import Say, StyleError
from stylize.runs.jobs import Job
from stylize.runs.progress import Progress
from stylize.runs.run import resize_clip

if TYPE_CHECKING:
    from stylize.runs.stylizer import Stylizer
    from stylize.style import Style

KINDS: dict[str, PipeFormat] = {"yuv4mpegpipe": "y4m", "mpegts": "mpegts", "matroska": "matroska", "nut": "nut"}
"""The format of the result, if none is asked for, by that of the source; Matroska for all others."""
WITH_SOUND = {"mpegts": ".ts", "matroska": ".mkv", "nut": ".nut"}
"""Formats that bring more than pictures, and the suffixes of their files."""
AHEAD = 4
"""Frames that are read ahead: more would only make the result later."""


@dataclass(frozen=True)
class Pipes:
    """The streams of a run; `None` is a file, which the job names."""

    source: Readable | None = None
    sink: Writable | None = None
    raw: tuple[int, int, Fraction] | None = None
    """Width, height and frames a second, if the source is raw RGB of 8 bits."""
    kind: PipeFormat | None = None
    """The format that is written; `None` takes that of the source."""


def restyle_piped(
    stylizer: Stylizer,
    job: Job,
    style: Style,
    pipes: Pipes,
    *,
    progress: Progress | None = None,
    say: Say | None = None,
) -> int:
    """Restyles a video that comes from a pipe or goes into one, and returns the number of frames.

    It ends without an error when whoever reads the result has gone.

    Raises:
        StylizeError: the source cannot be read, the result cannot be written, or a setting does not fit.
    """
    check_pipes(job, style)
    if pipes.source is None:
        return _restyle(stylizer, job, style, pipes, Path(job.source), progress, say)
    stream = Peeked(pipes.source)
    if pipes.sink is not None or pipes.raw is not None or stream.format not in WITH_SOUND:
        return _restyle(stylizer, job, style, pipes, stream, progress, say)
    with tempfile.TemporaryDirectory(prefix="stylize-") as folder:  # a file keeps all tracks, which takes a file
        kept = Path(folder) / f"pipe{WITH_SOUND[stream.format]}"
        with kept.open("wb") as file:
            while content := stream.read(1 << 20):
                file.write(content)
        return stylizer.restyle(replace(job, source=str(kept)), style, progress, say).frames


def check_pipes(job: Job, style: Style) -> None:
    """Raises StyleError for what needs a whole file."""
    if job.start is not None or job.end is not None or job.resume:
        raise StyleError("a pipe has no parts", "leave out --start, --end and --resume, or name files")
    if style.keyframes or style.depth_from is not None or style.control_from:
        raise StyleError("painted frames, depth maps and control pictures belong to a file", "name files")


def _restyle(
    stylizer: Stylizer,
    job: Job,
    style: Style,
    pipes: Pipes,
    source: Peeked | Path,
    progress: Progress | None,
    say: Say | None,
) -> int:
    with PipeReader(source, pipes.raw) as reader:
        if job.fields == "keep":
            without_fields(reader)
        size = style.size or reader.size
        reader.size = style.fit_to(size)
        with _open_sink(reader, job, pipes, size, say) as writer, ReadAhead(reader.clips(), AHEAD) as ahead:
            frames = 0
            for clip in stylizer.stream(ahead, style):
                if isinstance(writer, PipeWriter):
                    while reader.sound:
                        writer.write_sound(reader.sound.popleft())
                writer.write(resize_clip(clip, size))
                frames += len(clip)
                if progress is not None:
                    progress(frames, None)
                if isinstance(writer, PipeWriter) and writer.is_closed:
                    break
            if isinstance(writer, PipeWriter):
                while reader.sound:
                    writer.write_sound(reader.sound.popleft())
        if reader.damage.concealed:
            (say or warn)(f"{reader.damage.concealed} damaged pictures came through the pipe and are left out")
    return frames


def _open_sink(
    reader: PipeReader, job: Job, pipes: Pipes, size: tuple[int, int], say: Say | None
) -> PipeWriter | VideoWriter:
    if pipes.sink is not None:
        kind = pipes.kind or KINDS.get(reader.format, "matroska")
        return PipeWriter(
            pipes.sink, kind, reader.info, size, sound=reader.sound_streams, crf=job.crf, preset=job.preset, say=say
        )
    return VideoWriter(
        job.output, reader.info, size, encoding=job.choose_encoding(size, reader.info), say=say, force=job.force
    )
