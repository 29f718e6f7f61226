"""The benchmarks still run with today's code: a few frames of each, to the last line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
pytestmark = pytest.mark.slow


def run(script: str, *arguments: str) -> str:
    command = [sys.executable, BENCHMARKS / script, *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=400, env=os.environ | {"HF_HUB_OFFLINE": "1"}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_temporal_consistency_of_every_method(tmp_path: Path) -> None:
    told = run(
        "temporal.py", "--frames", "10", "--size", "96x64", "--only", "still", "fast-pan", "--long", "120",
        "--out", str(tmp_path),
    )  # fmt: skip
    result = json.loads(told.splitlines()[-1])
    ratios = result["ratios"]
    assert len(ratios) == 15 and result["moving"] == ["fast-pan"]
    assert ratios["diffusers img2img ControlNet"]["warp_error"] == pytest.approx(1)
    assert ratios["full"]["warp_error"] < ratios["ours, every frame a shot of its own, fresh noise"]["warp_error"]
    assert ratios["source"]["unet"] == 0 and ratios["full"]["unet"] >= 1
    page = (tmp_path / "temporal.md").read_text()
    assert "| wanted | of | measured | |" in page and "x-t slices" in page
    assert (tmp_path / "temporal-slices.jpg").stat().st_size > 1000
