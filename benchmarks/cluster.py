"""What do workers gain? One run by one worker and by two, and a simulation of up to 64 from the measured times.

    python benchmarks/cluster.py --video film.mp4 [--prompt "oil painting"] [--size 512x288]

The video should have several shots. Each worker has one thread, so that two use two cores. The ceiling of the gain is
the number of workers; what keeps it lower: the first frame goes first, the last unit ends alone, the file is joined at
the end. The driver's cost is its own processor time. Prints a table for each, and one JSON object as the last line.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import hardware

from stylize import Style
from stylize.runs.cluster import RayCrew, restyle_spread
from stylize.runs.cluster.plan import find_units, simulate
from stylize.runs.jobs import Job
from stylize.runs.progress import Report
from stylize.style import parse_size

COUNTS = (1, 2, 4, 8, 16, 32, 64)


class OneThread(RayCrew):
    """Workers of one thread each, ready before the clock runs."""

    def __init__(self, workers: int) -> None:
        super().__init__(workers, on_cpu=True)
        for actor in self._actors:
            self._ray.kill(actor)
        self._threads = 1
        self._actors = [self._hire() for _ in range(workers)]
        self._ray.get([actor.load.remote({"model": "pocket", "device": "cpu"}) for actor in self._actors])


def measure(workers: int, source: str, style: Style, output: Path) -> dict[str, Any]:
    """Restyles the video, and returns the times."""
    crew, reports = OneThread(workers), list[Report]()
    began, spent = time.perf_counter(), time.process_time()
    load = {"model": "pocket", "device": "cpu"}
    restyle_spread(crew, [Job(source, output)], style, load, show=reports.append)
    seconds, driver = time.perf_counter() - began, time.process_time() - spent
    report = reports[0]
    return {
        "workers": workers, "seconds": round(seconds, 2), "frames": report.frames, "units": report.units,
        "driver_ms_a_frame": round(1000 * driver / report.frames, 3),
        "worker_ms_a_frame": round(1000 * sum(report.worker_seconds) / report.frames, 2),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", required=True, help="a film with several shots")
    parser.add_argument("--prompt", default="oil painting")
    parser.add_argument("--size", type=parse_size, default=None)
    parser.add_argument("--film", type=int, default=3000, help="frames of the simulated film, at least")
    args = parser.parse_args()
    style = Style(prompt=args.prompt, size=args.size)
    with tempfile.TemporaryDirectory() as folder:
        rows = [measure(count, args.video, style, Path(folder) / f"{count}.mp4") for count in (1, 2)]
        same = (Path(folder) / "1.mp4").read_bytes() == (Path(folder) / "2.mp4").read_bytes()
    print(f"{hardware()}; {args.video}: {rows[0]['frames']} frames in {rows[0]['units']} units")
    print(f"{'workers':>8} {'seconds':>8} {'gain':>6} {'worker, ms a frame':>19} {'driver, ms a frame':>19}")
    for row in rows:
        row["gain"] = round(rows[0]["seconds"] / row["seconds"], 3)
        print(
            f"{row['workers']:>8} {row['seconds']:>8.1f} {row['gain']:>6.2f} {row['worker_ms_a_frame']:>19.1f} "
            f"{row['driver_ms_a_frame']:>19.2f}"
        )
    print(f"the two files are {'equal, byte for byte' if same else 'NOT equal'}")
    seconds_a_frame = rows[0]["worker_ms_a_frame"] / 1000
    units = find_units(Job(args.video), style)
    copies = max(1, -(-args.film // sum(unit.frames for unit in units)))
    simulated = simulate_film([unit.frames for unit in units] * copies, seconds_a_frame)
    print(f"{'workers':>8} {'seconds':>8} {'gain':>6} {'idle':>6}   simulated, the film {copies} times in a row")
    for row in simulated:
        print(f"{row['workers']:>8} {row['seconds']:>8.1f} {row['gain']:>6.2f} {row['idle']:>6.1%}")
    print(json.dumps({"benchmark": "cluster", "hardware": hardware(), "runs": rows, "same": same, "film": simulated}))


def simulate_film(lengths: list[int], seconds_a_frame: float) -> list[dict[str, Any]]:
    """Simulates a film of these units on more and more workers."""
    from stylize.runs.units import plan_units

    starts = [0, *np.cumsum(lengths)[:-1].tolist()]
    units = plan_units(starts, sum(lengths))
    plans = [simulate([units], count, seconds_a_frame) for count in COUNTS]
    return [
        {
            "workers": plan.workers, "seconds": round(plan.seconds, 1),
            "gain": round(plans[0].seconds / plan.seconds, 2), "idle": round(plan.idle, 4),
        }
        for plan in plans
    ]  # fmt: skip


if __name__ == "__main__":
    main()
