"""Stores an unfinished video: whole segments beside the output, and a manifest that says what is done."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import av
from filelock import FileLock, Timeout

from stylize.encode.atomic import write_atomically
from stylize.errors import UnfinishedRun

LENGTH = 64
"""Frames after which a segment ends, at the next frame from which a run can be resumed."""
MANIFEST, LOCK, UNITS = "manifest.json", "lock", "units"

PacketTime: TypeAlias = tuple[int, int, int]
"""The times at which a packet is shown and decoded, and its duration, in ticks."""


@dataclass(frozen=True)
class Segment:
    """Frames that are encoded and safely on disk."""

    file: str
    frames: int

    @property
    def times_file(self) -> str:
        """Name of the file with the packets' exact times, in the order of the file: containers round them."""
        return f"{self.file}.json"


@dataclass(frozen=True)
class Manifest:
    """The finished part of a run, and everything that the rest of the run depends on."""

    identity: Mapping[str, Any]
    """Identifies source, style, model, encoding and version; a run is resumed only if nothing in it has changed."""
    segments: tuple[Segment, ...] = ()
    state: str = ""
    """Name of the file with the state that the next frame needs; empty before the first segment and after the last."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Shots and keyframes so far, and other numbers for the report."""

    @property
    def complete(self) -> bool:
        """True if all frames are there and only the joining is not done."""
        return bool(self.segments) and not self.state

    @property
    def frames(self) -> int:
        """Frames that are safely on disk."""
        return sum(segment.frames for segment in self.segments)


class WorkFolder:
    """The hidden folder, beside an output, in which the output is made.

    Args:
        path: another place for it.
    """

    def __init__(self, output: Path, path: Path | None = None) -> None:
        self.output = output
        self.path = path or output.with_name(f".{output.name}.unfinished")
        self._lock: FileLock | None = None

    @property
    def units(self) -> Path:
        """The folder for parts of the video that workers make."""
        return self.path / UNITS

    def unit(self, first: int) -> WorkFolder:
        """Returns the folder for the part that begins with frame `first`."""
        return WorkFolder(self.output, self.units / f"{first:08d}")

    def frames_done(self) -> int:
        """Returns the number of frames that are safely on disk, those that workers made among them."""
        own = self.manifest()
        done = 0 if own is None else own.frames
        if own is not None and own.complete:  # the units' segments are its own
            return done
        units = (WorkFolder(self.output, path).manifest() for path in self.units.glob("*/"))
        return done + sum(unit.frames for unit in units if unit is not None)

    def manifest(self) -> Manifest | None:
        """Returns the manifest that an earlier run left; `None` if there is none.

        Raises:
            UnfinishedRun: the manifest cannot be read.
        """
        try:
            stored = json.loads((self.path / MANIFEST).read_text(encoding="utf-8"))
            segments = tuple(Segment(s["file"], s["frames"]) for s in stored["segments"])
            return Manifest(stored["identity"], segments, stored["state"], stored["counts"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UnfinishedRun(
                f"{self.path / MANIFEST}: cannot be read", "pass --force to begin the run again"
            ) from error

    def claim(self) -> None:
        """Makes the folder, if needed, and locks it for this run until `release`, `remove`, or the end of the process.

        Raises:
            UnfinishedRun: another run has it.
        """
        self.path.mkdir(exist_ok=True)
        lock = FileLock(self.path / LOCK, thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            what = f"{self.output}: another run is writing it"
            raise UnfinishedRun(what, "wait for its end, or name another output") from error
        self._lock = lock

    @property
    def is_ours(self) -> bool:
        """True if this run has locked the folder."""
        return self._lock is not None

    def release(self) -> None:
        """Unlocks the folder, so that another process can resume the run."""
        if self._lock is not None:
            self._lock.release()
        self._lock = None

    def begin(self, identity: Mapping[str, Any]) -> Manifest:
        """Locks the folder for this run, empties it, and returns its new, empty manifest."""
        self.claim()
        shutil.rmtree(self.units, ignore_errors=True)
        manifest = Manifest(identity)
        self.save(manifest)
        return manifest

    def save(self, manifest: Manifest) -> None:
        """Writes the manifest and deletes files that it does not name.

        After a power cut, either the old manifest or the new one is there, whole.
        """
        write_atomically(self.path / MANIFEST, json.dumps(asdict(manifest)).encode())
        kept = {MANIFEST, LOCK, manifest.state}
        kept |= {name for segment in manifest.segments for name in (segment.file, segment.times_file)}
        for path in self.path.iterdir():
            if path.name not in kept and path.is_file():
                path.unlink()

    def remove(self) -> None:
        """Deletes the folder with everything in it."""
        if self.path.is_dir():  # our files are deleted while we still hold the lock
            for path in self.path.iterdir():
                if path.name != LOCK:
                    with suppress(OSError):
                        path.unlink()
        self.release()
        shutil.rmtree(self.path, ignore_errors=True)


def write_times(folder: Path, segment: Segment, times: Sequence[PacketTime]) -> None:
    """Writes the packets' times beside the segment, before the manifest names it."""
    write_atomically(folder / segment.times_file, json.dumps(times).encode())


def times_of(folder: Path, segment: Segment) -> list[PacketTime]:
    """Reads the times that `write_times` wrote.

    Raises:
        UnfinishedRun: their file is broken.
    """
    try:
        stored = json.loads((folder / segment.times_file).read_text(encoding="utf-8"))
        return [(int(shown), int(coded), int(duration)) for shown, coded, duration in stored]
    except (OSError, ValueError, TypeError) as error:
        what = f"{folder / segment.times_file}: cannot be read"
        raise UnfinishedRun(what, "pass --force to begin the run again") from error


def packets_of(folder: Path, manifest: Manifest) -> Iterator[Any]:
    """Yields all encoded packets with their exact times; a segment's file is open while its packets are used."""
    last_decoded: int | None = None
    for segment in manifest.segments:
        with av.open(str(folder / segment.file)) as container:
            packets = (p for p in container.demux(container.streams.video[0]) if p.size)
            for packet, (pts, dts, duration) in zip(packets, times_of(folder, segment), strict=True):
                # an encoder that starts anew may want to decode a little before its first frame is shown
                dts = dts if last_decoded is None else max(dts, last_decoded + 1)
                packet.pts, packet.dts, packet.duration = pts, min(dts, pts), duration
                last_decoded = packet.dts
                yield packet


def frames_of(folder: Path, manifest: Manifest) -> Iterator[tuple[Any, int]]:
    """Yields decoded frames with their times in ticks; the segments used for this are lossless."""
    for segment in manifest.segments:
        with av.open(str(folder / segment.file)) as container:
            frames = container.decode(container.streams.video[0])
            for frame, (pts, _, _) in zip(frames, times_of(folder, segment), strict=True):
                yield frame, pts


def with_segment(manifest: Manifest, segment: Segment, state: str, counts: Mapping[str, int]) -> Manifest:
    """Returns the manifest with one more finished segment."""
    return replace(manifest, segments=(*manifest.segments, segment), state=state, counts=dict(counts))
