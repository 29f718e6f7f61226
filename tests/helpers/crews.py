"""Crews for the tests: several workers in this process, which may die, and may see nothing of the driver's disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from media import make_video, picture
from stylize import Stylizer
from stylize.runs.cluster.crew import LocalCrew, Reply
from stylize.runs.cluster.worker import UnitWorker

CUTS = (0, 20, 34, 52, 75)
COUNT = 90
"""Five shots of a clip."""


def make_shots(path: Path, repeat: int = 1) -> Path:
    """Five shots with sound, `repeat` times as long."""
    pictures = []
    for i in range(COUNT * repeat):
        shot, one = sum(i // repeat >= cut for cut in CUTS) - 1, picture(i // repeat)
        looks = (one, 255 - one[::-1], one[:, ::-1] // 2, 255 - one // 3, 255 - one[:, ::-1])
        pictures.append(np.ascontiguousarray(looks[shot]))
    return make_video(path, COUNT * repeat, pictures=pictures, sound=True)


class LocalWorkers(LocalCrew):
    """Workers in this process, which take turns.

    Args:
        dies: tells from a worker's number, a method and the count of all calls before whether the worker dies at it.
    """

    def __init__(
        self, stylizer: Stylizer, size: int = 2, dies: Callable[[int, str, int], bool] = lambda *_: False
    ) -> None:
        self.size, self._stylizer, self._dies = size, stylizer, dies
        self._workers = [UnitWorker(stylizer=stylizer) for _ in range(size)]
        self._calls: list[tuple[int, str, tuple[Any, ...]]] = []
        self.count = 0
        self.deaths = 0

    def call(self, worker: int, method: str, *arguments: Any) -> None:
        assert all(worker != other for other, _, _ in self._calls), "a worker has one call at a time"
        self._calls.append((worker, method, arguments))

    def wait(self, seconds: float) -> Sequence[Reply]:
        if not self._calls:
            return []
        worker, method, arguments = self._calls.pop(0)
        self.count += 1
        if self._dies(worker, method, self.count):
            self.deaths += 1
            self._workers[worker].close()
            return [Reply(worker, died="killed")]
        return [Reply(worker, getattr(self._workers[worker], method)(*arguments))]

    def replace(self, worker: int) -> None:
        self._workers[worker] = UnitWorker(stylizer=self._stylizer)

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.close()
