"""Threads beside the networks: order, bounds, errors, and that every one of them ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stylize.decode import ReadAhead


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


@settings(max_examples=30)
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
