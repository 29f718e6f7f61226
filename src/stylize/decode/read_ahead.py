"""Prepares items ahead of their use, in a thread that always ends."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")


class ReadAhead(Generic[Item]):
    """Yields the same items, up to `depth` of them made in a thread before they are asked for; a context manager.

    However the block ends, the thread ends first, so the source of the items may be closed after the block. If making
    an item raises an exception, it is raised where the next item is asked for.
    """

    def __init__(self, items: Iterable[Item], depth: int = 4) -> None:
        self._items, self._ready = items, queue.Queue[Any](maxsize=depth)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="stylize-read-ahead", daemon=True)

    def __enter__(self) -> Iterator[Item]:
        self._thread.start()
        return self._take_items()

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _work(self) -> None:
        try:
            for item in self._items:
                if not self._put((item,)):
                    return
            self._put(None)
        except BaseException as error:  # passed on to the reader, whatever it is
            self._put(error)

    def _put(self, item: object) -> bool:
        while not self._stopped.is_set():
            try:
                self._ready.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def _take_items(self) -> Iterator[Item]:
        while (item := self._ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item[0]
