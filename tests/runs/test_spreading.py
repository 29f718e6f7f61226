"""Runs on many workers, here all in this process: they equal the run of one, whatever becomes of the workers."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from crews import COUNT, LocalWorkers, make_shots
from media import frames
from stylize import Style, StylizeError, Stylizer
from stylize.errors import StyleError, UnfinishedRun
from stylize.networks import Networks
from stylize.runs.cluster import restyle_spread
from stylize.runs.cluster.messages import Loaded
from stylize.runs.cluster.worker import UnitWorker
from stylize.runs.generate import SceneJob
from stylize.runs.jobs import Job
from stylize.runs.progress import Report

STYLE = Style(prompt="ink drawing", steps=2, strength=0.5)
pytestmark = pytest.mark.filterwarnings("ignore::stylize.errors.VideoWarning")


@pytest.fixture(autouse=True)
def short_units(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("stylize.encode.writer", "stylize.runs.units"):
        monkeypatch.setattr(f"{module}.LENGTH", 8)
    monkeypatch.setattr("stylize.runs.cluster.worker.STEP_SECONDS", 0.05)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shots(tmp_path_factory.mktemp("shots") / "in.mp4")


@pytest.fixture
def stylizer(tiny: Networks) -> Stylizer:
    return Stylizer(tiny, batch=3)


@pytest.fixture(scope="module")
def alone(tiny: Networks, source: Path) -> bytes:
    """The file that one worker makes."""
    with pytest.MonkeyPatch.context() as patches:
        for module in ("stylize.encode.writer", "stylize.runs.units"):
            patches.setattr(f"{module}.LENGTH", 8)
        Stylizer(tiny, batch=3).convert(source, source.with_name("alone.mp4"), STYLE)
    return source.with_name("alone.mp4").read_bytes()


def spread(
    stylizer: Stylizer, source: Path, output: Path, style: Style = STYLE, crew: LocalWorkers | None = None,
    **options: Any,
) -> Report:  # fmt: skip
    reports: list[Report] = []
    more = {name: options.pop(name) for name in ("progress", "tell", "split") if name in options}
    job = Job(str(source), output, **options)
    restyle_spread(crew or LocalWorkers(stylizer), [job], style, {}, show=reports.append, **more)
    return reports[0]


def stop_at(count: int) -> Callable[[int, int | None], None]:
    def progress(done: int, _: int | None) -> None:
        if done >= count:
            raise KeyboardInterrupt

    return progress


KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "full": ({}, {}),
    "fast": ({"mode": "fast"}, {}),
    "masked": ({"mask_from": "motion", "mask_part": "background"}, {}),
    "a part": ({}, {"start": 1.0, "end": 3.2}),
    "another size": ({"size": (96, 72), "fit": 64}, {}),
    "without memory": ({"temporal": 0.0}, {}),
}


@pytest.mark.parametrize("name", KINDS)
def test_equal_to_one_worker(stylizer: Stylizer, source: Path, tmp_path: Path, name: str) -> None:
    look, options = KINDS[name]
    style = Style(prompt="ink drawing", steps=2, strength=0.5, **look)
    alone = stylizer.convert(source, tmp_path / "alone.mp4", style, **options)
    report = spread(stylizer, source, tmp_path / "spread.mp4", style, **options)
    assert (tmp_path / "alone.mp4").read_bytes() == (tmp_path / "spread.mp4").read_bytes()
    assert (report.frames, report.shots, report.keyframes) == (alone.frames, alone.shots, alone.keyframes)
    assert report.workers == 2 and report.units > 1 and len(report.worker_seconds) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone.mp4", "spread.mp4"]


@pytest.mark.slow
@pytest.mark.parametrize("sees", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_workers_that_die(
    stylizer: Stylizer,
    source: Path,
    tmp_path: Path,
    alone: bytes,
    seed: int,
    sees: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two of them at random points, on storage that they share, and without."""
    if not sees:
        monkeypatch.setattr("stylize.runs.cluster.worker._sees", lambda film: False)
    points = random.Random(seed).sample(range(6, 40), 2)
    crew = LocalWorkers(stylizer, 3, lambda worker, method, count: count in points)
    report = spread(stylizer, source, tmp_path / "spread.mp4", crew=crew)
    assert crew.deaths == 2
    assert (tmp_path / "spread.mp4").read_bytes() == alone
    assert report.retries <= 2


def test_files_are_sent_to_workers_that_lack_them(
    stylizer: Stylizer, source: Path, tmp_path: Path, alone: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stylize.runs.cluster.worker._sees", lambda film: False)
    monkeypatch.setattr(UnitWorker, "_has", lambda self, path, length: path in self._places)
    lines: list[str] = []
    spread(stylizer, source, tmp_path / "spread.mp4", tell=lines.append)
    assert (tmp_path / "spread.mp4").read_bytes() == alone
    assert sum("is sent to the workers" in line for line in lines) == 1
    with patch("stylize.runs.cluster.schedule.LARGEST", 10), pytest.raises(StylizeError, match="only files of up to"):
        spread(stylizer, source, tmp_path / "other.mp4")
    assert not list(tmp_path.glob(".*"))


def test_a_poisoned_unit_stops_the_run(stylizer: Stylizer, source: Path, tmp_path: Path, alone: bytes) -> None:
    """Whoever restyles frames 34 and on is lost; what others have done stays."""
    begun: dict[int, int] = {}

    class Crew(LocalWorkers):
        def call(self, worker: int, method: str, *arguments: Any) -> None:
            if method == "begin":
                begun[worker] = arguments[1].first
            super().call(worker, method, *arguments)

    crew = Crew(stylizer, 2, lambda worker, method, count: method == "step" and begun.get(worker) == 34)
    with pytest.raises(
        StylizeError, match=r"frames 34 to 51 ended 3 workers \(killed\).*; \d+ frames are done, --resume"
    ):
        spread(stylizer, source, tmp_path / "out.mp4", crew=crew)
    assert crew.deaths == 3
    assert not (tmp_path / "out.mp4").exists()
    report = spread(stylizer, source, tmp_path / "out.mp4", resume=True)
    assert report.resumed_from >= 20
    assert (tmp_path / "out.mp4").read_bytes() == alone


def test_out_of_memory_is_another_try(stylizer: Stylizer, source: Path, tmp_path: Path, alone: bytes) -> None:
    calls = iter(range(1000))

    def once(networks: Any, *rest: Any) -> Any:
        if next(calls) == 2:
            raise MemoryError
        return restyle(networks, *rest)

    from stylize.restyle import ImageRestyler

    restyle = ImageRestyler.restyle
    with patch.object(ImageRestyler, "restyle", once):
        report = spread(stylizer, source, tmp_path / "spread.mp4")
    assert report.retries == 1
    assert (tmp_path / "spread.mp4").read_bytes() == alone


@pytest.mark.parametrize("first", ["spread", "alone"])
@pytest.mark.parametrize(
    ("then", "point"),
    [(2, 61), *(pytest.param(t, p, marks=pytest.mark.slow) for t, p in ((0, 30), (0, 61), (1, 30), (1, 61), (2, 30)))],
)
def test_resume(
    stylizer: Stylizer, source: Path, tmp_path: Path, alone: bytes, first: str, then: int, point: int
) -> None:
    """A run that several workers or one have begun goes on with any number of workers, or in the old way."""
    output = tmp_path / "out.mp4"
    with pytest.raises(KeyboardInterrupt):
        if first == "spread":
            spread(stylizer, source, output, progress=stop_at(point))
        else:
            stylizer.convert(source, output, STYLE, progress=stop_at(point))
    with pytest.raises(UnfinishedRun, match=r"frames of it done: pass --resume"):
        spread(stylizer, source, output)
    with pytest.raises(UnfinishedRun, match=r"frames of it done: pass --resume"):
        stylizer.convert(source, output, STYLE)
    if then == 0:
        report = stylizer.convert(source, output, STYLE, resume=True)
    else:
        report = spread(stylizer, source, output, crew=LocalWorkers(stylizer, then), resume=True)
    assert report.resumed_from > 0 and report.frames == COUNT
    assert output.read_bytes() == alone
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mp4"]


def test_only_the_same_run_is_resumed(stylizer: Stylizer, source: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        spread(stylizer, source, tmp_path / "out.mp4", progress=stop_at(40))
    other = Style(prompt="oil painting", steps=2, strength=0.5)
    with pytest.raises(UnfinishedRun, match="another prompt"):
        spread(stylizer, source, tmp_path / "out.mp4", other, resume=True)
    report = spread(stylizer, source, tmp_path / "out.mp4", other, force=True)
    assert report.resumed_from == 0


@pytest.mark.slow
def test_many_videos_one_of_them_broken(stylizer: Stylizer, source: Path, tmp_path: Path, alone: bytes) -> None:
    inputs = [tmp_path / f"{i}.mp4" for i in range(6)]
    for i, path in enumerate(inputs):
        path.write_bytes(b"no video" if i == 2 else source.read_bytes())
    (tmp_path / "out").mkdir()
    todo = [Job(str(path), tmp_path / "out" / path.name) for path in inputs]
    shown: list[Report] = []
    seen: list[tuple[int, int | None]] = []
    failed = restyle_spread(
        LocalWorkers(stylizer, 3), todo, STYLE, {}, show=shown.append, progress=lambda *now: seen.append(now)
    )
    assert len(failed) == 1 and "2.mp4" in str(failed[0]) and len(shown) == 5
    for i in (0, 1, 3, 4, 5):
        assert (tmp_path / "out" / f"{i}.mp4").read_bytes() == alone
    assert seen[-1] == (5 * COUNT, 5 * COUNT) and [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{i}.mp4" for i in (0, 1, 3, 4, 5)]
    assert (
        restyle_spread(LocalWorkers(stylizer), [Job(j.source, j.output, resume=True) for j in todo[:2]], STYLE, {})
        == []
    )


def test_long_shots_can_be_split(
    stylizer: Stylizer, source: Path, tmp_path: Path, alone: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stylize.runs.units.STRETCH", 10)
    monkeypatch.setattr("stylize.runs.units.WARM_UP", 4)
    report = spread(stylizer, source, tmp_path / "out.mp4", split=True)
    (tmp_path / "alone.mp4").write_bytes(alone)
    one, other = (frames(tmp_path / name).astype(int) for name in ("alone.mp4", "out.mp4"))
    assert report.frames == len(other) == COUNT and report.shots == 5 and report.units > 5
    assert np.array_equal(one[:9], other[:9]) and not np.array_equal(one, other)
    assert np.abs(one - other).mean() < 6


def test_workers_of_another_version_are_refused(stylizer: Stylizer, source: Path, tmp_path: Path) -> None:
    other = Loaded("0.0.1", "attic", "cpu", "tiny", 1)
    with patch.object(UnitWorker, "load", lambda self, options: other), pytest.raises(StylizeError) as problem:
        spread(stylizer, source, tmp_path / "out.mp4")
    assert "the worker on attic has stylize 0.0.1" in str(problem.value)


def test_a_machine_that_loses_every_worker(stylizer: Stylizer, source: Path, tmp_path: Path) -> None:
    crew = LocalWorkers(stylizer, 2, lambda worker, method, count: method == "load")
    with pytest.raises(StylizeError, match="workers end while they load the model"):
        spread(stylizer, source, tmp_path / "out.mp4", crew=crew)
    assert [path.name for path in tmp_path.iterdir()] == []


def test_what_one_worker_must_do(stylizer: Stylizer, source: Path, tmp_path: Path) -> None:
    with pytest.raises(StyleError, match="leave out --workers"):
        restyle_spread(LocalWorkers(stylizer), [SceneJob(str(source), tmp_path / "out.mp4")], STYLE, {})
    painted = Style(keyframes={0: "painted.png"})  # type: ignore[dict-item]
    with pytest.raises(StyleError, match="leave out --workers"):
        spread(stylizer, source, tmp_path / "out.mp4", painted)
