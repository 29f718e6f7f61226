"""Writes videos: frames at their exact times and the source's other tracks, complete or not at all."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np

from stylize.decode import VideoInfo
from stylize.encode.atomic import sync, write_atomically
from stylize.encode.codecs import Encoding, choose_encoding
from stylize.encode.join import check_tracks, join
from stylize.encode.segments import LENGTH, Manifest, Segment, WorkFolder, with_segment, write_times
from stylize.encode.target import Target, warn
from stylize.encode.worker import Worker
from stylize.errors import Say, UnfinishedRun
from stylize.frames import Clip, Picture

HALF = Fraction(1, 2)


class VideoWriter:
    """Encodes frames; sound, subtitles, chapters and tags come from the source. A context manager.

    The file appears under its name when the block ends without an exception. Until then the frames are in segments in
    a hidden folder beside it, which is removed afterwards; a failed run (`for_run`) leaves its whole segments there.

    Args:
        path: its suffix decides the encoding: .mp4, .m4v (H.264), .mov (ProRes), .mkv (FFV1), .webm (VP9),
            .gif, or numbered pictures (`frame-%05d.png`).
        source: the video that time base, pixel aspect, colour and the other tracks come from.
        size: width and height of the frames. Odd sizes are kept exactly.
        encoding: another codec or quality, from `choose_encoding`.
        crf, preset: for the usual encoding of this type of file, if `encoding` is left out.
        start, end: seconds on the source's clock; the other tracks are taken in `[start, end)`, frames at `start` are
            written at 0. `None` keeps the clock and everything.
        say: gets a line about everything that had to be converted or left out; by default, each line is a warning.
        force: throw away an unfinished run of the same name.

    Raises:
        VideoError: the file cannot be written, or its container cannot hold the tracks.
        StyleError: crf or preset is out of range.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        source: VideoInfo,
        size: tuple[int, int],
        *,
        encoding: Encoding | None = None,
        crf: int | None = None,
        preset: str = "medium",
        start: Fraction | None = None,
        end: Fraction | None = None,
        say: Say | None = None,
        force: bool = False,
    ) -> None:
        encoding = encoding or choose_encoding(
            path, size, crf=crf, preset=preset, alpha=source.has_alpha, rate=source.frame_rate
        )
        target = Target(Path(path), source, size, encoding, start, end, say=say or warn)
        self._begin(target, {}, None, keep=False, force=force)

    @classmethod
    def for_run(cls, target: Target, identity: Mapping[str, Any], manifest: Manifest | None) -> Self:
        """Returns a writer whose whole segments stay after a failure, so that the run can be resumed.

        Args:
            identity: everything that the frames depend on, as JSON values.
            manifest: that of an unfinished run to resume; `None` for a new run.
        """
        writer = cls.__new__(cls)
        writer._begin(target, identity, manifest, keep=True)
        return writer

    @classmethod
    def for_unit(
        cls, target: Target, identity: Mapping[str, Any], manifest: Manifest | None, folder: WorkFolder
    ) -> Self:
        """Returns a writer as `for_run`, which leaves its segments in a folder of their own, for `adopt`."""
        writer = cls.__new__(cls)
        writer._begin(replace(target, say=lambda line: None), identity, manifest, keep=True, unit=folder)
        return writer

    def _begin(
        self,
        target: Target,
        identity: Mapping[str, Any],
        manifest: Manifest | None,
        *,
        keep: bool,
        force: bool = False,
        unit: WorkFolder | None = None,
    ) -> None:
        self.target, self._identity, self._keep, self._force = target, identity, keep, force
        self._folder, self._is_unit = unit or WorkFolder(target.path), unit is not None
        self.manifest = manifest or Manifest(identity)
        self._resumed = manifest is not None
        self.counts: Mapping[str, int] = self.manifest.counts
        self._open: _OpenSegment | None = None
        self._worker = Worker()
        self._unsaved = 0  # frames since the last segment ended
        for line in target.limits:
            target.say(line)

    def __enter__(self) -> Self:
        with self.target.explained():
            if not self._is_unit:
                check_tracks(self.target)
            self._take_folder()
        self._worker.__enter__()
        return self

    def _take_folder(self) -> None:
        """Begins the run's folder, or continues in it; a failure leaves the folder as it was."""
        try:
            if not self._resumed:
                if (
                    not self._keep
                    and not self._force
                    and (earlier := self._folder.manifest()) is not None
                    and earlier.segments
                ):
                    what = f"{self.target.path}: an unfinished run is there, {earlier.frames} frames of it done"
                    raise UnfinishedRun(what, "go on with it by --resume, or name another file")
                self._folder.begin(self._identity)
            else:
                self._folder.claim()
                self._folder.save(self.manifest)
        except OSError:
            if self._folder.is_ours and not self._resumed:
                self._folder.remove()
            self._folder.release()
            raise

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        whole = False
        try:
            with self.target.explained():
                self._worker.__exit__(error_type, error, trace)
                if error_type is None:
                    if self._open is not None:
                        self._end_segment(None, self.counts)
                    if not self._is_unit:
                        join(self.target, self._folder.path, self.manifest)
                        whole = True
        finally:
            if self._open is not None:
                self._open.close()
            if whole or not self._keep or not self._folder.frames_done():
                self._folder.remove()
            else:
                self._folder.release()

    def write(self, clip: Clip) -> None:
        """Encodes the clip's frames at the clip's times, in another thread."""
        self._unsaved += len(clip)
        with self.target.explained():
            self._worker.do(lambda: self._encode(clip))

    def adopt(self, units: Sequence[WorkFolder], counts: Mapping[str, int]) -> None:
        """Takes over whole segments of units, in their order, as the rest of this video.

        Args:
            counts: the numbers for the report, of the whole video.
        """
        segments = [*self.manifest.segments]
        for unit in units:
            manifest, place = unit.manifest(), unit.path.relative_to(self._folder.path).as_posix()
            segments += [replace(one, file=f"{place}/{one.file}") for one in (manifest or Manifest({})).segments]
        self.manifest = Manifest(self._identity, tuple(segments), "", dict(counts))
        with self.target.explained():
            self._folder.save(self.manifest)

    def checkpoint(self, state: Callable[[], bytes] | None, counts: Mapping[str, int], *, short: bool = False) -> None:
        """Ends the segment, if it is long enough, so that a run can be resumed from here.

        Args:
            short: end it even if it is short.
            state: returns the state that the rest of the run needs. It is called in the caller's thread: once torch has
                worked in a second one, OpenMP's threads wait by sleeping, and the networks lose a quarter of their
                speed.
            counts: the numbers for the report, so far.
        """
        if self._unsaved < (1 if short else LENGTH):
            return
        content, self._unsaved = state() if state is not None else None, 0
        with self.target.explained():
            self._worker.do(lambda: self._end_segment(content, counts))

    def _encode(self, clip: Clip) -> None:
        if self._open is None:
            number = len(self.manifest.segments)
            self._open = _OpenSegment(self._folder.path / f"{number:05d}.segment", self.target)
        for i in range(len(clip)):
            pixels = clip.frames[i]
            if clip.alpha is not None:
                pixels = np.concatenate([pixels, clip.alpha[i][..., None]], -1)
            self._open.encode(pixels, clip.times[i] - (self.target.start or 0), clip.durations[i])

    def _end_segment(self, state: bytes | None, counts: Mapping[str, int]) -> None:
        assert self._open is not None
        segment = self._open.finish()
        self._open, name = None, ""
        if state is not None:
            name = f"state-{len(self.manifest.segments) + 1:05d}.safetensors"
            write_atomically(self._folder.path / name, state)
        manifest = with_segment(self.manifest, segment, name, counts)
        self._folder.save(manifest)
        self.manifest = manifest


class _OpenSegment:
    """A segment that is being encoded; its times start at 0, the exact ones are stored beside it."""

    def __init__(self, path: Path, target: Target) -> None:
        self._path, self._target = path, target
        self._container = av.open(str(path), "w", format=target.encoding.carrier.format)
        self._stream = target.add_stream(self._container)
        self._first: int | None = None
        self._durations: dict[int, int] = {}
        self._packets: list[tuple[int, int, int]] = []
        self.frames = 0

    def encode(self, pixels: Picture, time: Fraction, duration: Fraction) -> None:
        """Adds a frame, `[H, W, 3 or 4]`."""
        frame, base = self._target.convert(pixels, self._stream.pix_fmt), self._target.base
        ticks = math.floor(time / base + HALF)  # `round` takes halves to even ticks: two frames may get one tick
        self._first = ticks if self._first is None else self._first
        frame.time_base, frame.pts = base, ticks - self._first
        self._durations[ticks] = max(1, round(duration / base))
        self.frames += 1
        self._mux(self._stream.encode(frame))

    def finish(self) -> Segment:
        """Closes the file and makes sure that it is on the disk."""
        self._mux(self._stream.encode(None))
        self._container.close()
        sync(self._path)
        segment = Segment(self._path.name, self.frames)
        write_times(self._path.parent, segment, self._packets)
        return segment

    def close(self) -> None:
        """Closes the file of a segment that is given up."""
        with contextlib.suppress(av.FFmpegError, OSError):
            self._container.close()

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            first = self._first or 0
            scale = packet.time_base / self._target.base
            pts, dts = round(packet.pts * scale) + first, round(packet.dts * scale) + first
            self._packets.append((pts, dts, self._durations.pop(pts, 1)))
            self._container.mux(packet)
