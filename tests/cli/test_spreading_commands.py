"""`stylize cluster`, and the options of `run` for many workers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from command import run
from crews import CUTS, make_shots


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shots(tmp_path_factory.mktemp("film") / "film.mp4", repeat=5)


def test_the_plan(film: Path) -> None:
    words = ("cluster", film, "--prompt", "ink", "--workers", 2, "--seconds-a-frame", 0.1, "--dry-run")
    code, out, err = run(*words)
    assert code == 0, err
    assert f"{film}: 450 frames in 5 units" in out
    assert "frames 0 to 99 (100): worker 1, from 0 s to 10 s" in out
    assert "1 worker: 45 s" in out and "2 workers: " in out and "MB): read where a machine sees it" in out
    code, out, err = run(*words, "--json")
    plan = json.loads(out)
    assert code == 0 and sum(one["last"] - one["first"] for one in plan["units"]) == 450
    assert sorted(one["first"] for one in plan["units"]) == [5 * cut for cut in CUTS]
    assert plan["workers"] == 2 and 22.5 <= plan["seconds"] <= 35 and plan["seconds_a_frame"] == 0.1


def test_the_plan_measures_the_speed(film: Path, tiny_model: Path) -> None:
    code, out, err = run("cluster", film, "--prompt", "ink", "--model", tiny_model, "--steps", 2)
    assert code == 0, err
    assert " s a frame; loading the model and joining the file come on top" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--split-shots"], "--split-shots is for several workers"),
        (["--workers", "0"], "0 workers is out of range"),
        (["--workers", "2", "--keyframe", "0:painted.png"], "leave out --workers and --cluster"),
    ],
)
def test_errors(film: Path, tmp_path: Path, words: list[str], said: str) -> None:
    pytest.importorskip("ray")
    code, out, err = run("run", film, "-o", tmp_path / "out.mp4", "--prompt", "ink", *words)
    assert code == 1 and out == "" and said in err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_without_ray(film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    code, _, err = run("run", film, "-o", tmp_path / "out.mp4", "--prompt", "ink", "--workers", 2)
    assert code == 1 and "many workers need Ray: pip install 'ray[client]'" in err
    assert not list(tmp_path.iterdir())
