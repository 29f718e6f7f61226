"""Encoding in a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from stylize.encode.worker import Worker


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def test_a_worker_keeps_the_order_and_finishes_all() -> None:
    done: list[int] = []
    with Worker(depth=2) as worker:
        for i in range(50):
            worker.do(lambda i=i: done.append(i))  # type: ignore[misc]
    assert done == list(range(50))


def test_a_workers_error_comes_out_and_stops_the_rest() -> None:
    done: list[int] = []

    def fail() -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"), Worker() as worker:
        worker.do(fail)
        for i in range(20):
            worker.do(lambda i=i: done.append(i))  # type: ignore[misc]
            time.sleep(0.01)
    assert len(done) <= 1


def test_what_has_not_begun_is_dropped_after_an_error() -> None:
    done: list[int] = []
    with pytest.raises(KeyboardInterrupt), Worker(depth=100) as worker:
        worker.do(lambda: time.sleep(0.2))
        for i in range(50):
            worker.do(lambda i=i: done.append(i))  # type: ignore[misc]
        raise KeyboardInterrupt
    assert len(done) < 50
