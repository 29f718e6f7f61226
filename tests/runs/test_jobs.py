"""Many videos, one after the other."""

from __future__ import annotations

from pathlib import Path

from media import make_video


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
