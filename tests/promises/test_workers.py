"""Real workers, in processes of Ray's: killed, interrupted, on two machines; nothing is lost, nothing stays behind."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import psutil
import pytest

from crews import COUNT, make_shots
from media import frame_times, frames, sound_packets
from stylize import Style, load_stylizer
from stylize.runs.cluster import RayCrew, restyle_spread
from stylize.runs.cluster.crew import Reply
from stylize.runs.cluster.messages import Film, Loaded
from stylize.runs.jobs import Job, frames_done
from stylize.runs.progress import Report

pytest.importorskip("ray")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # Ray's own
]
STYLE = Style(prompt="ink drawing", steps=2, strength=0.5)
OPTIONS = ["--prompt", "ink drawing", "--steps", "2", "--strength", "0.5", "--batch", "3", "--device", "cpu"]
KILLS = 10


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five shots, each of them a unit."""
    return make_shots(tmp_path_factory.mktemp("shots") / "in.mp4", repeat=5)


@pytest.fixture(scope="module")
def alone(tiny_model: Path, source: Path) -> Path:
    """The video that one worker makes."""
    load_stylizer(str(tiny_model), batch=3, device="cpu").convert(source, source.with_name("alone.mp4"), STYLE)
    return source.with_name("alone.mp4")


def assert_same(one: Path, other: Path) -> None:
    """Bit by bit, in all but the comment, which names the command's options."""
    assert np.array_equal(frames(one), frames(other))
    assert frame_times(one) == frame_times(other) and sound_packets(one) == sound_packets(other)


class Lasting(RayCrew):
    """A crew that lasts over several runs; its workers can be killed, and may see nothing of the driver's disk."""

    sees = True
    began: float

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.pids: dict[int, int] = {}

    def call(self, worker: int, method: str, *arguments: Any) -> None:
        if not self.sees:
            arguments = tuple(replace(a, folder=Path("/nowhere")) if isinstance(a, Film) else a for a in arguments)
        super().call(worker, method, *arguments)

    def wait(self, seconds: float) -> Sequence[Reply]:
        replies = super().wait(seconds)
        for reply in replies:
            if isinstance(reply.answer, Loaded):
                self.pids[reply.worker] = reply.answer.pid
        return replies

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._calls:  # a new worker may still be loading
            self.wait(1.0)

    def end(self) -> None:
        super().__exit__(None, None, None)


@pytest.fixture(scope="module")
def crew() -> Iterator[Lasting]:
    crew = Lasting(2, on_cpu=True)
    yield crew
    crew.end()


def spread(crew: RayCrew, source: Path, output: Path, model: Path, **options: Any) -> Report:
    reports: list[Report] = []
    load = {"model": str(model), "batch": 3, "device": "cpu"}
    restyle_spread(crew, [Job(str(source), output, **options)], STYLE, load, show=reports.append)
    return reports[0]


def rays() -> list[psutil.Process]:
    """Processes of Ray's that this machine has."""
    found = []
    for process in psutil.process_iter(["name", "cmdline"]):
        with contextlib.suppress(psutil.Error):
            words = " ".join(process.info["cmdline"] or [])
            if "raylet" in words or "gcs_server" in words or words.startswith("ray::UnitWorker"):
                found.append(process)
    return found


def test_only_this_machine_can_reach_them(crew: Lasting) -> None:
    open_to = {c.laddr.ip for p in rays() for c in p.net_connections() if c.status == psutil.CONN_LISTEN}
    assert open_to and open_to <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    assert not (Path.home() / ".ray" / "auth_token").exists() or "RAY_AUTH_TOKEN" not in os.environ


@pytest.mark.parametrize("sees", [True, False])
def test_equal_to_one_worker(
    crew: Lasting, source: Path, alone: Path, tiny_model: Path, tmp_path: Path, sees: bool
) -> None:
    crew.sees = sees
    report = spread(crew, source, tmp_path / "out.mp4", tiny_model)
    assert_same(tmp_path / "out.mp4", alone)
    assert report.units == 5 and report.retries == 0 and all(report.worker_seconds)


@pytest.mark.parametrize("seed", range(KILLS))
def test_a_worker_is_killed(
    crew: Lasting, source: Path, alone: Path, tiny_model: Path, tmp_path: Path, seed: int
) -> None:
    """At a random moment, with kill -9, half of the times without storage that all see."""
    crew.sees = bool(seed % 2)
    chance = random.Random(seed)
    timer = threading.Timer(
        chance.uniform(0.2, 2.5), lambda: os.kill(chance.choice(sorted(crew.pids.values())), signal.SIGKILL)
    )
    timer.start()
    spread(crew, source, tmp_path / "out.mp4", tiny_model)
    timer.join()
    assert_same(tmp_path / "out.mp4", alone)
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def command(source: Path, output: Path, model: Path, *more: str) -> list[str]:
    words = ["run", str(source), "-o", str(output), "--model", str(model), *OPTIONS, *more]
    return [sys.executable, "-m", "stylize.cli", *words]


def wait_for(condition: Any, seconds: float = 90.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it does not come"
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_driver_ends(source: Path, alone: Path, tiny_model: Path, tmp_path: Path, number: int) -> None:
    """Killed or interrupted: its workers end with it, and the run goes on with one worker, then with two."""
    output, before = tmp_path / "out.mp4", {process.pid for process in rays()}
    drivers = []
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    for workers in ("2", "1"):
        done = frames_done(output)
        more = ["--workers", workers, *(["--resume"] if workers == "1" else [])]
        run = subprocess.Popen(
            command(source, output, tiny_model, *more), env=environment, stderr=subprocess.PIPE, text=True
        )
        drivers.append(run.pid)
        wait_for(lambda done=done: frames_done(output) > done)
        run.send_signal(number)
        began = time.monotonic()
        _, told = run.communicate(timeout=30)
        if number == signal.SIGINT:
            assert run.returncode == 130 and "--resume goes on with them" in told, told
            assert time.monotonic() - began < 5
        wait_for(lambda: {process.pid for process in rays()} <= before, 15)
    last = subprocess.run(
        command(source, output, tiny_model, "--workers", "2", "--resume", "--json"), env=environment,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    report = json.loads(last.stdout)
    assert report["resumed_from"] > 0 and report["frames"] == 5 * COUNT and report["workers"] == 2
    assert_same(output, alone)
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
    if number == signal.SIGINT:  # after a kill, the next run cleans up
        assert [p for pid in drivers for p in Path(tempfile.gettempdir()).glob(f"stylize-ray-{pid}-*")] == []


def test_two_machines(source: Path, alone: Path, tiny_model: Path, tmp_path: Path) -> None:
    """A cluster that is there already, of two nodes with a worker each, which see no storage of the driver's."""
    script = tmp_path / "driver.py"
    script.write_text(
        "import sys\n"
        "sys.path[:0] = sys.argv[4:]\n"
        "from pathlib import Path\n"
        "from ray.cluster_utils import Cluster\n"
        "from test_workers import Lasting, spread\n"
        "if __name__ == '__main__':\n"
        "    cluster = Cluster(initialize_head=True, head_node_args={'num_cpus': 1, 'include_dashboard': False})\n"
        "    cluster.add_node(num_cpus=1)\n"
        "    crew = Lasting(None, cluster.address)\n"
        "    crew.sees = False\n"
        "    report = spread(crew, *map(Path, sys.argv[1:4]))\n"
        "    print(crew.size, report.units, all(report.worker_seconds))\n"
        "    crew.end()\n"
        "    cluster.shutdown()\n"
    )
    arguments = [str(source), str(tmp_path / "out.mp4"), str(tiny_model)]
    places = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "helpers")]
    environment = os.environ | {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(
        [sys.executable, str(script), *arguments, *places], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.stdout.split()[-3:] == ["2", "5", "True"], done.stderr
    assert_same(tmp_path / "out.mp4", alone)


def test_a_cluster_that_is_not_there(source: Path, tiny_model: Path, tmp_path: Path) -> None:
    words = command(source, tmp_path / "out.mp4", tiny_model, "--cluster", "127.0.0.1:1")
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and "127.0.0.1:1: the cluster cannot be reached" in done.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []
