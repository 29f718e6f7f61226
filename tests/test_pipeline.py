"""Files in, files out: the invariants, with PyAV as the oracle."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from media import frame_times, frames, make_video, sound_packets, video_duration
from stylize import Style, StyleError, StylizeError, Stylizer, VideoError, VideoReader
from stylize.errors import VideoWarning
from stylize.networks import Networks

STYLE = Style(prompt="ink drawing", steps=2, strength=0.5)


@pytest.fixture
def stylizer(tiny: Networks) -> Stylizer:
    return Stylizer(tiny)


@pytest.mark.parametrize("kind", ["constant", "variable", "ntsc", "odd"])
@pytest.mark.filterwarnings("ignore:an odd size needs 4")
def test_count_times_size_and_sound_are_the_sources(stylizer: Stylizer, tmp_path: Path, kind: str) -> None:
    options = {
        "constant": {},
        "variable": {"pts": [0, 900, 2100, 2400, 5000, 5700], "time_base": Fraction(1, 90000)},
        "ntsc": {"rate": Fraction(30000, 1001)},
        "odd": {"width": 61, "height": 45, "pixel_format": "yuv444p"},
    }[kind]
    source, output = make_video(tmp_path / "in.mp4", 6, sound=True, **options), tmp_path / "out.mp4"  # type: ignore[arg-type]
    report = stylizer.convert(source, output, STYLE)
    assert report.frames == 6 and report.shots == 1 and report.unet_evals_per_frame == 1
    assert frame_times(output) == frame_times(source)
    assert frames(output).shape == frames(source).shape
    assert abs(video_duration(output) - video_duration(source)) <= Fraction(1, 1000)
    assert sound_packets(output) == sound_packets(source) != []
    assert not np.array_equal(frames(output), frames(source))


def test_two_runs_give_the_same_file(stylizer: Stylizer, tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", 4)
    for name in ("a.mkv", "b.mkv"):
        stylizer.convert(source, tmp_path / name, STYLE)
    assert np.array_equal(frames(tmp_path / "a.mkv"), frames(tmp_path / "b.mkv"))


def test_size_start_and_end(stylizer: Stylizer, tmp_path: Path) -> None:
    source, output = make_video(tmp_path / "in.mp4", 25), tmp_path / "out.mp4"
    style = Style(prompt="ink", steps=2, strength=0.5, size=(48, 32))
    report = stylizer.convert(source, output, style, start=0.2, end=0.4)
    assert frames(output).shape == (report.frames, 32, 48, 3) == (5, 32, 48, 3)
    assert frame_times(output) == [Fraction(i, 25) for i in range(5)]


def test_progress_counts_every_frame(stylizer: Stylizer, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    source = make_video(tmp_path / "in.mp4", 5)
    stylizer.convert(source, tmp_path / "out.mp4", STYLE, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 5) for i in range(1, 6)]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, MemoryError])
def test_a_failure_leaves_no_output_no_file_no_thread(
    stylizer: Stylizer, tmp_path: Path, error: type[BaseException]
) -> None:
    source, output = make_video(tmp_path / "in.mp4", 6, sound=True), tmp_path / "out.mp4"
    before, threads = sorted(tmp_path.iterdir()), threading.active_count()

    def fail(done: int, _total: int | None) -> None:
        if done == 3:
            raise error

    expected = StylizeError if error is MemoryError else error
    with pytest.raises(expected) as caught:
        stylizer.convert(source, output, STYLE, progress=fail)
    if error is MemoryError:
        assert str(caught.value) == "out of memory: choose a smaller size, such as --size 512x288"
    assert sorted(tmp_path.iterdir()) == before
    assert threading.active_count() == threads
    assert len(stylizer.networks.unet._forward_pre_hooks) == 0


def test_wrong_settings_are_found_before_the_output_is_touched(stylizer: Stylizer, tmp_path: Path) -> None:
    source, output = make_video(tmp_path / "in.mp4", 2), tmp_path / "out.mp4"
    output.write_bytes(b"old")
    with pytest.raises(StyleError):
        stylizer.convert(source, output, Style(prompt="ink", negative_prompt="photo"), force=True)
    assert output.read_bytes() == b"old"


def test_a_truncated_source_is_refused_or_used_as_far_as_it_goes(stylizer: Stylizer, tmp_path: Path) -> None:
    noisy = [np.random.default_rng(i).integers(0, 255, (48, 64, 3), np.uint8) for i in range(20)]
    whole = make_video(tmp_path / "whole.mp4", 20, pictures=noisy, container_options={"movflags": "faststart"})
    source = tmp_path / "in.mp4"
    source.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    whole.unlink()
    with pytest.raises(VideoError, match="10 of 20 frames are there"):
        stylizer.convert(source, tmp_path / "out.mp4", STYLE, strict=True)
    assert [p.name for p in tmp_path.iterdir()] == ["in.mp4"]
    with pytest.warns(VideoWarning, match="is truncated"):  # otherwise what is there is used, and that is said
        assert 8 <= stylizer.convert(source, tmp_path / "out.mp4", STYLE).frames <= 10


def test_stream_takes_a_reader(stylizer: Stylizer, tmp_path: Path) -> None:
    with VideoReader(make_video(tmp_path / "in.mp4", 10)) as reader:
        clips = list(stylizer.stream(reader, STYLE))
    assert sum(map(len, clips)) == 10
    assert [clip.starts_shot for clip in clips] == [True] + [False] * 9
