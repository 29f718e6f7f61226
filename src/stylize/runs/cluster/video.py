"""One video of a run on many workers, as the driver sees it: its units, what is done of them, and its end."""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
import time
import warnings
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal, TypeAlias

import torch

from stylize.encode import Target, VideoWriter, WorkFolder, check_output
from stylize.encode.atomic import write_atomically
from stylize.encode.segments import Manifest
from stylize.encode.target import warn
from stylize.errors import Say, StyleError, StylizeError, UnfinishedRun
from stylize.pipeline import State
from stylize.restyle import Memory
from stylize.runs.cluster.messages import Film, Prepared, Step
from stylize.runs.cluster.worker import ANCHOR, TOKEN
from stylize.runs.identity import check_fits
from stylize.runs.jobs import Job
from stylize.runs.progress import Report
from stylize.runs.state import from_bytes, to_bytes
from stylize.runs.units import Unit, find_shots, plan_units, units_after
from stylize.style import Style
from stylize.style.settings import options_of, settings_comment

PLAN = "plan.json"
DEATHS = 3
"""Times that workers may die at the same unit before the run stops."""
Stage: TypeAlias = Literal["scanning", "scanned", "opening", "working", "joining", "done", "failed"]


class Stopped(Exception):
    """The run ends before the shots are found."""


class Video:
    """A video that workers restyle.

    Raises:
        StylizeError: a fault of its files that can be known before the run.
    """

    def __init__(self, job: Job, style: Style, *, split: bool = False, say: Say | None = None) -> None:
        check_spreadable(job, style)
        output = check_output(job.output, source=job.source, force=job.force, resume=job.resume, also=style.files)
        self.job = replace(job, source=str(Path(job.source).absolute()), output=output.absolute())
        # workers have a folder of their own: files are named from the root
        self.style, self._split, self._say = style.with_files(lambda path: Path(path).absolute()), split, say or warn
        self.stage: Stage = "scanning"
        self.began, self.retries, self.seconds = time.perf_counter(), 0, dict[int, float]()
        self._units, self._left = list[Unit](), list[Unit]()
        self._said, self._done_before = set[str](), 0
        self._under_way, self._deaths = dict[int, int](), dict[int, int]()
        self._concealed, self._rss, self._vram = 0, 0.0, 0.0
        self._reader, self._manifest = self.job.open(), Manifest({})
        self._size = style.size or self._reader.size
        self._folder, self._open = WorkFolder(self.job.output), contextlib.ExitStack()
        needed = [self.job.source, *(str(path) for path in self.style.files if path is not None)]
        self.film = Film(
            replace(self.job, resume=False, force=True), self.style, self._folder.path, secrets.token_hex(16),
            {path: _length(Path(path)) for path in needed}, {},
        )  # fmt: skip

    @property
    def frames(self) -> int | None:
        """The number of all frames; `None` until they are counted."""
        return self._count_frames() if self._is_open else None

    @property
    def frames_done(self) -> int:
        """The number of frames that are done."""
        if not self._is_open:
            return 0
        whole = sum(unit.frames for unit in self._units if unit not in self._left and unit.first not in self._under_way)
        return self._manifest.frames + whole + sum(self._under_way.values())

    def _count_frames(self) -> int:
        return self._manifest.frames + sum(unit.frames for unit in self._units)

    @property
    def _is_open(self) -> bool:
        return self.stage not in ("scanning", "scanned", "opening")

    def scan(self, stopped: threading.Event) -> None:
        """Finds the shots, and with them the units; called in a thread.

        Raises:
            StylizeError: the source cannot be read, or an unfinished run cannot be gone on with.
        """

        def look(_: int) -> None:
            if stopped.is_set():
                raise Stopped

        self._reader.size = self.style.fit_to(self._size)
        begun, plan = self._load_unfinished(), self._folder.units / PLAN
        if begun and plan.is_file() and not self._manifest.complete:
            try:
                stored = json.loads(plan.read_text(encoding="utf-8"))
                self._units = [Unit(**one) for one in stored["units"]]
                self._concealed = int(stored["concealed"])
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise UnfinishedRun(f"{plan}: cannot be read", "pass --force to begin again") from error
        elif not self._manifest.complete:
            starts, frames = find_shots(self._reader, look)
            self._units, self._concealed = plan_units(starts, frames, split=self._split), self._reader.damage.concealed
            if begun:
                done = self._manifest
                self._units = units_after(self._units, done.frames, done.state, done.counts.get("border", 0))
        self.stage = "scanned"

    def _load_unfinished(self) -> bool:
        """Loads the manifest of an unfinished run, and tells whether this one goes on with it."""
        if self.job.force and not self.job.resume:
            return False
        manifest = self._folder.manifest()
        if manifest is None or not (manifest.segments or self._folder.frames_done()):
            return False
        if not self.job.resume:
            done = f"an unfinished run is there, {self._folder.frames_done()} frames of it done"
            raise UnfinishedRun(f"{self.job.output}: {done}", "pass --resume to go on, or --force to begin again")
        self._manifest, self.film = manifest, replace(self.film, begun=manifest.identity)
        return True

    def open(self, prepared: Prepared, model: str) -> None:
        """Begins the output, or goes on with it, once a worker has told what the frames depend on."""
        job, reader, self._model = self.job, self._reader, model
        self.film = replace(self.film, resources=prepared.resources)
        start, end = (None, None) if job.is_whole else reader.part
        target = Target(
            job.output, reader.info, self._size, job.choose_encoding(self._size, reader.info), start, end,
            settings_comment(job.settings or options_of(self.style, model)), self._say,
        )  # fmt: skip
        resumes = bool(self.film.begun)
        if resumes:
            check_fits(self._manifest, prepared.identity, job.output)
        self._writer = VideoWriter.for_run(target, prepared.identity, self._manifest if resumes else None)
        self._open.enter_context(self._writer)
        if not self._manifest.complete:
            with target.explained():
                self._write_plan()
        self._left = [unit for unit in self._units if not self._is_whole(unit)]
        self.stage = "working" if self._left else "joining"
        self._done_before = self._folder.frames_done() if resumes else 0

    def _write_plan(self) -> None:
        """Makes the folder for the units, with all that their workers and a later run look for."""
        units = self._folder.units
        units.mkdir(exist_ok=True)
        plan = {"units": [asdict(unit) for unit in self._units], "concealed": self._concealed}
        write_atomically(units / PLAN, json.dumps(plan).encode())
        write_atomically(units / TOKEN, self.film.token.encode())
        if self._manifest.state and not self._is_anchored:
            state = from_bytes((self._folder.path / self._manifest.state).read_bytes(), torch.device("cpu"))
            write_atomically(units / ANCHOR, to_bytes(State(memory=Memory(state.memory.style_anchor))))

    @property
    def _is_anchored(self) -> bool:
        return (self._folder.units / ANCHOR).is_file()

    def _is_whole(self, unit: Unit) -> bool:
        manifest = self._folder.unit(unit.first).manifest()
        return manifest is not None and manifest.complete and manifest.frames == unit.frames

    def list_ready(self) -> list[Unit]:
        """Lists the units that a worker can begin now; before the style anchor is there, that is the first one."""
        if self.stage != "working":
            return []
        return list(self._left) if self._is_anchored else [unit for unit in self._left if unit.first == 0]

    def take(self, unit: Unit) -> None:
        """Notes that a worker has begun a unit."""
        self._left.remove(unit)
        self._under_way[unit.first] = 0

    def state_for(self, unit: Unit) -> bytes:
        """Returns the state that a unit begins with, for a worker that does not see the run's folder."""
        return (self._folder.path / unit.state if unit.state else self._folder.units / ANCHOR).read_bytes()

    def note(self, unit: Unit, step: Step, worker: int) -> None:
        """Notes what a worker has done of a unit, and keeps what it sent."""
        for category, line in step.lines:
            if line not in self._said and not line.startswith(f"{self.job.source}:"):  # that, the search has said
                self._said.add(line)
                _repeat(category, line, self._say)
        folder = self._folder.unit(unit.first).path
        with self._writer.target.explained():
            if step.anchor:
                write_atomically(self._folder.units / ANCHOR, step.anchor)
            for name, content in step.files.items():  # the manifest comes last
                folder.mkdir(exist_ok=True)
                write_atomically(folder / name, content)
        self._under_way[unit.first] = step.frames
        self._rss, self._vram = max(self._rss, step.peak_rss_mb or 0), max(self._vram, step.peak_vram_mb or 0)
        if step.done:
            del self._under_way[unit.first]
            self.seconds[worker] = self.seconds.get(worker, 0) + step.seconds
            if not self._left and not self._under_way:
                self.stage = "joining"

    def give_back(self, unit: Unit, why: str) -> None:
        """Notes that a unit was lost with its worker, so that another one takes it.

        Raises:
            StylizeError: it is the third time.
        """
        self._under_way.pop(unit.first, None)
        self._left.append(unit)
        self.retries += 1
        self._deaths[unit.first] = self._deaths.get(unit.first, 0) + 1
        if self._deaths[unit.first] >= DEATHS:
            what = f"{self.job.source}: frames {unit.first} to {(unit.last or 0) - 1} ended {DEATHS} workers ({why})"
            raise StylizeError(what, "restyle these by themselves (--start, --end) to see why, or at a smaller size")

    def finish(self, workers: int) -> Report:
        """Joins the units into the output, writes the comparisons, and returns the report; called in a thread."""
        counts = {name: self._manifest.counts.get(name, 0) for name in ("shots", "keyframes", "unet")}
        frames = self._count_frames()
        if not self._manifest.complete:
            folders = [self._folder.unit(unit.first) for unit in self._units]
            for folder in folders:
                of_unit = (folder.manifest() or Manifest({})).counts
                counts = {name: value + of_unit.get(name, 0) for name, value in counts.items()}
            self._writer.adopt(folders, counts | {"frames": frames})
        self._open.close()
        self.job.views.make(self.job.source, self.job.output, start=self.job.start, force=self.job.force)
        return Report(
            output=str(self.job.output),
            model=self._model,
            seed=self.style.seed,
            frames=frames,
            shots=counts["shots"],
            keyframes=counts["keyframes"],
            seconds=round(time.perf_counter() - self.began, 3),
            unet_evals_per_frame=round(counts["unet"] / frames, 3),
            peak_rss_mb=self._rss or None,
            peak_vram_mb=self._vram or None,
            concealed=self._concealed,
            resumed_from=self._done_before,
            workers=workers,
            units=len(self._units),
            retries=self.retries,
            worker_seconds=tuple(round(self.seconds.get(worker, 0.0), 3) for worker in range(workers)),
        )

    def abandon(self, error: BaseException) -> None:
        """Ends the run; what is done of it stays, for `--resume`."""
        self.stage = "failed"
        with contextlib.suppress(StylizeError):
            self._open.__exit__(type(error), error, None)


def check_spreadable(job: Job, style: Style) -> None:
    """Raises StyleError for what only one worker can do."""
    if type(job) is not Job:
        raise StyleError("stills and larger canvases are not spread over workers", "leave out --workers and --cluster")
    if style.keyframes:
        raise StyleError("paintings are carried through the video by one worker", "leave out --workers and --cluster")


def _length(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _repeat(category: str, line: str, say: Say) -> None:
    """Says on this machine what was said on a worker's."""
    import stylize.errors

    if category:
        warnings.warn(line, getattr(stylize.errors, category), stacklevel=2)
    else:
        say(line)
