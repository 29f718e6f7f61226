"""What a run may write and what not: sources are safe, two runs do not meet, a list of videos goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from media import frames, make_video, picture
from stylize import Style, Stylizer, VideoError, VideoReader, VideoWriter
from stylize.cli import app
from stylize.encode import WorkFolder, check_output
from stylize.networks import Networks
from stylize.runs import Job
from stylize.runs.comparison import compare

STYLE = Style(prompt="ink drawing", steps=2, strength=0.5)


@pytest.fixture(autouse=True)
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stylize.encode.writer.LENGTH", 4)


@pytest.fixture
def cli(tiny: Networks, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command with the tiny model, loaded once: exit code and all that it says."""
    monkeypatch.setattr("stylize.runs.stylizer.load_stylizer", lambda *_, **__: Stylizer(tiny, batch=1))

    def run(*arguments: object) -> tuple[int, str]:
        given = ["run", *map(str, arguments), "--prompt", "ink", "--steps", "2", "--strength", "0.5"]
        result = CliRunner().invoke(app, given)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.stderr

    return run


def pictures_in(folder: Path, numbers: range, name: str = "f{:03d}.png") -> Path:
    folder.mkdir()
    for number in numbers:
        cv2.imwrite(str(folder / name.format(number)), picture(number)[..., ::-1])
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("force", [[], ["--force"]])
@pytest.mark.parametrize("pattern", ["*.png", ""])
def test_pictures_are_not_written_over_themselves(cli: Any, tmp_path: Path, pattern: str, force: list[str]) -> None:
    folder = pictures_in(tmp_path / "shots", range(3, 9))
    before = content(folder)
    code, err = cli(folder / pattern, "-o", folder / "f%03d.png", *force)
    assert code == 1 and err.splitlines()[-1].endswith("is the input itself: give the output another name")
    assert content(folder) == before


def test_a_sequence_that_is_there_is_not_replaced_in_part(cli: Any, tmp_path: Path) -> None:
    folder = pictures_in(tmp_path / "made", range(5, 12))
    source = make_video(tmp_path / "in.mp4", 3)
    code, err = cli(source, "-o", folder / "f%03d.png")
    assert code == 1 and "f005.png: exists already" in err
    (folder / "f12.png").write_bytes(b"another name")
    code, err = cli(source, "-o", folder / "f%03d.png", "--force")
    assert code == 0, err
    assert sorted(content(folder)) == ["f001.png", "f002.png", "f003.png", "f12.png"]


def test_a_percent_sign_in_a_folders_name(cli: Any, tmp_path: Path) -> None:
    folder = tmp_path / "100% a%d"
    folder.mkdir()
    assert cli(make_video(tmp_path / "in.mp4", 2), "-o", folder / "f-%02d.png")[0] == 0
    assert sorted(content(folder)) == ["f-01.png", "f-02.png"]
    code, err = cli(tmp_path / "in.mp4", "-o", folder / "f%d-%d.png")
    assert code == 1 and "is one picture: number them" in err


@pytest.mark.parametrize("view", ["--side-by-side", "--split", "--before-after"])
def test_views_do_not_replace_source_or_result(cli: Any, view: str, tmp_path: Path) -> None:
    suffix = ".png" if view == "--before-after" else ".mp4"
    source = make_video(tmp_path / "in.mp4", 3)
    if suffix == ".png":
        source = pictures_in(tmp_path / "one", range(1)) / "f000.png"
    before = source.read_bytes()
    code, err = cli(source, "-o", tmp_path / "out.mp4", view, source, "--force")
    assert code == 1 and "is the input itself" in err and source.read_bytes() == before
    if suffix == ".mp4":
        code, err = cli(source, "-o", tmp_path / "out.mp4", view, tmp_path / "out.mp4")
        assert code == 1 and "is the input itself" in err and not (tmp_path / "out.mp4").exists()


def test_nothing_that_is_read_is_written_over(cli: Any, tmp_path: Path) -> None:
    folder = pictures_in(tmp_path / "shots", range(1, 4))
    mask = pictures_in(tmp_path / "masks", range(1, 4))
    source = make_video(tmp_path / "in.mp4", 3)
    before = content(folder) | content(mask) | {"in.mp4": source.read_bytes()}
    for arguments in (
        [folder / "*.png", "-o", tmp_path / "out.mp4", "--side-by-side", folder / "f%03d.png"],
        [source, "-o", mask / "f%03d.png", "--mask", mask],
        [source, "-o", folder / "f%03d.png", "--depth-from", folder],
        [source, "-o", tmp_path, "--resume"],
    ):
        code, err = cli(*arguments, *([] if "--resume" in arguments else ["--force"]))
        assert code == 1 and "is the input itself" in err, (arguments, err)
    os.link(source, tmp_path / "same.mp4")
    for output in (source, tmp_path / "same.mp4"):
        with pytest.raises(VideoError, match="is the input itself"):
            compare(source, folder / "*.png", output, force=True)
    assert content(folder) | content(mask) | {"in.mp4": source.read_bytes()} == before


def test_numbers_filled_with_spaces(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", 2)
    (tmp_path / "f-    1.png").write_bytes(b"a picture")
    with pytest.raises(VideoError, match=r"1.png: exists already"):
        check_output(tmp_path / "f-%5d.png", source=source, force=False)


def test_a_folder_that_cannot_be_begun_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_video(tmp_path / "in.mp4", 2)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, VideoReader(source) as reader:
        patched.setattr(WorkFolder, "save", full)
        with (
            pytest.raises(VideoError, match="No space left"),
            VideoWriter(tmp_path / "out.mp4", reader.info, reader.size),
        ):
            pass
        assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]
    WorkFolder(tmp_path / "out.mp4").claim()  # nobody holds it


def test_a_run_in_the_folder_of_its_pictures_goes_on(tiny: Networks, tmp_path: Path) -> None:
    folder = pictures_in(tmp_path / "shots", range(12))
    stylizer, output, source = Stylizer(tiny, batch=1), folder / "out.mp4", folder / "*.png"

    def stop(done: int, _: int | None) -> None:
        if done == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stylizer.convert(source, output, STYLE, progress=stop)
    assert WorkFolder(output).manifest() is not None
    (folder / ".DS_Store").write_bytes(b"a stranger")
    stylizer.convert(source, output, STYLE, resume=True)
    stylizer.convert(source, tmp_path / "whole.mp4", STYLE)
    assert np.array_equal(frames(output), frames(tmp_path / "whole.mp4"))


def test_pictures_are_looked_at_before_the_work(tmp_path: Path) -> None:
    folder = pictures_in(tmp_path / "shots", range(5))
    cv2.imwrite(str(folder / "f100.png"), np.zeros((20, 30, 3), np.uint8))
    with pytest.raises(VideoError, match=r"f100.png: is 30x20, the first picture 64x48"):
        VideoReader(folder)
    (folder / "f100.png").write_bytes(b"no picture")
    with pytest.raises(VideoError, match=r"f100.png: cannot be read as a picture"):
        VideoReader(folder)


def test_brackets_in_a_folders_name(tmp_path: Path) -> None:
    folder = pictures_in(tmp_path / "my [shots]", range(3))
    assert VideoReader(folder / "*.png").frame_count == 3


HOLD = """
import sys
from stylize.encode import WorkFolder
from pathlib import Path
folder = WorkFolder(Path(sys.argv[1]))
folder.claim()
print("mine", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("how", [{}, {"force": True}, {"resume": True}])
def test_two_runs_do_not_write_one_output(how: dict[str, bool], tiny: Networks, tmp_path: Path) -> None:
    source, output = make_video(tmp_path / "in.mp4", 4), tmp_path / "out.mp4"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, output], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "mine\n"
        (WorkFolder(output).path / "00000.segment").write_bytes(b"its work")
        with pytest.raises(VideoError, match="another run is writing it"):
            Stylizer(tiny).convert(source, output, STYLE, **how)  # type: ignore[arg-type]
        assert (WorkFolder(output).path / "00000.segment").read_bytes() == b"its work"
        other.kill()
    Stylizer(tiny).convert(source, output, STYLE)  # a dead run holds nothing
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]


def test_a_fault_in_one_video_does_not_stop_the_others(
    cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        make_video(tmp_path / f"{name}.mp4", 2)
    (tmp_path / "out").mkdir()
    whole = Job.carry_out

    def carry_out(job: Job, *arguments: Any) -> Any:
        if job.source.endswith("b.mp4"):
            raise ValueError("nobody thought of this")
        return whole(job, *arguments)

    monkeypatch.setattr(Job, "carry_out", carry_out)
    code, err = cli(*(tmp_path / f"{name}.mp4" for name in "abc"), "-o", tmp_path / "out")
    assert code == 1 and "b.mp4: ValueError: nobody thought of this" in err and "1 of 3 videos failed" in err
    assert sorted(content(tmp_path / "out")) == ["a.mp4", "c.mp4"]
    monkeypatch.setattr(Job, "carry_out", whole)
    before = (tmp_path / "out" / "a.mp4").stat().st_mtime_ns
    code, err = cli(*(tmp_path / f"{name}.mp4" for name in "abc"), "-o", tmp_path / "out", "--resume")
    assert code == 0 and "a.mp4: is done already" in err, err
    assert sorted(content(tmp_path / "out")) == ["a.mp4", "b.mp4", "c.mp4"]
    assert (tmp_path / "out" / "a.mp4").stat().st_mtime_ns == before


def test_pictures_into_a_folder_have_their_folders_name(cli: Any, tmp_path: Path) -> None:
    folder = pictures_in(tmp_path / "shots", range(2))
    (tmp_path / "out").mkdir()
    assert cli(folder / "*.png", "-o", tmp_path / "out")[0] == 0
    assert sorted(content(tmp_path / "out")) == ["shots.mp4"]


@pytest.mark.slow
def test_nobody_listens_any_more(tmp_path: Path, tiny_model: Path) -> None:
    """`2>&1 | head -n1` closes the pipe after one line; the run goes on to its end."""
    source, read, write = make_video(tmp_path / "in.mp4", 6), *os.pipe()
    command = [sys.executable, "-m", "stylize.cli", "run", source, "-o", tmp_path / "out.mp4", "--prompt", "ink"]
    os.close(read)
    process = subprocess.run([*map(str, command), "--model", str(tiny_model)], stderr=write, stdout=subprocess.PIPE)
    os.close(write)
    assert process.returncode == 0 and b"6 frames" in process.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]


@pytest.mark.parametrize("times", [{"start": float("nan")}, {"end": float("inf")}, {"start": 1e300}, {"start": -1.0}])
def test_times_that_are_none(times: dict[str, float], tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="is not a time in a video"):
        VideoReader(make_video(tmp_path / "in.mp4", 2), **times)  # type: ignore[arg-type]


def test_names_that_are_too_long(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", 2)
    with pytest.raises(VideoError, match="File name too long"):
        VideoReader(tmp_path / ("a" * 300 + ".mp4"))
    for length in (300, 250):  # with the second, that of the folder beside it would be
        with pytest.raises(VideoError, match="File name too long"):
            check_output(tmp_path / ("a" * length + ".mp4"), source=source, force=False)


@pytest.mark.parametrize("size", [(2, 2), (4, 4), (2, 40)])
def test_tiny_videos(size: tuple[int, int], tiny: Networks, tmp_path: Path) -> None:
    width, height = size
    source = make_video(tmp_path / "in.mkv", 3, width=width, height=height, codec="ffv1", pixel_format="bgr0",
                        options={"level": "3"}, tagged=False)  # fmt: skip
    Stylizer(tiny).convert(source, tmp_path / "out.mkv", STYLE)
    assert frames(tmp_path / "out.mkv").shape == (3, height, width, 3)
