"""A sheet of a few frames before a long run, and what the run will cost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from media import make_video
from oracle import Variant, make, number_of
from stylize import Style, Stylizer, VideoError
from stylize.cli import app
from stylize.networks import Networks
from stylize.runs.preview import make_preview
from stylize.runs.progress import duration

STYLE = Style(prompt="ink", steps=2, strength=0.5)


def test_frames_of_the_whole_video_above_their_restyled_selves(tiny: Networks, tmp_path: Path) -> None:
    source = make(tmp_path / "in.mp4", Variant(count=100))
    made = make_preview(Stylizer(tiny), source, tmp_path / "sheet.png", STYLE, count=4)
    with Image.open(tmp_path / "sheet.png") as picture:
        sheet = np.asarray(picture)
    assert sheet.shape == (2 * 96, 4 * 128, 3)
    assert [number_of(sheet[:96, 128 * i : 128 * (i + 1)].astype(float)) for i in range(4)] == [13, 38, 63, 88]
    for i in range(4):  # each is what a run would make of a shot's first frame
        styled = sheet[96:, 128 * i : 128 * (i + 1)]
        assert styled.std() > 1 and not np.array_equal(styled, sheet[:96, 128 * i : 128 * (i + 1)])
    assert made.frames_in_all == 100 and made.seconds(STYLE) == pytest.approx(105 * made.seconds_a_frame)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_from_the_command_line(tiny_model: Path, tmp_path: Path) -> None:
    source, sheet = make_video(tmp_path / "in.mp4", 10), tmp_path / "sheet.jpg"
    arguments = ["preview", str(source), "-o", str(sheet), "--prompt", "ink", "--model", str(tiny_model)]
    result = CliRunner().invoke(app, [*arguments, "--frames", "2", "--start", "0.1"])
    assert result.exit_code == 0, result.output
    assert "s a frame here; all 8 frames will take about" in result.stdout
    with Image.open(sheet) as picture:
        assert picture.size == (128, 96)
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 1 and "exists already: name another file, or pass --force" in again.stderr


def test_one_line_for_what_is_wrong(tiny: Networks, tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", 3)
    for name, message in (("a.mp4", "cannot write this kind of file"), ("no/a.png", "does not exist")):
        with pytest.raises(VideoError, match=message):
            make_preview(Stylizer(tiny), source, tmp_path / name, STYLE)
    assert [duration(s) for s in (12.3, 100, 7200)] == ["12 s", "2 min", "2 h 0 min"]
