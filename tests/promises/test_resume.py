"""Runs that are broken off, killed or starved go on where they were, and end as if nothing had happened."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from media import frame_times, frames, make_video, picture, sound_packets
from stylize import Style, StylizeError, Stylizer, VideoError, VideoWriter
from stylize.decode import probe
from stylize.encode import WorkFolder
from stylize.networks import Networks, choose_batch
from stylize.pipeline import State
from stylize.runs.state import to_bytes

STYLE = Style(prompt="ink drawing", steps=2, strength=0.5)
COUNT = 30


@pytest.fixture(autouse=True)
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stylize.encode.writer.LENGTH", 8)


@pytest.fixture
def stylizer(tiny: Networks) -> Stylizer:
    return Stylizer(tiny)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two shots with sound."""
    shots = [picture(i) if i < 17 else 255 - picture(i)[::-1] for i in range(COUNT)]
    return make_video(tmp_path / "in.mp4", COUNT, sound=True, pictures=shots)


def stop_at(count: int) -> Any:
    def progress(done: int, _total: int | None) -> None:
        if done == count:
            raise KeyboardInterrupt

    return progress


def same(one: Path, other: Path) -> bool:
    return (
        np.array_equal(frames(one), frames(other))
        and frame_times(one) == frame_times(other)
        and sound_packets(one) == sound_packets(other)
    )


@pytest.mark.parametrize(("mode", "batch"), [("full", 1), ("full", 3), ("fast", 1)])
@pytest.mark.parametrize(
    "stops",
    [pytest.param((15,), marks=pytest.mark.slow), (17, 18), pytest.param((24, 29), marks=pytest.mark.slow), (30,)],
)
def test_a_resumed_run_equals_an_uninterrupted_one(
    tiny: Networks,
    source: Path,
    tmp_path: Path,
    mode: Any,
    batch: int,
    stops: tuple[int, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    style, stylizer = Style(prompt="ink drawing", steps=4, strength=0.8, mode=mode), Stylizer(tiny, batch=batch)
    whole = stylizer.convert(source, tmp_path / "whole.mp4", style)
    output = tmp_path / "out.mp4"
    for stop in stops:
        with pytest.raises(KeyboardInterrupt):
            stylizer.convert(source, output, style, resume=True, progress=stop_at(stop))
        assert not output.exists() and WorkFolder(output).path.is_dir()
    report = stylizer.convert(source, output, style, resume=True)
    assert report.resumed_from >= 8 and same(output, tmp_path / "whole.mp4")
    assert (report.frames, report.shots, report.keyframes) == (whole.frames, whole.shots, whole.keyframes)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4", "out.mp4", "whole.mp4"]


def test_resume_does_not_replace_what_is_finished(stylizer: Stylizer, source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    output.write_bytes(b"last night's work")
    with pytest.raises(VideoError, match="exists already"):
        stylizer.convert(source, output, STYLE, resume=True)
    assert output.read_bytes() == b"last night's work"


def test_an_encoder_that_fails_at_the_end_leaves_no_thread(
    stylizer: Stylizer, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("stylize.encode.writer._OpenSegment.encode", full)
    before = threading.active_count()
    with pytest.raises(VideoError, match="No space left on device"):
        stylizer.convert(source, tmp_path / "out.mp4", STYLE)
    assert threading.active_count() == before
    assert [p.name for p in tmp_path.iterdir()] == ["in.mp4"]


def test_nothing_is_kept_before_the_first_segment(stylizer: Stylizer, source: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        stylizer.convert(source, tmp_path / "out.mp4", STYLE, progress=stop_at(5))
    assert [p.name for p in tmp_path.iterdir()] == ["in.mp4"]


def test_an_unfinished_run_is_not_passed_over(stylizer: Stylizer, source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    with pytest.raises(KeyboardInterrupt):
        stylizer.convert(source, output, STYLE, progress=stop_at(20))
    with pytest.raises(VideoError, match=r"an unfinished run is there, 16 frames of it done: pass --resume to go on"):
        stylizer.convert(source, output, STYLE)
    other = Style(prompt="oil painting", steps=2, strength=0.5)
    with pytest.raises(VideoError, match=r"has another prompt \(ink drawing, now oil painting\): give what"):
        stylizer.convert(source, output, other, resume=True)
    with pytest.raises(VideoError, match="has another encoding"):
        stylizer.convert(source, output, STYLE, resume=True, codec="h265")
    shutil.copy(make_video(tmp_path / "other.mp4", COUNT), source)
    with pytest.raises(VideoError, match="has another input"):
        stylizer.convert(source, output, STYLE, resume=True)
    report = stylizer.convert(source, output, STYLE, force=True)  # begins again
    assert report.resumed_from == 0 and report.frames == COUNT
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4", "other.mp4", "out.mp4"]


def test_a_writer_by_itself_does_not_clear_an_unfinished_run(stylizer: Stylizer, source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    with pytest.raises(KeyboardInterrupt):
        stylizer.convert(source, output, STYLE, progress=stop_at(20))
    with (
        pytest.raises(VideoError, match="an unfinished run is there, 16 frames of it done"),
        VideoWriter(output, probe(source), (64, 48)),
    ):
        pass
    assert stylizer.convert(source, output, STYLE, resume=True).resumed_from == 16


def test_torch_works_in_one_thread_alone(
    stylizer: Stylizer, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state is written out where the networks run: in a second thread it slows all that comes after."""
    threads = list[int]()

    def watched(state: State) -> bytes:
        threads.append(threading.get_ident())
        return to_bytes(state)

    monkeypatch.setattr("stylize.runs.run.to_bytes", watched)
    stylizer.convert(source, tmp_path / "out.mp4", STYLE)
    assert threads == [threading.get_ident()] * 3  # after 8, 16 and 24 frames


def test_a_run_that_goes_on_keeps_its_batch(tiny: Networks, source: Path, tmp_path: Path) -> None:
    """Whatever fits today; asked for, another one is refused."""
    style, output = Style(prompt="ink drawing", steps=5, strength=0.8), tmp_path / "out.mp4"  # 4 would fit
    with pytest.raises(KeyboardInterrupt):
        Stylizer(tiny, batch=2).convert(source, output, style, progress=stop_at(20))
    with pytest.raises(VideoError, match="batch"):
        Stylizer(tiny, batch=1).convert(source, output, style, resume=True)
    with patch("stylize.runs.convert.choose_batch", wraps=choose_batch) as chosen:
        assert Stylizer(tiny).convert(source, output, style, resume=True).resumed_from == 16
    assert [call.args[2] for call in chosen.call_args_list] == [2]
    Stylizer(tiny, batch=2).convert(source, tmp_path / "whole.mp4", style)
    assert same(output, tmp_path / "whole.mp4")


@pytest.mark.parametrize("what", ["manifest.json", "state"])
def test_a_broken_unfinished_run_says_so(stylizer: Stylizer, source: Path, tmp_path: Path, what: str) -> None:
    output = tmp_path / "out.mp4"
    with pytest.raises(KeyboardInterrupt):
        stylizer.convert(source, output, STYLE, progress=stop_at(20))
    (path,) = WorkFolder(output).path.glob(f"{what}*")
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(VideoError, match="pass --force to begin"):
        stylizer.convert(source, output, STYLE, resume=True)


def test_joining_that_failed_is_all_that_is_done_again(
    stylizer: Stylizer, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out.mp4"

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("stylize.encode.writer.join", full)
        with pytest.raises(VideoError, match=r"cannot be written \(No space left on device\): free space"):
            stylizer.convert(source, output, STYLE)
    with stylizer.networks.counting() as counts:
        report = stylizer.convert(source, output, STYLE, resume=True)
    assert counts.unet == 0 and report.frames == report.resumed_from == COUNT
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]


@pytest.mark.parametrize("error", [RuntimeError, MemoryError])
def test_after_an_error_what_is_done_stays(
    stylizer: Stylizer, source: Path, tmp_path: Path, error: type[Exception]
) -> None:
    def fail(done: int, _total: int | None) -> None:
        if done == 20:
            raise error

    before = threading.active_count()
    with pytest.raises(StylizeError if error is MemoryError else error):
        stylizer.convert(source, tmp_path / "out.mp4", STYLE, progress=fail)
    assert threading.active_count() == before
    assert stylizer.convert(source, tmp_path / "out.mp4", STYLE, resume=True).resumed_from == 16


def command(source: Path, output: Path, model: Path) -> list[str]:
    code = "import stylize.encode.writer; stylize.encode.writer.LENGTH = 8; from stylize.cli import app; app()"
    options = ["--prompt", "ink", "--model", model, "--resume", "--quiet"]
    return [sys.executable, "-c", code, "run", *map(str, [source, "-o", output, *options])]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals differ there")
def test_killed_at_random_points_and_resumed(source: Path, tmp_path: Path, tiny_model: Path) -> None:
    """Twenty kills, over however many runs they end; each run then ends bit by bit as one that was left alone."""
    whole = tmp_path / "whole.mp4"
    subprocess.run(command(source, whole, tiny_model), check=True, env=os.environ)
    chance, kills, runs = random.Random(4), 0, 0
    while kills < 20:
        output, done = tmp_path / f"out{runs}.mp4", False
        while not done:
            process = subprocess.Popen(command(source, output, tiny_model))
            folder, patience = WorkFolder(output).path, chance.uniform(0.0, 0.5)
            begun = time.monotonic()
            while process.poll() is None and not folder.exists() and time.monotonic() - begun < 60:
                time.sleep(0.005)
            time.sleep(patience)
            if process.poll() is None and kills < 20:
                process.send_signal(signal.SIGKILL)
                kills += 1
            done = process.wait(timeout=120) == 0
        assert same(output, whole)
        runs += 1
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".mp4"] * (runs + 2)


@pytest.mark.skipif(not Path("/dev/full").exists() or os.getuid() != 0, reason="needs root to mount a small disk")
def test_a_full_disk(stylizer: Stylizer, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", small], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        noisy = [np.random.default_rng(i).integers(0, 255, (96, 128, 3), np.uint8) for i in range(24)]
        source = make_video(tmp_path / "in.mp4", 24, width=128, height=96, pictures=noisy)
        with pytest.raises(VideoError, match=r"cannot be written \(.*\): free space or name another folder"):
            stylizer.convert(source, small / "out.mp4", STYLE)
        assert not (small / "out.mp4").exists()
        done = WorkFolder(small / "out.mp4").manifest()
        subprocess.run(["mount", "-o", "remount,size=40m", small], check=True)
        report = stylizer.convert(source, small / "out.mp4", STYLE, resume=True)
        assert report.frames == 24 and report.resumed_from == (done.frames if done else 0)
        assert [p.name for p in small.iterdir()] == ["out.mp4"]
    finally:
        subprocess.run(["umount", small], check=True)


def test_the_output_folder_goes_away(stylizer: Stylizer, source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    folder.mkdir()

    def gone(done: int, _total: int | None) -> None:
        if done == 4:
            shutil.rmtree(folder)

    with pytest.raises(VideoError, match="cannot be written"):
        stylizer.convert(source, folder / "out.mp4", STYLE, progress=gone)
