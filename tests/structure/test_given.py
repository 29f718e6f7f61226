"""Depth that comes with a source: EXR as renderers write it, PNG, video, and that each frame gets its own."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from clips import joined
from media import frames, make_video
from stylize import Clip, Style, StyleError, Stylizer, VideoError, VideoReader, VideoWriter
from stylize.cli import app
from stylize.decode import probe
from stylize.networks import Networks
from stylize.structure import take_maps
from stylize.structure.given import GivenDepth

OpenEXR = pytest.importorskip("OpenEXR")
SIZE = (64, 48)


def distance(i: int) -> np.ndarray:
    """A wall 10 m away, a box that comes nearer, nothing above; in metres."""
    z = np.full(SIZE[::-1], 10, np.float32)
    z[20:40, 10:40] = 4 - 0.25 * i
    z[:10] = 1e10
    return z


def nearness(i: int) -> np.ndarray:
    z = distance(i)
    return np.where(z < 1e6, 1 / z, 0).astype(np.float32)


def exrs(folder: Path, count: int = 6) -> Path:
    folder.mkdir()
    for i in range(count):
        channels = {"ViewLayer.Depth.Z": distance(i), "ViewLayer.Combined.R": np.zeros_like(distance(i))}
        OpenEXR.File({"type": OpenEXR.scanlineimage}, channels).write(str(folder / f"frame{i + 1}.exr"))
    return folder


def pngs(folder: Path, count: int = 6) -> Path:
    folder.mkdir()
    for i in range(count):
        cv2.imwrite(str(folder / f"{i + 9}.png"), (nearness(i) * 65535).astype(np.uint16))  # 9 before 10
    return folder


def film(folder: Path, count: int = 6) -> Path:
    folder.mkdir()
    info = probe(make_video(folder / "clock.mp4", 2))
    with VideoWriter(folder / "depth.mkv", info, SIZE) as writer:
        for i in range(count):
            grey = np.repeat((nearness(i) * 255).astype(np.uint8)[..., None], 3, -1)
            writer.write(Clip(grey[None], (Fraction(i, 25),), (Fraction(1, 25),), i))
    return folder / "depth.mkv"


@pytest.mark.parametrize("make", [exrs, pngs, film])
def test_the_same_depth_whatever_holds_it(make: Callable[[Path], Path], tmp_path: Path) -> None:
    given = GivenDepth(make(tmp_path / "depth"))
    for i in (0, 4, 1):  # forwards and back, as after a resume
        found, wanted = given.at(i, SIZE), nearness(i)
        scaled = found * (wanted.max() / found.max())
        assert np.abs(scaled - wanted).max() < (0.01 if make is film else 1e-4)
    assert given.at(0, (32, 24)).shape == (24, 32)


def test_pictures_can_be_turned_around(tmp_path: Path) -> None:
    folder = pngs(tmp_path / "depth", 1)
    cv2.imwrite(str(folder / "9.png"), 65535 - (nearness(0) * 65535).astype(np.uint16))
    found = GivenDepth(folder, "far").at(0, SIZE)
    assert np.allclose(found / 65535, nearness(0), atol=1e-4)
    with pytest.raises(StyleError, match="depth large 'deep' is not known"):
        Style(prompt="ink", depth_large="deep")  # type: ignore[arg-type]


@pytest.mark.parametrize("decoys", [("Normal.X", "Normal.Y", "Normal.Z"), ("Position.X", "Position.Z")])
def test_normals_and_places_are_not_taken_for_depth(decoys: tuple[str, ...], tmp_path: Path) -> None:
    channels = {name: np.ones(SIZE[::-1], np.float32) for name in decoys}
    OpenEXR.File({"type": OpenEXR.scanlineimage}, channels | {"View.Depth.V": distance(0)}).write(
        str(tmp_path / "1.exr")
    )
    assert np.allclose(GivenDepth(tmp_path).at(0, SIZE), nearness(0), atol=1e-3)
    OpenEXR.File({"type": OpenEXR.scanlineimage}, channels).write(str(tmp_path / "1.exr"))
    with pytest.raises(VideoError, match="has no channel of depth: write one whose name has Z or Depth"):
        GivenDepth(tmp_path).at(0, SIZE)
    cv2.imwrite(str(tmp_path / "2.png"), np.zeros((4, 4), np.uint8))
    with pytest.raises(StyleError, match=r"holds \.exr and \.png: name one kind"):
        GivenDepth(tmp_path)


def test_maps_are_those_given_at_the_number_of_the_frame(tiny: Networks, tmp_path: Path) -> None:
    given, source = GivenDepth(exrs(tmp_path / "depth", 8)), make_video(tmp_path / "in.mp4", 8)

    def estimate(_: np.ndarray) -> np.ndarray:
        raise AssertionError("nothing is estimated")

    with VideoReader(source, start=0.12, end=0.24) as video:  # frames 3 to 5
        clip = next(video.clips())
    assert (clip.index, len(clip)) == (3, 3)
    maps, bounds = take_maps(clip, ["depth"], estimate, None, given=given)
    assert bounds is not None
    for i in range(3):
        box = maps.maps["depth"][i, 0, 30, 20]
        assert box == pytest.approx(
            min(1.0, (nearness(3 + i)[30, 20] - bounds.low) / (bounds.high - bounds.low)), abs=0.1
        )
    assert maps.maps["depth"].max() == 1 and maps.maps["depth"][:, :, :8].max() == 0


def test_the_depth_counts_and_a_run_goes_on_with_it(tiny: Networks, tmp_path: Path) -> None:
    source, folder = make_video(tmp_path / "in.mp4", 6), exrs(tmp_path / "depth")
    with VideoReader(source) as video:
        clip = next(video.clips())
    style = {"prompt": "ink", "steps": 2, "strength": 0.5, "controls": {"depth": 1.0}}
    own, given = (
        joined(Stylizer(tiny).stream([clip], Style(**style, depth_from=path)))  # type: ignore[arg-type]
        for path in (None, folder)
    )
    assert not np.array_equal(own, given)
    with pytest.raises(StyleError, match="is asked for no depth"):
        list(Stylizer(tiny).stream([clip], Style(prompt="ink", controls={"canny": 1.0}, depth_from=folder)))


def test_from_the_command_line(tiny_model: Path, tmp_path: Path) -> None:
    source, folder = make_video(tmp_path / "in.mp4", 6), exrs(tmp_path / "depth", 5)
    arguments = ["run", str(source), "--prompt", "ink", "--model", str(tiny_model), "--depth-from"]
    few = CliRunner().invoke(app, [*arguments, str(folder / "*.exr"), "-o", str(tmp_path / "few.mp4")])
    assert few.exit_code == 1 and "has 5 depth maps, the video has more frames: give one for each" in few.stderr
    part = CliRunner().invoke(app, [*arguments, str(folder), "--end", "0.2", "-o", str(tmp_path / "part.mp4")])
    assert part.exit_code == 0, part.output
    assert len(frames(tmp_path / "part.mp4")) == 5
    other = make_video(tmp_path / "other.mp4", 2)
    two = CliRunner().invoke(app, [*arguments, str(folder), str(other), "-o", str(tmp_path) + "/out/"])
    other.unlink()
    assert two.exit_code == 1 and "belong to one video" in two.stderr
    (tmp_path / "out").rmdir()
    none = CliRunner().invoke(app, [*arguments, str(tmp_path / "no*.exr"), "-o", str(tmp_path / "none.mp4")])
    assert none.exit_code == 1 and "no depth maps there: name a folder" in none.stderr
    (folder / "frame1.exr").write_bytes(b"no")
    broken = CliRunner().invoke(app, [*arguments, str(folder), "--end", "0.2", "-o", str(tmp_path / "broken.mp4")])
    assert broken.exit_code == 1 and "cannot be read as EXR" in broken.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["depth", "in.mp4", "part.mp4"]


def test_brackets_in_the_names_of_numbered_depth(tmp_path: Path) -> None:
    """They are part of the name, not a pattern of glob."""
    for i in range(3):
        cv2.imwrite(str(tmp_path / f"depth [v2] {i}.png"), np.full((4, 6), 10 * i, np.uint8))
    given = GivenDepth(tmp_path / "depth [v2] *.png")
    assert [int(given.at(i, (6, 4)).mean()) for i in range(3)] == [0, 10, 20]
