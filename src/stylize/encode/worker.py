"""TODO"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable


class Worker:
    """One thread that does what it is given, in order; a context manager.

    `do` waits while `depth` tasks are waiting already. An exception of a task comes out of the next `do`, or of the end
    of the block; tasks after it are dropped. So are those that have not begun when the block ends with an exception.
    """

    def __init__(self, depth: int = 8) -> None:
        self._tasks: queue.Queue[Callable[[], None] | None] = queue.Queue(maxsize=depth)
        self._error: BaseException | None = None
        self._dropping = False
        self._thread = threading.Thread(target=self._work, name="stylize-worker", daemon=True)

    def __enter__(self) -> Worker:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._dropping |= kind is not None
        self._tasks.put(None)
        self._thread.join()
        if kind is None:
            self._raise()

    def do(self, task: Callable[[], None]) -> None:
        """Adds a task.

        Raises:
            BaseException: what an earlier task raised.
        """
        self._raise()
        self._tasks.put(task)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            if self._dropping:
                continue
            try:
                task()
            except BaseException as error:  # handed to the caller, whatever it is
                self._error, self._dropping = error, True

    def _raise(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error
