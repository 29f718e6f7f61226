"""Threads beside the networks: order, bounds, errors, and that every one of them ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stylize.threads import ReadAhead, Worker


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers()), st.integers(1, 5))
def test_reading_ahead_changes_nothing(items: list[int], depth: int) -> None:
    with ReadAhead(items, depth) as ahead:
        assert list(ahead) == items


def test_reading_ahead_is_bounded() -> None:
    made = []

    def endless() -> Iterator[int]:
        for i in range(1000):
            made.append(i)
            yield i

    with ReadAhead(endless(), 3) as ahead:
        assert next(ahead) == 0
        time.sleep(0.3)
        assert len(made) <= 6


def test_an_error_while_reading_comes_out_in_its_place() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("in the middle")

    with ReadAhead(broken()) as ahead:
        assert next(ahead) == 1
        with pytest.raises(ValueError, match="in the middle"):
            next(ahead)


def test_leaving_early_ends_the_thread() -> None:
    with pytest.raises(KeyboardInterrupt), ReadAhead(iter(int, 1)) as ahead:
        next(ahead)
        raise KeyboardInterrupt


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
