"""A still in motion: any length, the still first, the same frames however they are read."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from media import picture
from stylize import StyleError
from stylize.frames import Map, Picture
from stylize.scenes import SceneReader, Shot
from stylize.scenes.scene import fit_still
from stylize.style.camera import MOVES, CameraPath, Pose, parse_camera

STILL = picture(3, 96, 64)


def slope(still: Picture) -> Map:
    """Depth that rises from the top to the bottom."""
    rows = np.linspace(0, 1, still.shape[-3], dtype=np.float32)
    return np.repeat(rows[:, None], still.shape[-2], 1)


def reader(text: str = "push in", seconds: float = 1.0) -> SceneReader:
    return SceneReader(Path("still.png"), STILL, Shot(parse_camera(text), seconds, Fraction(8)), slope)


@pytest.mark.parametrize("move", [*MOVES, "handheld", "push in 2 linear + pan left 0.5 + handheld"])
def test_the_first_frame_is_the_still(move: str) -> None:
    clips = list(reader(move).clips(3))
    assert np.array_equal(clips[0].frames[0], STILL)
    assert sum(map(len, clips)) == 8 and [clip.times[0] for clip in clips] == [0, Fraction(3, 8), Fraction(6, 8)]
    moved = np.abs(clips[-1].frames[-1].astype(int) - STILL).mean()
    assert (moved == 0) == (move == "still")


def test_reading_in_other_pieces_changes_nothing() -> None:
    whole = next(reader("orbit + handheld").clips(8))
    for length, skip in ((1, 0), (3, 2), (2, 5)):
        parts = list(reader("orbit + handheld").clips(length, skip=skip))
        assert np.array_equal(np.concatenate([part.frames for part in parts]), whole.frames[skip:])
        assert parts[0].index == skip and parts[0].starts_shot == (skip == 0)
        assert whole.geometry is not None
        for part in parts:
            for one, other in zip(part.geometry or (), whole.geometry[part.index :], strict=False):
                assert np.array_equal(one.depth, other.depth)
                assert (one.back is None) == (other.back is None)
                if one.back is not None and other.back is not None:
                    assert np.array_equal(one.back.flow, other.back.flow)


def test_any_length() -> None:
    assert reader(seconds=0.01).frame_count == 1
    long = reader(seconds=3600)
    assert long.frame_count == 28800 and len(next(long.clips(1))) == 1


def test_sizes_of_stills() -> None:
    assert fit_still(picture(0, 3000, 2001), None, 1280).shape == (854, 1280, 3)
    assert fit_still(picture(0, 33, 21), None, 1280).shape == (20, 32, 3)
    cropped = fit_still(picture(0, 96, 64), (64, 64), 1280)
    assert np.array_equal(cropped, picture(0, 96, 64)[:, 16:80])


def test_paths_from_text_and_files(tmp_path: Path) -> None:
    assert parse_camera("push in 2").at(4, 4) == Pose((0, 0, 0.5))
    assert parse_camera("Push-In").at(1, 4).move[2] < 0.25 / 4  # it begins slowly
    assert parse_camera("push in linear").at(1, 4).move[2] == pytest.approx(0.25 / 4)
    both = parse_camera("dolly zoom + pan right").at(4, 4)
    assert both.zoom == pytest.approx(0.7) and both.turn[0] == 10
    file = tmp_path / "way.toml"
    file.write_text(
        "[[pose]]\nat = 1\n[[pose]]\nat = 3\nmove = [0.2, 0, 0.1]\neasing = 'linear'\n[[pose]]\nat = 4\nzoom = 2\n"
        "easing = 'hold'\n"
    )
    path = parse_camera(str(file))
    assert path.at(0, 9) == Pose() and path.at(2, 9).move == pytest.approx((0.1, 0, 0.05))
    assert path.at(3.9, 9).zoom == 1 and path.at(9, 9).zoom == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fly away", "'fly away' is not a camera move: use push in, "),
        ("push in 9", "amount 9 of 'push in' is out of range"),
        ("push in nan", "amount nan"),
        ("nowhere.toml", "cannot be read"),
        ("", "is not a camera move"),
    ],
)
def test_paths_that_have_no_meaning(text: str, message: str) -> None:
    with pytest.raises(StyleError, match=message):
        parse_camera(text)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[[pose]]\nat = 1\n[[pose]]\nat = 1\n", "do not rise"),
        ("[[pose]]\nmove = [1, 2]\n", "out of range"),
        ("[[pose]]\nmove = ['a', 0, 0]\n", "not made of numbers"),
        ("[[pose]]\nturns = [0, 0, 0]\n", "has no 'turns'"),
        ("[[pose]]\neasing = 'bounce'\n", "no easing 'bounce'"),
        ("pose = 3\n", "holds no key poses"),
        ("[[pose]\n", "is not TOML"),
    ],
)
def test_files_that_have_no_meaning(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "way.toml").write_text(content)
    with pytest.raises(StyleError, match=message):
        parse_camera(str(tmp_path / "way.toml"))


def test_orbits_look_at_the_subject() -> None:
    for name in ("orbit left", "orbit right", "crane up", "crane down"):
        pose = parse_camera(name).at(1, 1)
        right, up, forward = pose.move
        yaw, pitch = np.radians(pose.turn[:2])
        ahead = np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
        subject = np.array([0, 0, 1]) - (right, up, forward)
        assert ahead @ subject / np.linalg.norm(subject) == pytest.approx(1, abs=1e-6)


def test_facts_tell_shots_apart() -> None:
    assert reader().facts == reader().facts
    assert reader().facts != reader(seconds=2).facts
    assert reader().facts != reader("pull out").facts
    assert CameraPath().text == "push in"


@pytest.mark.parametrize("text", ["pose = [1, 2]", "[[pose]]\neasing = ['ease']", "pose = 3"])
def test_key_poses_of_another_kind(text: str, tmp_path: Path) -> None:
    (tmp_path / "path.toml").write_text(text)
    with pytest.raises(StyleError):
        parse_camera(str(tmp_path / "path.toml"))


def test_a_dolly_zoom_keeps_a_lens() -> None:
    path = parse_camera("dolly zoom 4 linear")
    assert all(path.at(second / 10, 1.0).zoom >= 0.1 for second in range(11))
