"""Control pictures of one's own, one a frame."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from command import run
from media import frames, make_video, picture
from stylize import Style, StyleError, StylizeError, Stylizer, VideoError
from stylize.models.loading import load_networks
from stylize.models.parts import Extras
from stylize.networks import Networks
from stylize.structure import canny
from stylize.structure.given import GivenControl


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_video(tmp_path / "in.mkv", 6, codec="ffv1", pixel_format="bgr0", options={}, tagged=False)


def save_edges(folder: Path, source: Path, count: int = 6) -> Path:
    folder.mkdir()
    for i, frame in enumerate(frames(source)[:count]):
        Image.fromarray((canny(frame) * 255).astype(np.uint8)).save(folder / f"{i:03d}.png")
    return folder


def restyle(networks: Networks, source: Path, output: Path, **style: object) -> np.ndarray:
    Stylizer(networks).convert(source, output, Style("ink", steps=2, strength=0.5, **style))  # type: ignore[arg-type]
    return frames(output)


def test_given_edges_count_as_detected_ones_do(tiny: Networks, source: Path, tmp_path: Path) -> None:
    edges = save_edges(tmp_path / "edges", source)
    detected = restyle(tiny, source, tmp_path / "a.mkv")
    assert np.array_equal(restyle(tiny, source, tmp_path / "b.mkv", control_from={"canny": edges}), detected)
    for file in edges.iterdir():
        Image.new("L", (64, 48)).save(file)
    assert not np.array_equal(restyle(tiny, source, tmp_path / "c.mkv", control_from={"canny": edges}), detected)


def test_a_part_takes_the_pictures_of_that_part(tiny: Networks, source: Path, tmp_path: Path) -> None:
    edges = save_edges(tmp_path / "edges", source)
    style = Style("ink", steps=2, strength=0.5)
    given = Style("ink", steps=2, strength=0.5, control_from={"canny": edges})
    Stylizer(tiny).convert(source, tmp_path / "a.mkv", style, start=0.08)
    Stylizer(tiny).convert(source, tmp_path / "b.mkv", given, start=0.08)
    assert np.array_equal(frames(tmp_path / "a.mkv"), frames(tmp_path / "b.mkv"))


def test_a_control_that_no_detector_makes(family_folder: Callable[[str], Path], source: Path, tmp_path: Path) -> None:
    """Poses that a program of one's own drew, as a video; the ControlNet comes along, beside the model's own."""
    folder = family_folder("sd15")
    nets = {"depth": folder / "controlnet", "openpose": folder / "controlnet"}
    extras = Extras(controlnets=nets, more_controls=["openpose"])
    networks = load_networks(folder, device="cpu", extras=extras)
    poses = make_video(tmp_path / "poses.mp4", 6, width=128, height=96)
    plain = restyle(networks, source, tmp_path / "a.mkv")
    posed = restyle(networks, source, tmp_path / "b.mkv", control_from={"openpose": poses})
    assert posed.shape == plain.shape and not np.array_equal(posed, plain)


def test_pictures_are_resized_and_coloured_ones_stay_so(tmp_path: Path) -> None:
    (tmp_path / "poses").mkdir()
    Image.fromarray(picture(0, 128, 96)).save(tmp_path / "poses" / "0.png")
    control = GivenControl("openpose", tmp_path / "poses").at(0, (64, 48))
    assert control.shape == (48, 64, 3)
    expected = cv2.resize(picture(0, 128, 96), (64, 48), interpolation=cv2.INTER_AREA) / 255
    assert np.abs(control - expected).max() < 0.01


def test_count_and_shape_are_checked_before_the_work(tiny: Networks, source: Path, tmp_path: Path) -> None:
    few = save_edges(tmp_path / "few", source, 4)
    with pytest.raises(VideoError, match="has 4 pictures for canny, the video has more frames: give one for each"):
        restyle(tiny, source, tmp_path / "out.mkv", control_from={"canny": few})
    square = make_video(tmp_path / "square.mp4", 6, width=48, height=48)
    with pytest.raises(VideoError, match="is 48x48, the video 64x48: give pictures of the video's shape"):
        restyle(tiny, source, tmp_path / "out.mkv", control_from={"canny": square})
    with pytest.raises(StylizeError, match="no ControlNet 'lineart'"):
        restyle(tiny, source, tmp_path / "out.mkv", control_from={"lineart": few})
    with pytest.raises(StyleError, match="strokes are laid by the program itself"):
        restyle(tiny, source, tmp_path / "out.mkv", control_from={"strokes": few})
    with pytest.raises(StyleError, match="depth is given twice"):
        Style("ink", depth_from=few, control_from={"depth": few})
    assert not (tmp_path / "out.mkv").exists()


def test_the_command(source: Path, tmp_path: Path) -> None:
    code, _, err = run("run", source, "-o", tmp_path / "out.mp4", "--prompt", "woodcut", "--control-from", "edges")
    assert code == 1 and "'edges' names no pictures: write NAME:PATH" in err
    code, _, err = run("run", source, "-o", source, "--prompt", "ink", "--force", "--control-from", f"depth:{source}")
    assert code == 1 and "is the input itself" in err
    (tmp_path / "depth").mkdir()
    for i in range(6):
        Image.new("L", (64, 48), 40 * i).save(tmp_path / "depth" / f"{i}.png")
    (tmp_path / "look.toml").write_text('prompt = "woodcut"\ncontrol-from = ["depth:depth"]\n')
    code, out, err = run("run", source, "-o", tmp_path / "out.mp4", "--style", tmp_path / "look.toml")
    assert code == 0 and "6 frames" in out, err


def test_the_count_of_frames_is_no_estimate(tiny: Networks, tmp_path: Path) -> None:
    """The duration of a Matroska file is that of its longest track, here the sound."""
    source = make_video(tmp_path / "in.mkv", 6, sound=True)
    assert (
        len(restyle(tiny, source, tmp_path / "out.mkv", control_from={"canny": save_edges(tmp_path / "e", source)}))
        == 6
    )


def test_pictures_belong_to_one_video(source: Path, tmp_path: Path) -> None:
    other = make_video(tmp_path / "other.mkv", 6)
    for option in ("--control-from", "canny:e"), ("--keyframe", "0:p.png"), ("--depth-from", "d"):
        code, _, err = run("run", source, other, "-o", tmp_path / "out/", "--prompt", "ink", *option)
        assert code == 1 and "belong to one video" in err
