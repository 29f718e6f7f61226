"""A still, or words alone, to a video."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from command import run
from media import frames, picture, video_duration
from stylize import Style, StyleError, Stylizer
from stylize.errors import UnfinishedRun
from stylize.models.loading import load_networks
from stylize.motion import FlowPool
from stylize.networks import Networks
from stylize.runs.generate import SceneJob, generate
from stylize.scenes import Shot
from stylize.style.camera import parse_camera


@pytest.fixture
def still(tmp_path: Path) -> Path:
    Image.fromarray(picture(4, 96, 64)).save(tmp_path / "still.png")
    return tmp_path / "still.png"


def make_job(still: Path | str, output: Path, text: str = "push in + handheld", **options: object) -> SceneJob:
    shot = Shot(parse_camera(text), 1.0, Fraction(12))
    return SceneJob(source=str(still), output=output, shot=shot, **options)  # type: ignore[arg-type]


def test_a_still_without_a_look_is_itself(tiny: Networks, still: Path, tmp_path: Path) -> None:
    report = generate(Stylizer(tiny), make_job(still, tmp_path / "out.mkv"), None)
    assert report.frames == 12 and video_duration(tmp_path / "out.mkv") == 1
    shown = frames(tmp_path / "out.mkv")
    assert np.array_equal(shown[0], picture(4, 96, 64))
    assert np.abs(shown[-1].astype(int) - shown[0]).mean() > 1


@pytest.mark.parametrize("mode", ["full", "fast"])
def test_motion_is_known_and_not_estimated(
    tiny: Networks, still: Path, tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def estimate(*_: object) -> None:
        raise AssertionError("the motion was estimated")

    monkeypatch.setattr(FlowPool, "between", estimate)
    monkeypatch.setattr(FlowPool, "both_ways", estimate)
    report = generate(Stylizer(tiny), make_job(still, tmp_path / "out.mkv"), Style("ink", mode=mode))  # type: ignore[arg-type]
    assert report.frames == 12 and report.shots == 1
    assert report.keyframes == 12 if mode == "full" else report.keyframes < 12


def test_a_run_that_broke_off_goes_on(
    tiny: Networks, still: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    style, whole, broken = Style("ink"), tmp_path / "whole.mkv", tmp_path / "broken.mkv"
    monkeypatch.setattr("stylize.encode.writer.LENGTH", 4)
    stylizer = Stylizer(tiny, batch=2)
    generate(stylizer, make_job(still, whole), style)

    def stop(done: int, _: int | None) -> None:
        if done == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(stylizer, make_job(still, broken), style, stop)
    with pytest.raises(UnfinishedRun, match="another camera"):
        generate(stylizer, make_job(still, broken, "pull out", resume=True), style)
    report = generate(stylizer, make_job(still, broken, resume=True), style)
    assert report.resumed_from > 0
    assert np.array_equal(frames(broken), frames(whole))


def test_words_alone_with_a_model_that_draws(tiny: Networks, tmp_path: Path) -> None:
    style = Style("a lighthouse", size=(64, 48))
    report = generate(Stylizer(tiny), make_job("", tmp_path / "out.mkv"), style)
    assert report.frames == 12 and frames(tmp_path / "out.mkv").shape == (12, 48, 64, 3)
    again = generate(Stylizer(tiny), make_job("", tmp_path / "again.mkv"), style)
    assert again.frames == 12 and np.array_equal(frames(tmp_path / "again.mkv"), frames(tmp_path / "out.mkv"))


def test_words_alone_with_the_built_in_model(tmp_path: Path) -> None:
    stylizer = Stylizer(load_networks("pocket", device="cpu"))
    with pytest.raises(StyleError, match="cannot draw from words alone: add --image FILE, or draw with --model sd15"):
        generate(stylizer, make_job("", tmp_path / "out.mp4"), Style("woodcut"))
    assert not list(tmp_path.iterdir())


def test_depth_that_comes_with_the_still(tiny: Networks, still: Path, tmp_path: Path) -> None:
    """What is near by its depth moves, what is far hardly does."""
    depth = np.zeros((64, 96), np.uint8)
    depth[:32] = 255
    Image.fromarray(depth).save(tmp_path / "depth.png")
    job = make_job(still, tmp_path / "out.mkv", "truck right 2 linear", depth_from=tmp_path / "depth.png")
    generate(Stylizer(tiny), job, None)
    change = np.abs(frames(tmp_path / "out.mkv")[-1].astype(int) - picture(4, 96, 64)).mean((1, 2))
    assert change[:28].mean() > 2 * change[36:].mean()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "there is nothing to film"),
        (("--image", "nowhere.png"), 1, "no such reference picture"),
        (("--image", "still.png", "--start", "1"), 1, "a still has no time to start or end at"),
        (("--image", "still.png", "--camera", "fly"), 1, "'fly' is not a camera move"),
        (("--image", "still.png", "--seconds", "0"), 1, "0 seconds are out of range"),
        (("--image", "still.png", "--mask-from", "motion"), 1, "a mask belongs to a video"),
        (("--image", "still.png", "-o", "still.png"), 1, "is the input itself"),
        (("--image", "still.png", "--keyframe", "0:still.png"), 1, "a painting belongs to a video"),
        (("--image", "still.png", "--size", "0x0"), 1, "size 0x0 is out of range"),
        (("--image", "still.png", "--size", "3x1"), 1, "size 3x1 is out of range"),
        (("--image", "still.png", "--camera", "ease"), 1, "'ease' is not a camera move"),
        (("--image", "still.png", "--camera", "push in + linear"), 1, "'linear' is not a camera move"),
        (("--image", "still.png", "--control", "depth:1"), 2, "is for a look"),
    ],
)
def test_what_is_refused(
    arguments: tuple[str, ...], code: int, message: str, still: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(still.parent)
    output = () if "-o" in arguments else ("-o", "out.mp4")
    found, _, err = run("generate", *arguments, *output)
    assert found == code and message in err
    assert [file.name for file in still.parent.iterdir()] == ["still.png"]


def test_a_preview(still: Path, tmp_path: Path) -> None:
    film = ("generate", "--image", still, "-o", tmp_path / "out.mp4", "--preview")
    code, out, err = run(*film, tmp_path / "sheet.png", "--prompt", "ink")
    assert code == 0 and "a frame here" in out, err
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 4 * 60
    code, out, _ = run(*film, tmp_path / "plain.png")
    assert code == 0 and (tmp_path / "plain.png").exists() and not (tmp_path / "out.mp4").exists()


def test_a_preview_needs_no_free_name(still: Path, tmp_path: Path) -> None:
    (tmp_path / "out.mp4").write_bytes(b"there already")
    code, _, err = run("generate", "--image", still, "-o", tmp_path / "out.mp4", "--preview", tmp_path / "sheet.png")
    assert code == 0, err
    assert (tmp_path / "out.mp4").read_bytes() == b"there already"


def test_a_mask_is_refused_in_python_too(tiny: Networks, still: Path, tmp_path: Path) -> None:
    with pytest.raises(StyleError, match="a mask belongs to a video"):
        make_job(still, tmp_path / "out.mkv", "push in").check(Style("ink", mask_from="motion"))


def test_slow_moves_are_no_still_frames(tiny: Networks, still: Path, tmp_path: Path) -> None:
    """A camera that hardly moves: every frame has its own motion, which fast mode follows; one that stands repeats."""
    diffused = {}
    for move in ("truck right 0.05", "still"):
        job = make_job(still, tmp_path / "out.mkv", move)
        diffused[move] = generate(Stylizer(tiny), replace(job, force=True), Style("ink", mode="fast")).keyframes
    assert diffused["still"] == 1 < diffused["truck right 0.05"]
