"""Work beside the networks: reading ahead and encoding behind, in bounded queues, with threads that always end."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")


class ReadAhead(Generic[Item]):
    """The same items, up to `depth` of them made in a thread before they are asked for; a context manager.

    Whatever ends the block ends the thread before the block is left, so what the items are read from may be closed
    then. An exception of the items comes out where the next one is asked for.
    """

    def __init__(self, items: Iterable[Item], depth: int = 4) -> None:
        self._items, self._ready = items, queue.Queue[Any](maxsize=depth)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="stylize-read-ahead", daemon=True)

    def __enter__(self) -> Iterator[Item]:
        self._thread.start()
        return self._results()

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _work(self) -> None:
        try:
            for item in self._items:
                if not self._put((item,)):
                    return
            self._put(None)
        except BaseException as error:  # handed to the reader, whatever it is
            self._put(error)

    def _put(self, item: object) -> bool:
        while not self._stopped.is_set():
            try:
                self._ready.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def _results(self) -> Iterator[Item]:
        while (item := self._ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item[0]


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
