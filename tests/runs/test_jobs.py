"""Many videos, one after the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from media import make_video
from stylize import VideoError
from stylize.runs import Job, jobs


def test_many_videos_go_on_after_a_bad_one(tiny_model: Path, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from stylize.cli import app

    good = [make_video(tmp_path / f"{name}.mp4", 2) for name in ("a", "b")]
    (tmp_path / "bad.mp4").write_text("no video")
    names = [str(p) for p in (good[0], tmp_path / "bad.mp4", good[1])]
    result = CliRunner().invoke(
        app, ["run", *names, "-o", f"{tmp_path}/out/", "--prompt", "ink", "--model", str(tiny_model), "--quiet"]
    )
    assert result.exit_code == 1
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.mp4", "b.mp4"]
    lines = result.stderr.splitlines()
    assert lines[-2] == "stylize: 1 of 3 videos failed:" and "bad.mp4: not a video" in lines[-1]
    nowhere = CliRunner().invoke(app, ["run", names[0], "-o", f"{tmp_path}/no/such/", "--prompt", "ink"])
    assert nowhere.exit_code == 1 and "no/such: cannot be made (No such file or directory): name a" in nowhere.stderr
    twice = CliRunner().invoke(app, ["run", names[0], names[2], "-o", str(tmp_path / "one.mp4"), "--prompt", "ink"])
    assert twice.exit_code == 1 and "is one file for 2 videos" in twice.stderr


def test_folders_with_dots_keep_their_names(tmp_path: Path) -> None:
    folders = [tmp_path / "shots" / name for name in ("a.v1", "a.v2")]
    for folder in folders:
        folder.mkdir(parents=True)
    (tmp_path / "out").mkdir()
    todo = jobs([str(folder) for folder in folders], str(tmp_path / "out"), Job())
    assert [job.output.name for job in todo] == ["a.v1.mp4", "a.v2.mp4"]


def test_a_list_that_cannot_be_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="would be written twice"):
        jobs(["one/a.mp4", "two/a.mp4"], str(tmp_path / "out"), Job())
    assert not (tmp_path / "out").exists()
