"""Runs on a larger canvas."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from command import run
from media import frame_times, frames, make_video, picture, sound_packets
from stylize import Style, Stylizer
from stylize.errors import UnfinishedRun
from stylize.networks import Networks
from stylize.runs.expand import CanvasJob, expand


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_video(tmp_path / "in.mkv", 10, codec="ffv1", pixel_format="bgr0", options={}, tagged=False, sound=True)


def test_without_a_look(source: Path, tmp_path: Path) -> None:
    code, out, err = run("expand", source, "-o", tmp_path / "out.mkv", "--canvas", "96x64")
    assert code == 0 and "10 frames" in out, err
    shown = frames(tmp_path / "out.mkv")
    assert shown.shape == (10, 64, 96, 3)
    for i, frame in enumerate(shown):
        assert np.array_equal(frame[8:56, 16:80], picture(i))
        assert (frame[:8].sum(-1) > 0).mean() > 0.9
    assert frame_times(tmp_path / "out.mkv") == frame_times(source)
    assert sound_packets(tmp_path / "out.mkv") == sound_packets(source)


def test_the_look_is_beyond_the_picture_alone(tiny: Networks, source: Path, tmp_path: Path) -> None:
    job = CanvasJob(source=str(source), output=tmp_path / "out.mkv", canvas="112x80", place="8,8")
    expand(Stylizer(tiny), job, Style("ink"))
    plain = CanvasJob(source=str(source), output=tmp_path / "plain.mkv", canvas="112x80", place="8,8")
    expand(None, plain, None)
    styled, painted = frames(tmp_path / "out.mkv"), frames(tmp_path / "plain.mkv")
    for i in range(10):
        assert np.array_equal(styled[i, 8:56, 8:72], picture(i))
    assert np.abs(styled[:, 72:].astype(int) - painted[:, 72:]).mean() > 5


def test_a_run_that_broke_off_goes_on(
    tiny: Networks, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stylize.encode.writer.LENGTH", 4)
    stylizer, style = Stylizer(tiny, batch=2), Style("ink")

    def stop(done: int, _: int | None) -> None:
        if done == 7:
            raise KeyboardInterrupt

    expand(stylizer, CanvasJob(source=str(source), output=tmp_path / "whole.mkv", canvas="1:1"), style)
    job = CanvasJob(source=str(source), output=tmp_path / "out.mkv", canvas="1:1")
    with pytest.raises(KeyboardInterrupt):
        expand(stylizer, job, style, stop)
    again = CanvasJob(source=str(source), output=tmp_path / "out.mkv", canvas="1:1", resume=True)
    assert expand(stylizer, again, style).resumed_from > 0
    assert np.array_equal(frames(tmp_path / "out.mkv"), frames(tmp_path / "whole.mkv"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--canvas", "32x32"), "the canvas 32x32 is smaller than the picture, 64x48"),
        (("--canvas", "16:9", "--size", "640x360"), "the picture stays as it is, so it cannot be resized"),
        (("--canvas", "16:9", "--prompt", "ink", "--mask-from", "motion"), "there is no mask and no painting"),
        (("--canvas", "16:9", "--place", "nowhere"), "'nowhere' is not a place"),
    ],
)
def test_what_is_refused(arguments: tuple[str, ...], message: str, source: Path, tmp_path: Path) -> None:
    code, _, err = run("expand", source, "-o", tmp_path / "out.mp4", *arguments)
    assert code == 1 and message in err
    assert [file.name for file in tmp_path.iterdir()] == ["in.mkv"]


@pytest.mark.parametrize("look", [(), ("--prompt", "ink")])
def test_a_preview(source: Path, tmp_path: Path, look: tuple[str, ...]) -> None:
    sheet = tmp_path / "sheet.png"
    code, _, err = run("expand", source, "-o", tmp_path / "out.mp4", "--canvas", "16:9", *look, "--preview", sheet)
    assert code == 0 and sheet.exists() and not (tmp_path / "out.mp4").exists(), err


def test_a_part_that_broke_off_goes_on(
    tiny: Networks, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stylize.encode.writer.LENGTH", 2)
    stylizer, style = Stylizer(tiny, batch=1), Style("ink")

    def stop(done: int, _: int | None) -> None:
        if done == 5:
            raise KeyboardInterrupt

    whole = CanvasJob(source=str(source), output=tmp_path / "whole.mkv", canvas="1:1", start=0.12)
    assert expand(stylizer, whole, style).frames == 7
    job = replace(whole, output=tmp_path / "out.mkv")
    with pytest.raises(KeyboardInterrupt):
        expand(stylizer, job, style, stop)
    assert expand(stylizer, replace(job, resume=True), style).resumed_from > 0
    assert np.array_equal(frames(tmp_path / "out.mkv"), frames(tmp_path / "whole.mkv"))


def test_an_unfinished_run_gives_way_by_force(
    tiny: Networks, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stylize.encode.writer.LENGTH", 2)

    def stop(done: int, _: int | None) -> None:
        if done == 5:
            raise KeyboardInterrupt

    job = CanvasJob(source=str(source), output=tmp_path / "out.mkv", canvas="1:1")
    with pytest.raises(KeyboardInterrupt):
        expand(Stylizer(tiny, batch=1), job, Style("ink"), stop)
    with pytest.raises(UnfinishedRun):
        expand(None, job, None)
    assert expand(None, replace(job, force=True), None).frames == 10
    assert [file.name for file in tmp_path.iterdir() if "out" in file.name] == ["out.mkv"]


def test_a_preview_of_slides_shows_each(tmp_path: Path) -> None:
    slides = make_video(tmp_path / "slides.mkv", 6, rate=Fraction(1))
    job = CanvasJob(source=str(slides), output=tmp_path / "out.mkv", canvas="96x64")
    for second in (1.5, 3.5):
        shown = job.frame_at(second, (96, 64)).frames[0, 8:56, 16:80]
        assert np.abs(shown.astype(int) - picture(int(second))).mean() < 8


@pytest.mark.parametrize("option", [("--mask", "m.png"), ("--control-from", "canny:e"), ("--control", "depth:1")])
def test_options_of_a_look_without_one(option: tuple[str, str], source: Path, tmp_path: Path) -> None:
    code, _, err = run("expand", source, "-o", tmp_path / "out.mp4", "--canvas", "16:9", *option)
    assert code == 2 and "is for a look" in err
