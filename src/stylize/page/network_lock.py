"""Shares the networks of the page between a long run and short uses, such as previews."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class NetworkLock:
    """Lets one thread at a time use the networks; a long run gives way between two frames."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._busy, self._waiting = False, 0

    @contextmanager
    def short(self) -> Iterator[None]:
        """Holds the networks for something short, such as a preview; a long run gives way to it."""
        with self._changed:
            self._waiting += 1
            self._changed.wait_for(lambda: not self._busy)
            self._busy, self._waiting = True, self._waiting - 1
        try:
            yield
        finally:
            self._release()

    @contextmanager
    def run(self) -> Iterator[None]:
        """Holds the networks for a long run, which must call `give_way` after every frame."""
        self._acquire()
        try:
            yield
        finally:
            self._release()

    def give_way(self) -> None:
        """Lets waiting short uses, such as previews, go first; called between two frames of a run."""
        if self._waiting:
            self._release()
            self._acquire()

    def _acquire(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._busy and not self._waiting)
            self._busy = True

    def _release(self) -> None:
        with self._changed:
            self._busy = False
            self._changed.notify_all()
