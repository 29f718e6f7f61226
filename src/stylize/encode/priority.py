"""Keeps an encoder from giving its threads, and ours, real-time priority."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

THREADS = Path("/proc/self/task")
"""Where Linux lists the threads of this process."""


@contextlib.contextmanager
def usual_priority() -> Iterator[None]:
    """Gives the threads that a block starts, and its own, the scheduling that its own had before.

    SVT-AV1 asks for real-time threads where the user is root, as in many containers: for its own and for the one that
    opens it, and whatever that one starts later inherits it. They would leave the networks nothing of the processor,
    and threads that wait for one another without sleeping could hang.
    """
    if not THREADS.is_dir():  # only Linux lets a process ask
        yield
        return
    usual, parameters, before = os.sched_getscheduler(0), os.sched_getparam(0), set(os.listdir(THREADS))
    try:
        yield
    finally:
        for thread in {*os.listdir(THREADS)} - before | {str(threading.get_native_id())}:
            with contextlib.suppress(ProcessLookupError):  # it has ended
                if os.sched_getscheduler(int(thread)) != usual:
                    os.sched_setscheduler(int(thread), usual, parameters)
