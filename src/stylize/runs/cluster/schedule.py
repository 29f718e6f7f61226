"""Hands units to workers, the longest first, and sees every video to its end, whatever becomes of the workers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import stylize.errors
from stylize import __version__
from stylize.errors import ModelError, Say, StylizeError, VideoError
from stylize.runs.cluster.crew import Crew, Reply
from stylize.runs.cluster.messages import LARGEST, Failure, Loaded, Prepared, Step
from stylize.runs.cluster.video import Stopped, Video
from stylize.runs.progress import Progress, Report
from stylize.runs.units import Unit

Task: TypeAlias = Generator[tuple[Any, ...], Any, None]
"""What a worker does: yields calls (method and arguments), and gets their answers."""
WAIT_SECONDS = 0.2
IDLE_DEATHS = 3
"""Times that a worker may die before it has a unit; then nothing can be expected of the machines."""


class Lost(Exception):
    """A worker was lost, or its call ended in an unexpected error."""


class Schedule:
    """A run of one or more videos on a crew.

    Args:
        load: arguments of `load_stylizer`, for every worker.
        progress: called with the frames done and all frames, of all videos together.
        tell: gets a line about each unit that is done, and each worker that is lost.
        ended: called with each video and its report, or the error that ended it.
    """

    def __init__(
        self,
        crew: Crew,
        videos: Sequence[Video],
        load: Mapping[str, Any],
        *,
        progress: Progress | None = None,
        tell: Say | None = None,
        ended: Callable[[Video, Report | StylizeError], None],
    ) -> None:
        self._crew, self._videos, self._load = crew, videos, load
        self._progress, self._tell, self._ended = (
            progress or (lambda done, total: None),
            tell or (lambda _: None),
            ended,
        )
        self._tasks: dict[int, Task] = {}
        self._loaded: dict[int, Loaded] = {}
        self._idle_deaths = self._shown = 0
        self._files: dict[str, Any] = {}
        self._stopped = threading.Event()
        self._futures: dict[Future[Any], Video] = {}

    def run(self) -> None:
        """Restyles all videos.

        Raises:
            StylizeError: the workers cannot load the model, or are lost before they do anything.
        """
        with ThreadPoolExecutor(1, "stylize-driver") as self._background:
            try:
                for video in self._videos:
                    self._futures[self._background.submit(video.scan, self._stopped)] = video
                while self._futures or any(video.stage not in ("done", "failed") for video in self._videos):
                    self._hand_out()
                    for reply in self._crew.wait(WAIT_SECONDS) or self._rest():
                        self._take(reply)
                    self._collect()
                    self._show()
            except BaseException as error:
                self._stopped.set()
                self._background.shutdown(wait=False, cancel_futures=True)
                self._crew.__exit__(type(error), error, None)  # so that nobody writes any more
                for video in self._videos:
                    if video.stage not in ("done", "failed"):
                        video.abandon(error)
                raise

    def _rest(self) -> list[Reply]:
        if not self._tasks:  # nothing was waited for
            self._stopped.wait(WAIT_SECONDS / 4)
        return []

    def _hand_out(self) -> None:
        """Gives every worker that has nothing to do something to do."""
        for worker in range(self._crew.size):
            if worker in self._tasks:
                continue
            if worker not in self._loaded:
                self._begin(worker, self._load_model(worker))
            elif (video := next((one for one in self._videos if one.stage == "scanned"), None)) is not None:
                video.stage = "opening"
                self._begin(worker, self._open(worker, video))
            elif ready := [(unit, one) for one in self._videos for unit in one.list_ready()]:
                unit, video = max(ready, key=lambda pair: pair[0].frames)
                video.take(unit)
                self._begin(worker, self._restyle(worker, video, unit))

    def _begin(self, worker: int, task: Task) -> None:
        self._tasks[worker] = task
        self._go_on(worker, lambda: next(task))

    def _go_on(self, worker: int, advance: Callable[[], tuple[Any, ...]]) -> None:
        try:
            self._crew.call(worker, *advance())
        except StopIteration:
            del self._tasks[worker]

    def _take(self, reply: Reply) -> None:
        """Gives a worker's answer, or its death, to its task."""
        task = self._tasks[reply.worker]
        if not reply.died:
            self._go_on(reply.worker, lambda: task.send(reply.answer))
            return
        self._loaded.pop(reply.worker, None)
        self._crew.replace(reply.worker)
        self._tell(f"worker {reply.worker + 1} is lost ({reply.died})")
        self._go_on(reply.worker, lambda: task.throw(Lost(reply.died)))

    def _load_model(self, worker: int) -> Task:
        try:
            loaded: Loaded = _unpack((yield "load", self._load))
        except (Lost, _AgainError) as lost:
            self._idle_deaths += 1
            if self._idle_deaths >= IDLE_DEATHS:
                raise StylizeError(
                    f"workers end while they load the model ({lost})", "use fewer, or a smaller model"
                ) from lost
            return
        if loaded.version != __version__:
            what = f"the worker on {loaded.host} has stylize {loaded.version}, this is {__version__}"
            raise ModelError(what, "install the same version on all machines")
        self._loaded[worker], self._idle_deaths = loaded, 0
        self._tell(f"worker {worker + 1}: {loaded.model} on {loaded.device} of {loaded.host}")

    def _open(self, worker: int, video: Video) -> Task:
        """Opens a video on a worker, which tells what its frames depend on."""
        try:
            prepared = yield from self._prepare(video)
            video.open(prepared, self._loaded[worker].model)
        except Lost as lost:
            video.stage = "scanned"
            self._idle_deaths += 1
            if self._idle_deaths >= IDLE_DEATHS:
                self._fail(
                    video, StylizeError(f"{video.job.source}: workers end as they open it ({lost})", "try it alone")
                )
        except Exception as error:  # a bug here or in a library must not stop the other videos
            self._fail(video, _explain(video, error))

    def _prepare(self, video: Video) -> Generator[tuple[Any, ...], Any, Prepared]:
        prepared: Prepared = _unpack((yield "prepare", video.film))
        for path in prepared.missing:
            _unpack((yield "receive", path, self._share(path)))
        return _unpack((yield "prepare", video.film)) if prepared.missing else prepared

    def _share(self, path: str) -> Any:
        """Returns what stands for the content of a file that a worker does not have."""
        if path not in self._files:
            if not Path(path).is_file() or Path(path).stat().st_size > LARGEST:
                what = f"{path}: the workers do not see it, and only files of up to 1 GiB are sent to them"
                raise VideoError(what, "put it where all machines find it by the same name")
            self._tell(f"{path} is sent to the workers ({Path(path).stat().st_size / 1e6:.0f} MB)")
            self._files[path] = self._crew.share(Path(path).read_bytes())
        return self._files[path]

    def _restyle(self, worker: int, video: Video, unit: Unit) -> Task:
        """Restyles a unit on a worker."""
        try:
            yield from self._prepare(video)
            begun = _unpack((yield "begin", video.film, unit))
            if begun.lacks_state:
                _unpack((yield "begin", video.film, unit, self._crew.share(video.state_for(unit))))
            while video.stage == "working":
                step: Step = _unpack((yield ("step",)))
                video.note(unit, step, worker)
                if step.done:
                    rate = f"{unit.frames / max(step.seconds, 1e-3):.2f} frames/s"
                    self._tell(f"worker {worker + 1}: frames {unit.first} to {unit.first + unit.frames - 1}, {rate}")
                    return
        except (Lost, _AgainError) as lost:
            try:
                video.give_back(unit, str(lost))
            except StylizeError as error:
                self._fail(video, error)
        except Exception as error:
            self._fail(video, _explain(video, error))

    def _collect(self) -> None:
        """Takes what was found and joined in the background, and starts to join what is whole."""
        for video in self._videos:
            if video.stage == "joining" and video not in self._futures.values():
                self._futures[self._background.submit(video.finish, self._crew.size)] = video
        for future in [one for one in self._futures if one.done()]:
            video = self._futures.pop(future)
            try:
                report = future.result()
            except Stopped:
                continue
            except Exception as error:
                self._fail(video, _explain(video, error))
                continue
            if report is not None:
                video.stage = "done"
                self._free(video)
                self._ended(video, report)

    def _free(self, video: Video) -> None:
        """Lets go of the files that were sent for a video."""
        for path in video.film.files:
            self._files.pop(path, None)

    def _fail(self, video: Video, error: StylizeError) -> None:
        if video.stage != "failed":
            video.abandon(error)
            self._free(video)
            self._ended(video, error)

    def _show(self) -> None:
        alive = [video for video in self._videos if video.stage != "failed"]
        totals = [video.frames for video in alive]
        done = sum(video.frames_done for video in alive)
        self._shown = max(self._shown, done)
        if self._shown:  # each time, as whoever gets it may want to stop
            self._progress(self._shown, None if None in totals else sum(total or 0 for total in totals))


class _AgainError(StylizeError):
    """An expected error after which another try may do better, such as one of memory."""


def _explain(video: Video, error: Exception) -> StylizeError:
    if isinstance(error, StylizeError):
        return error
    return StylizeError(f"{video.job.source}: {type(error).__name__}: {error}", "please report this")


def _unpack(answer: Any) -> Any:
    """Returns an answer; raises the error that it stands for, if it is one."""
    if not isinstance(answer, Failure):
        return answer
    if answer.again:
        raise _AgainError(answer.what, answer.advice)
    raise getattr(stylize.errors, answer.error)(answer.what, answer.advice)
