"""The documentation says what is there: the command's options, links and pictures, and scripts that run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer.main
from PIL import Image

from stylize.cli import app
from stylize.structure.given import GivenDepth

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, env=os.environ | environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_the_command_page_is_the_commands_own_help(tmp_path: Path) -> None:
    """Made again by: python -m typer stylize.cli utils docs --name stylize --output docs/cli.md"""
    python("-m", "typer", "stylize.cli", "utils", "docs", "--name", "stylize", "--output", str(tmp_path / "cli.md"))
    assert (tmp_path / "cli.md").read_text() == (ROOT / "docs" / "cli.md").read_text()


@pytest.mark.slow
def test_the_gpu_benchmark_runs_anywhere() -> None:
    """At a size that proves the script and says nothing about speed."""
    for family, more in (("sdxl", {"file to file, full, tiny VAE", "diffusers, frame by frame"}), ("pocket", set())):
        done = python("benchmarks/gpu.py", "--small", "--family", family, "--profile")
        result = json.loads(done.stdout.splitlines()[-1])
        names = {"networks alone, batch 8", "stylize, full, batch 1", "stylize, fast", "file to file, full"}
        assert names | more < set(result["rows"])
        assert all(row["frames_per_second"] > 0 for row in result["rows"].values())
        assert result["share"]["UNet"] > 0.05


@pytest.mark.slow
def test_the_benchmark_of_video_models_runs_anywhere() -> None:
    result = json.loads(python("benchmarks/gpu_video.py", "--small").stdout.splitlines()[-1])
    names = {"diffusers' WanVACEPipeline, one window", "stylize, 2 windows", "AnimateDiff with two ControlNets, ours"}
    assert names <= set(result["rows"])
    assert all(row["frames_per_second"] > 0 for row in result["rows"].values())


def commands() -> list[tuple[str, str]]:
    """Every line of a code block, or of a table, that calls the command; with the page that it is on."""
    found = []
    for page in PAGES:
        text = page.read_text().replace("\\\n", " ")
        found += [(page.name, line) for line in re.findall(r"(?:^|`)\s*(stylize [a-z]+ [^`\n#]+)", text, re.MULTILINE)]
    return found


def test_every_command_line_that_is_shown_has_options_that_there_are() -> None:
    group, lines = typer.main.get_command(app), commands()
    assert len(lines) > 30
    for page, line in lines:
        name = line.split()[1]
        if name not in group.commands:  # type: ignore[attr-defined]
            assert page == "python.md" or name in ("class", "is"), f"{page}: {line}"
            continue
        known = {o for p in group.commands[name].params for o in (*p.opts, *p.secondary_opts)}  # type: ignore[attr-defined]
        assert set(re.findall(r"(?<= )--[a-z-]+", line)) <= known | {"--help"}, f"{page}: {line}"


def test_all_options_in_the_text_are_some_commands() -> None:
    commands_there = typer.main.get_command(app).commands.values()  # type: ignore[attr-defined]
    known = {o for c in commands_there for p in c.params for o in (*p.opts, *p.secondary_opts)}
    others = {
        "--help",
        "--version",
        "--out",
        "--data",
        "--frames",
        "--size",
        "--small",
        "--only",
        "--steps",
        "--photos",
    }
    others |= {"--example"}
    for page in PAGES:
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        named = {option for code in re.findall(r"`([^`\n]+)`", text) if ".py" not in code
                 for option in re.findall(r"(?:^| )(--[a-z-]+)", code)}  # fmt: skip
        assert named <= known | others, f"{page.name}: {named - known - others}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_are_there(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.slow
def test_the_site_builds_and_asks_nothing_of_other_hosts(tmp_path: Path) -> None:
    python("-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site"))
    made = list((tmp_path / "site").glob("*.html"))
    assert len(made) >= 16
    for page in made:
        loaded = re.findall(r"<(?:script|img|link|source|iframe)[^>]+(?:src|href)=\"([^\"]+)\"", page.read_text())
        assert not [url for url in loaded if url.startswith(("http", "//"))], page.name
    for sheet in (tmp_path / "site").rglob("*.css"):
        assert not re.findall(r"url\(['\"]?(?:https?:)?//", sheet.read_text()), sheet.name
    assert "load_stylizer" in (tmp_path / "site" / "api.html").read_text()


def test_the_mock_ups_depth_is_that_of_its_pictures(tmp_path: Path) -> None:
    python("examples/boxes.py", "--out", str(tmp_path), "--frames", "3", "--size", "160x96")
    assert {p.name: len(list(p.iterdir())) for p in tmp_path.iterdir()} == {"storyboard": 3, "render": 3, "depth": 3}
    near = GivenDepth(tmp_path / "depth").at(1, (160, 96))
    grey = cv2.imread(str(tmp_path / "render" / "00002.png"), cv2.IMREAD_GRAYSCALE)
    assert grey is not None
    sky = grey == grey.max()
    assert 0.1 < sky.mean() < 0.6 and near[sky].max() == 0 and near[~sky].min() > 0.1
    steps = np.abs(np.diff(near, axis=1)) > 0.03  # silhouettes of boxes show in the picture too
    edges = cv2.dilate(cv2.Canny(grey, 20, 60), np.ones((3, 3), np.uint8)) > 0
    assert edges[:, 1:][steps].mean() > 0.9


@pytest.mark.slow
def test_the_scripts_run(tmp_path: Path) -> None:
    python("examples/own_frames.py", "--out", str(tmp_path / "own.gif"))
    with Image.open(tmp_path / "own.gif") as film:
        assert (film.n_frames, film.size, film.info["duration"]) == (12, (256, 144), 80)
    python("examples/five_modes.py", "--out", str(tmp_path), "--size", "128x72", "--only", "mask", "render")
    with Image.open(tmp_path / "mask.jpg") as sheet:
        assert sheet.size == (3 * 128, 3 * (72 + 28))
    python("examples/beyond.py", "--out", str(tmp_path), "--size", "128x72", "--only", "expand", "keyframe")
    with Image.open(tmp_path / "keyframe.jpg") as sheet:
        assert sheet.size == (3 * 128, 2 * (72 + 28))
    python("examples/demo.py", "--out", str(tmp_path / "demo"), "--source", "examples/cockatoo.mp4", "--end", "0.4")
    assert sorted(p.name for p in (tmp_path / "demo").iterdir()) == ["before-after.png", "demo.mp4"]
