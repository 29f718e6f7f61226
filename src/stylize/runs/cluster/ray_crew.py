"""Workers as actors of Ray: on this machine's cards or cores, or on a cluster that is there already."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from stylize.errors import StyleError, StylizeError
from stylize.runs.cluster.crew import Reply
from stylize.runs.cluster.worker import UnitWorker

PRIVATE = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is reported to anybody
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # the switch by which Ray, on any system, binds to loopback only
}
"""Settings of a Ray of our own."""
SCRATCH = "stylize-ray-"
CONNECT_SECONDS = 10.0
CLOSE_SECONDS = 2.0
"""Time that workers on other machines have to delete what was sent to them."""
TOKEN = secrets.token_hex(32)
"""Asked for by a Ray of our own, which remembers it for as long as this process lives; it is on no disk."""


class RayCrew:
    """Actors of Ray, one a card, or one a share of the cores.

    Args:
        workers: how many; `None` takes one a card, or one a machine where there are no cards.
        address: a cluster that is there already, such as `ray://head:10001`; `None` starts a Ray for this run, which
            only this machine can reach, and ends it.
        on_cpu: leave cards alone.

    Raises:
        StylizeError: Ray is not installed, or the cluster cannot be reached.
    """

    def __init__(self, workers: int | None = None, address: str | None = None, *, on_cpu: bool = False) -> None:
        if workers is not None and not 1 <= workers <= 1024:
            raise StyleError(f"{workers} workers is out of range", "use 1 to 1024")
        self._ray, self._cleanup = _import_ray(), contextlib.ExitStack()
        self._actors, self._scratch = list[Any](), None if address else _make_scratch()
        self._calls: dict[Any, int] = {}
        try:
            if self._scratch is not None:
                self._cleanup.enter_context(_own_ray(self._ray, workers or 1, self._scratch, on_cpu=on_cpu))
            else:
                self._cleanup.enter_context(_connected(self._ray, str(address)))
            self._options, self.size, self._threads = self._divide(workers, own=address is None, on_cpu=on_cpu)
            self._actors = [self._hire() for _ in range(self.size)]
        except BaseException:
            self._cleanup.close()
            raise

    def _divide(self, workers: int | None, *, own: bool, on_cpu: bool) -> tuple[dict[str, Any], int, int]:
        """Divides what there is: the resources of an actor, the number of actors, and the threads of each."""
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
        cards = 0 if on_cpu else int(sum(node.get("GPU", 0) for node in nodes))
        count = workers or cards or len(nodes)
        if own:  # all of the machine is ours, so that nothing need be counted
            cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
            share, threads = 0, max(1, cores // count)
        else:
            largest = max((int(node.get("CPU", 0)) for node in nodes), default=1)
            share = threads = max(1, largest // -(-count // max(1, len(nodes))))
        if (limit := os.environ.get("OMP_NUM_THREADS", "")).isdigit():
            threads = min(threads, int(limit))
        options: dict[str, Any] = {"num_cpus": share, "max_restarts": 0, "max_task_retries": 0}
        if cards:
            options["num_gpus"] = 1.0 / max(1, -(-count // cards))
        return options, count, threads

    def _hire(self) -> Any:
        return self._ray.remote(UnitWorker).options(**self._options).remote(self._threads, self._scratch)

    def call(self, worker: int, method: str, *arguments: Any) -> None:
        """Starts a call."""
        self._calls[getattr(self._actors[worker], method).remote(*arguments)] = worker

    def wait(self, seconds: float) -> Sequence[Reply]:
        """Waits for replies, at most `seconds`."""
        if not self._calls:
            return []
        ready, _ = self._ray.wait(list(self._calls), num_returns=1, timeout=seconds)
        return [self._take(reference) for reference in ready]

    def _take(self, reference: Any) -> Reply:
        worker = self._calls.pop(reference)
        try:
            return Reply(worker, self._ray.get(reference))
        except self._ray.exceptions.RayTaskError as error:
            return Reply(worker, died=f"{type(error.cause).__name__}: {error.cause}")
        except self._ray.exceptions.RayError as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            return Reply(worker, died=lines[0].strip().rstrip(".:"))

    def replace(self, worker: int) -> None:
        """Puts a new actor in the place of one that is lost."""
        with contextlib.suppress(Exception):  # it may be gone already
            self._ray.kill(self._actors[worker])
        self._calls = {reference: number for reference, number in self._calls.items() if number != worker}
        self._actors[worker] = self._hire()

    def share(self, content: bytes) -> Any:
        """Puts the bytes into Ray's object store."""
        return self._ray.put(content)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(Exception):  # whoever is still at work is ended with it undone
            if self._scratch is None:
                self._ray.wait([a.close.remote() for a in self._actors], num_returns=self.size, timeout=CLOSE_SECONDS)
        for actor in self._actors:
            with contextlib.suppress(Exception):
                self._ray.kill(actor)
        self._actors, self._calls = [], {}
        self._cleanup.close()


def _make_scratch() -> str:
    """Makes a folder for a Ray of our own, and deletes those of processes that were killed."""
    for left in Path(tempfile.gettempdir()).glob(f"{SCRATCH}*-*"):
        pid = left.name.removeprefix(SCRATCH).split("-")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(left, ignore_errors=True)
    return tempfile.mkdtemp(prefix=f"{SCRATCH}{os.getpid()}-")


def _import_ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")  # it would write to stdout of workers that were lost
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise StylizeError("many workers need Ray", "pip install 'ray[client]'") from error
    return ray


@contextlib.contextmanager
def _own_ray(ray: Any, workers: int, folder: str, *, on_cpu: bool) -> Iterator[None]:
    """Starts a Ray on this machine that nobody else can reach; its end leaves nothing behind."""
    constants = ray._private.ray_constants  # reads the environment only once, perhaps before us
    asked = PRIVATE | {"RAY_AUTH_TOKEN": os.environ.get("RAY_AUTH_TOKEN") or TOKEN}
    before = {name: os.environ.get(name) for name in (*asked, "RAY_AUTH_MODE")}  # Ray sets the mode itself
    clustered = constants.ENABLE_RAY_CLUSTER
    options: dict[str, Any] = {"num_cpus": workers, "_temp_dir": folder} | ({"num_gpus": 0} if on_cpu else {})
    try:
        os.environ |= asked
        constants.ENABLE_RAY_CLUSTER = False
        _init(ray, address="local", include_dashboard=False, **options)
        yield
    finally:
        ray.shutdown()
        constants.ENABLE_RAY_CLUSTER = clustered
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _connected(ray: Any, address: str) -> Iterator[None]:
    """Connects to a cluster that is there already."""
    try:
        _, _, place = address.rpartition("//")
        host, _, port = place.rpartition(":")
        if host and port.isdigit():  # Ray itself tries for minutes
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
        _init(ray, address=address)
    except Exception as error:  # of many classes, some private
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise StylizeError(f"{address}: the cluster cannot be reached ({reason})", "check its address") from error
    try:
        yield
    finally:
        ray.shutdown()


def _init(ray: Any, **options: Any) -> None:
    """Starts or connects to Ray, whose own lines and whose handler of SIGTERM are not wanted."""
    in_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM) if in_main else None
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
    finally:
        if in_main:
            signal.signal(signal.SIGTERM, handler)
