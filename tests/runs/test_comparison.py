"""Source and result in one video or picture."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from command import run
from media import frames, make_video, sound_packets


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_video(tmp_path / "in.mp4", 4, sound=True)


def test_views_after_a_run(source: Path, tmp_path: Path, tiny_model: Path) -> None:
    views = {"--side-by-side": "both.mp4", "--split": "wipe.mp4", "--before-after": "sheet.png"}
    flat = [str(x) for option, name in views.items() for x in (option, tmp_path / name)]
    made = ("--prompt", "ink", "--model", tiny_model, "--quiet")
    code, _, err = run("run", source, "-o", tmp_path / "out.mp4", *made, *flat)
    assert code == 0, err
    before, after, both = (frames(tmp_path / name).astype(int) for name in ("in.mp4", "out.mp4", "both.mp4"))
    assert both.shape == (4, 48, 128, 3)
    assert np.abs(both[:, :, :60] - before[:, :, :60]).mean() < 6  # 4:2:0 and the encoder in between
    assert np.abs(both[:, :, 68:] - after[:, :, 4:]).mean() < 6
    wipe = frames(tmp_path / "wipe.mp4").astype(int)
    assert wipe.shape == after.shape and np.abs(wipe[0, :, 10:] - before[0, :, 10:]).mean() < 6
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (4 * 64, 2 * 48)
    assert sound_packets(tmp_path / "both.mp4") == sound_packets(source)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["both.mp4", "in.mp4", "out.mp4", "sheet.png", "wipe.mp4"]


def test_the_compare_command(source: Path, tmp_path: Path, tiny_model: Path) -> None:
    made = ("--prompt", "ink", "--model", tiny_model, "--quiet", "--start", "0.08")
    assert run("run", source, "-o", tmp_path / "out.mp4", *made)[0] == 0
    arguments = ("compare", source, tmp_path / "out.mp4", "-o")
    assert run(*arguments, tmp_path / "both.mp4", "--start", "0.08") == (0, "", "")
    assert len(frames(tmp_path / "both.mp4")) == 2
    code, _, err = run("compare", tmp_path / "out.mp4", source, "-o", tmp_path / "wrong.mp4")
    assert code == 1 and "has more frames than" in err and not (tmp_path / "wrong.mp4").exists()
    assert run(*arguments, tmp_path / "sheet.jpg")[0] == 0


def test_a_view_that_exists_is_found_before_the_work(source: Path, tmp_path: Path, tiny_model: Path) -> None:
    made = ("--prompt", "ink", "--model", tiny_model, "--split", source)
    code, _, err = run("run", source, "-o", tmp_path / "out.mp4", *made)
    assert code == 1 and "exists already" in err and not (tmp_path / "out.mp4").exists()


def test_a_sweep_on_a_sheet(source: Path, tmp_path: Path, tiny_model: Path) -> None:
    sheet = tmp_path / "sheet.png"
    made = ("--prompt", "ink", "--model", tiny_model, "--frames", "2", "--compare", "strength=0.3|0.6|1")
    code, out, err = run("preview", source, "-o", sheet, *made)
    assert code == 0, err
    assert "GB of memory" in out and "MB of disk as an mp4" in out
    with Image.open(sheet) as picture:
        assert picture.size == (2 * 64, 4 * (48 + 28))
    for sweep in ("strength", "colour=1|2", "steps=few|many"):
        code, _, err = run("preview", source, "-o", tmp_path / "no.png", *made[:-1], sweep)
        assert code == 1 and "write 'strength=0.5|0.7'" in err


def test_the_report_is_json_still(source: Path, tmp_path: Path, tiny_model: Path) -> None:
    code, out, _ = run("run", source, "-o", tmp_path / "o.mp4", "--prompt", "ink", "--model", tiny_model, "--json")
    assert code == 0 and json.loads(out)["frames"] == 4
    with av.open(str(tmp_path / "o.mp4")) as container:
        assert container.metadata["comment"].startswith("stylize settings: {")
