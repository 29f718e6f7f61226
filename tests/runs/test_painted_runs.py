"""Runs whose look a person painted."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from command import run
from media import frames, make_video, picture
from stylize import Style, StyleError, StylizeError, Stylizer
from stylize.networks import Networks


@pytest.fixture
def source(tmp_path: Path) -> Path:
    pictures = [picture(i) for i in range(12)]
    return make_video(
        tmp_path / "in.mkv", 12, codec="ffv1", pixel_format="bgr0", options={}, tagged=False, pictures=pictures
    )


def paint(path: Path, i: int, size: tuple[int, int] = (64, 48)) -> Path:
    Image.fromarray(255 - picture(i)).resize(size).save(path)
    return path


@pytest.mark.parametrize("mode", ["full", "fast"])
def test_painted_frames_are_as_they_were_painted(tiny: Networks, source: Path, tmp_path: Path, mode: str) -> None:
    paintings = {Fraction(0): paint(tmp_path / "a.png", 0), Fraction(7, 25): paint(tmp_path / "b.png", 7)}
    style = Style("ink", mode=mode, keyframes=paintings)  # type: ignore[arg-type]
    Stylizer(tiny).convert(source, tmp_path / "out.mkv", style)
    shown = frames(tmp_path / "out.mkv")
    assert np.array_equal(shown[0], 255 - picture(0)) and np.array_equal(shown[7], 255 - picture(7))
    for i in (3, 10):
        assert np.abs(shown[i].astype(int) - (255 - picture(i))).mean() < 12


def test_a_run_that_broke_off_goes_on(
    tiny: Networks, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stylize.encode.writer.LENGTH", 4)
    stylizer = Stylizer(tiny, batch=2)
    style = Style(
        "ink", keyframes={Fraction(0): paint(tmp_path / "a.png", 0), Fraction(10, 25): paint(tmp_path / "b.png", 10)}
    )
    stylizer.convert(source, tmp_path / "whole.mkv", style)

    def stop(done: int, _: int | None) -> None:
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stylizer.convert(source, tmp_path / "out.mkv", style, progress=stop)
    report = stylizer.convert(source, tmp_path / "out.mkv", style, resume=True)
    assert report.resumed_from > 0
    assert np.array_equal(frames(tmp_path / "out.mkv"), frames(tmp_path / "whole.mkv"))


def test_other_batches_change_nothing_that_was_painted(tiny: Networks, source: Path, tmp_path: Path) -> None:
    style = Style("ink", keyframes={Fraction(0): paint(tmp_path / "a.png", 0)})
    for batch in (1, 4):
        Stylizer(tiny, batch=batch).convert(source, tmp_path / f"{batch}.mkv", style)
    difference = frames(tmp_path / "1.mkv").astype(int) - frames(tmp_path / "4.mkv")
    assert np.abs(difference).max() <= 2


@pytest.mark.parametrize(
    ("second", "file", "message"),
    [
        ("9", "a.png", "has no frame at 9 s"),
        ("0", "square.png", "is 48x48, the frame 64x48: paint over the frame itself"),
        ("0", "noise.png", r"does not show the frame at 0 s \(likeness 0\.\d+\)"),
        ("0", "nowhere.png", "no such"),
    ],
)
def test_paintings_that_do_not_fit(
    tiny: Networks, source: Path, tmp_path: Path, second: str, file: str, message: str
) -> None:
    paint(tmp_path / "a.png", 0)
    paint(tmp_path / "square.png", 0, (48, 48))
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    with pytest.raises(StylizeError, match=message):
        Stylizer(tiny).convert(
            source, tmp_path / "out.mkv", Style("ink", keyframes={Fraction(second): tmp_path / file})
        )
    assert not (tmp_path / "out.mkv").exists()


def test_what_cannot_be(tiny: Networks, source: Path, tmp_path: Path) -> None:
    painted = paint(tmp_path / "a.png", 0)
    with pytest.raises(StyleError, match="reads no pictures, and nothing says how"):
        Stylizer(tiny).convert(source, tmp_path / "out.mkv", Style(keyframes={Fraction(0): painted}))
    with pytest.raises(StyleError, match="is not between start and end"):
        Stylizer(tiny).convert(source, tmp_path / "out.mkv", Style("ink", keyframes={Fraction(0): painted}), start=0.2)
    code, _, err = run("run", source, "-o", tmp_path / "out.mkv", "--keyframe", "a.png")
    assert code == 1 and "'a.png' is not a keyframe: write SECOND:PICTURE" in err


def test_the_command_with_a_painting_alone(source: Path, tmp_path: Path) -> None:
    painted = paint(tmp_path / "a.png", 0)
    code, out, err = run("run", source, "-o", tmp_path / "out.mkv", "--keyframe", f"0:{painted}")
    assert code == 0 and "12 frames" in out, err
    assert np.array_equal(frames(tmp_path / "out.mkv")[0], 255 - picture(0))


def test_a_part_that_broke_off_goes_on(
    tiny: Networks, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stylize.encode.writer.LENGTH", 2)
    stylizer, style = Stylizer(tiny, batch=1), Style("ink", keyframes={Fraction(3, 25): paint(tmp_path / "a.png", 3)})
    whole = stylizer.convert(source, tmp_path / "whole.mkv", style, start=0.12)

    def stop(done: int, _: int | None) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stylizer.convert(source, tmp_path / "out.mkv", style, start=0.12, progress=stop)
    report = stylizer.convert(source, tmp_path / "out.mkv", style, start=0.12, resume=True)
    assert report.resumed_from > 0 and report.frames == whole.frames
    assert np.array_equal(frames(tmp_path / "out.mkv"), frames(tmp_path / "whole.mkv"))


def test_a_painting_of_a_scene_that_stands_still(tiny: Networks, tmp_path: Path) -> None:
    """Fast mode repeats still frames, but not over a painting."""
    source = make_video(
        tmp_path / "still.mkv", 8, codec="ffv1", pixel_format="bgr0", options={}, tagged=False,
        pictures=[picture(0)] * 8,
    )  # fmt: skip
    second = 255 - picture(0)[..., ::-1]
    Image.fromarray(second).save(tmp_path / "b.png")
    paintings = {Fraction(0): paint(tmp_path / "a.png", 0), Fraction(5, 25): tmp_path / "b.png"}
    Stylizer(tiny).convert(source, tmp_path / "out.mkv", Style("ink", mode="fast", keyframes=paintings))
    assert np.array_equal(frames(tmp_path / "out.mkv")[5], second)
