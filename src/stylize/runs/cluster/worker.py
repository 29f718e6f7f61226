"""A worker: holds the model, and restyles units of videos into segments; it knows nothing of Ray."""

from __future__ import annotations

import functools
import os
import platform
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from stylize import __version__
from stylize.decode.pictures import files_of
from stylize.encode import VideoWriter, WorkFolder
from stylize.encode.atomic import write_atomically
from stylize.encode.segments import MANIFEST, UNITS
from stylize.errors import PromptWarning, StylizeError, UnfinishedRun, VideoError, VideoWarning
from stylize.networks import Networks
from stylize.pipeline import State
from stylize.restyle import Memory
from stylize.runs.cluster.messages import LARGEST, Begun, Failure, Film, Loaded, Prepared, Step
from stylize.runs.convert import Resources, open_source, prepare_run
from stylize.runs.progress import peak_rss_mb
from stylize.runs.run import Run
from stylize.runs.state import from_bytes, to_bytes
from stylize.runs.stylizer import Stylizer, load_stylizer
from stylize.runs.units import Unit

Answer = TypeVar("Answer")
ANCHOR, TOKEN = "anchor.safetensors", "token"
STEP_SECONDS = 0.5
"""Seconds after which a worker tells what it has done."""


def _answers(method: Callable[..., Answer]) -> Callable[..., Answer | Failure]:
    """Turns expected errors into answers, so that no exception has to travel between processes."""

    @functools.wraps(method)
    def answer(*args: Any) -> Answer | Failure:
        try:
            return method(*args)
        except (torch.OutOfMemoryError, MemoryError):
            return Failure("StylizeError", "out of memory", "use --batch 1, or a smaller size (--size 512x288)", True)
        except UnfinishedRun as error:  # the worker before this one may not have let go of the unit yet
            time.sleep(1.0)
            return Failure("UnfinishedRun", error.what, error.advice, again=True)
        except StylizeError as error:
            return Failure(type(error).__name__, error.what, error.advice)

    return answer


class UnitWorker:
    """Restyles units, one after the other; the driver calls `load`, `prepare`, `begin`, and `step` until it is done.

    Args:
        threads: of the processor, for the networks; `None` leaves torch's own choice.
        scratch: folder for files that were sent here, and for segments; `None` is the system's. It is made when needed.
        stylizer: the model, if it is loaded already.
    """

    def __init__(
        self, threads: int | None = None, scratch: str | None = None, stylizer: Stylizer | None = None
    ) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        self._stylizer = stylizer
        self._runs: dict[str, Run] = {}  # the last film's, by its token
        self._places: dict[str, str] = {}  # of files that were sent here
        self._scratch_parent, self._scratch = scratch, ""
        self._lines: list[tuple[str, str]] = []
        self._unit: _UnitUnderWay | None = None
        if stylizer is None:  # in a process of its own
            self._collect_warnings()

    def close(self) -> None:
        """Gives up a unit that is under way, and deletes what was sent here."""
        self._drop_unit()
        if self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch, self._places = "", {}

    def _make_folder(self) -> Path:
        """Makes a folder that is deleted at the end."""
        self._scratch = self._scratch or tempfile.mkdtemp(prefix="stylize-worker-", dir=self._scratch_parent)
        return Path(tempfile.mkdtemp(dir=self._scratch))

    def _collect_warnings(self) -> None:
        def collect(message: Warning | str, category: type[Warning], *_: object) -> None:
            if issubclass(category, PromptWarning | VideoWarning):
                self._add_line(category.__name__, str(message))

        for category in (PromptWarning, VideoWarning):
            warnings.simplefilter("always", category)
        warnings.showwarning = collect  # type: ignore[assignment]

    @_answers
    def load(self, options: Mapping[str, Any]) -> Loaded:
        """Loads the model, by the arguments of `load_stylizer`."""
        if self._stylizer is None:
            self._stylizer = load_stylizer(**options)
        networks = self._stylizer.networks
        device = torch.cuda.get_device_name(networks.device) if networks.device.type == "cuda" else str(networks.device)
        return Loaded(__version__, platform.node(), device, networks.name, os.getpid())

    @_answers
    def receive(self, path: str, content: bytes) -> None:
        """Keeps a file that this machine does not have."""
        folder = self._make_folder()
        self._places[path] = str(folder / Path(path).name)
        Path(self._places[path]).write_bytes(content)

    @_answers
    def prepare(self, film: Film) -> Prepared:
        """Opens a film, unless files of it are missing, and chooses what fits into memory if nobody has yet."""
        missing = tuple(path for path, length in film.files.items() if not self._has(path, length))
        if missing:
            return Prepared(missing)
        assert self._stylizer is not None
        run = self._runs.get(film.token) or self._open(self._stylizer, film)
        self._runs = {film.token: run}  # opened files of the film before are closed
        if film.resources is not None or not isinstance(self._stylizer.networks, Networks):
            return Prepared((), run.identity, film.resources or Resources())
        memory, batch, compiled = (run.identity[name] for name in ("memory", "batch", "compiled"))
        return Prepared((), run.identity, Resources(memory, batch, "on" if compiled else "off"))

    def _has(self, path: str, length: int | None) -> bool:
        if path in self._places:
            return True
        if length is None:
            return bool(Path(path).is_dir() or files_of(path))
        with suppress(OSError):
            return Path(path).stat().st_size == length
        return False

    def _open(self, stylizer: Stylizer, film: Film) -> Run:
        job = replace(film.job, source=self._places.get(film.job.source, film.job.source))
        style = film.style.with_files(lambda path: self._places.get(str(path), path))
        resources = film.resources or Resources(stylizer.layout, stylizer.batch, stylizer.compile)
        reader = open_source(stylizer.networks, job, style)
        say = functools.partial(self._add_line, "")
        return prepare_run(stylizer.networks, job, style, reader, resources, film.begun, say)

    def _add_line(self, category: str, line: str) -> None:
        for path, place in self._places.items():  # the user knows the file by its own name
            line = line.replace(place, path)
        self._lines.append((category, line))

    @_answers
    def begin(self, film: Film, unit: Unit, state: bytes | None = None) -> Begun:
        """Begins a unit, or goes on with it where another worker left it.

        Args:
            state: to begin with; `None` if it is in the run's folder, or if there is none.
        """
        assert self._stylizer is not None
        self._drop_unit()
        shared = _sees(film)
        if shared:
            folder = WorkFolder(film.job.output, film.folder).unit(unit.first)
        else:
            folder = WorkFolder(film.job.output, self._make_folder())
        needs_state = unit.first > 0 or bool(unit.state)
        if needs_state and state is None:
            if not shared:
                return Begun(lacks_state=True)
            state = (film.folder / (unit.state or f"{UNITS}/{ANCHOR}")).read_bytes()
        begins = self._restore(unit, state) if state is not None else None
        self._unit = _UnitUnderWay(self._runs[film.token], self._stylizer, unit, folder, begins, shared)
        return Begun()

    def _restore(self, unit: Unit, content: bytes) -> State:
        assert self._stylizer is not None
        state = from_bytes(content, self._stylizer.networks.device)
        if unit.state:
            return state
        return State(memory=Memory(state.memory.style_anchor, shot=unit.shot - 1))

    @_answers
    def step(self) -> Step:
        """Goes on with the unit for a moment."""
        assert self._unit is not None
        step = self._unit.go_on()
        if step.done:
            self._drop_unit()
        lines, self._lines = tuple(dict.fromkeys(self._lines)), []
        return replace(step, lines=lines)

    def _drop_unit(self) -> None:
        if self._unit is not None:
            self._unit.close()
        self._unit = None


class _UnitUnderWay:
    """A unit that is being restyled."""

    def __init__(
        self, run: Run, stylizer: Stylizer, unit: Unit, folder: WorkFolder, begins: State | None, shared: bool
    ) -> None:
        self._unit, self._folder, self._shared, self._run = unit, folder, shared, run
        self._device = stylizer.networks.device
        self._began, self._sent, self._anchored = time.perf_counter(), 0, unit.first > 0 or bool(unit.state)
        manifest = folder.manifest()
        state = begins
        if manifest is not None and manifest.segments and manifest.state:
            state = from_bytes((folder.path / manifest.state).read_bytes(), self._device)
        elif manifest is not None and not manifest.segments:
            manifest = None
        self._writer = VideoWriter.for_unit(run.target, run.identity, manifest, folder)
        self._counting = stylizer.networks.counting()
        self._steps: Generator[tuple[Mapping[str, int], State], None, None] = run.restyle(
            self._writer, state, self._counting.__enter__(), unit
        )
        self._frames, self._is_open = self._writer.manifest.frames, True

    def go_on(self) -> Step:
        """Restyles for a moment; the last time it checks that all frames have come."""
        until, done, anchor = time.perf_counter() + STEP_SECONDS, False, None
        while time.perf_counter() < until and not done:
            last = next(self._steps, None)
            if last is None:
                done = True
                continue
            self._frames = last[0]["frames"] - self._unit.first
            if not self._anchored:
                anchor, self._anchored = self._keep_anchor(last[1]), True
        if done and self._unit.frames != self._writer.manifest.frames:
            there = f"{self._writer.manifest.frames} of {self._unit.frames} frames from {self._unit.first} on are there"
            raise VideoError(f"{self._run.reader.info.path}: {there}", "has the file been changed?")
        files = {} if self._shared else self._new_files(done)
        seconds = time.perf_counter() - self._began
        vram = torch.cuda.max_memory_allocated(self._device) / 1e6 if self._device.type == "cuda" else None
        return Step(self._frames, seconds, done, anchor, files, (), peak_rss_mb(), vram)

    def _keep_anchor(self, state: State) -> bytes:
        content = to_bytes(State(memory=Memory(state.memory.style_anchor)))
        if self._shared:
            write_atomically(self._folder.path.parent / ANCHOR, content)
            return b""
        return _check_length(content, "the state of the first frame")

    def _new_files(self, done: bool) -> dict[str, bytes]:
        segments = self._writer.manifest.segments
        new, self._sent = segments[self._sent :], len(segments)
        names = [name for one in new for name in (one.file, one.times_file)] + [MANIFEST] * done
        return {n: _check_length((self._folder.path / n).read_bytes(), f"a segment ({n})") for n in names}

    def close(self) -> None:
        """Ends the unit, whole or not, and closes the source."""
        if self._is_open:
            self._is_open = False
            self._steps.close()
            self._counting.__exit__(None, None, None)
            self._run.reader.__exit__(None, None, None)
            if not self._shared:
                shutil.rmtree(self._folder.path, ignore_errors=True)


def _sees(film: Film) -> bool:
    """Tells whether this machine sees the run's folder."""
    try:
        return (film.folder / UNITS / TOKEN).read_text(encoding="utf-8") == film.token
    except OSError:
        return False


def _check_length(content: bytes, what: str) -> bytes:
    if len(content) > LARGEST:
        size = f"takes {len(content) / 2**30:.1f} GiB, and the workers do not see the output's folder"
        raise VideoError(f"{what} {size}", "give all machines a folder that they share, or choose a smaller size")
    return content
