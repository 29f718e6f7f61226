"""Runs tasks in order in one thread, beside the caller's work."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable


class Worker:
    """One thread that runs its tasks in order; a context manager.

    `do` waits while `depth` tasks are waiting already. If a task raises an exception, the next `do` or the end of the
    block raises it again, and later tasks are dropped. If the block ends with an exception, tasks that have not begun
    are dropped, too.
    """

    def __init__(self, depth: int = 8) -> None:
        self._tasks: queue.Queue[Callable[[], None] | None] = queue.Queue(maxsize=depth)
        self._error: BaseException | None = None
        self._dropping = False
        self._thread = threading.Thread(target=self._work, name="stylize-worker", daemon=True)

    def __enter__(self) -> Worker:
        self._thread.start()
        return self

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        self._dropping |= error_type is not None
        self._tasks.put(None)
        self._thread.join()
        if error_type is None:
            self._raise()

    def do(self, task: Callable[[], None]) -> None:
        """Adds a task.

        Raises:
            BaseException: an earlier task has raised it.
        """
        self._raise()
        self._tasks.put(task)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            if self._dropping:
                continue
            try:
                task()
            except BaseException as error:  # passed on to the caller, whatever it is
                self._error, self._dropping = error, True

    def _raise(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error
