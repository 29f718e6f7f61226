"""A reader that begins in the middle gives the frames of one that has read all before them."""

from __future__ import annotations

import warnings
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from media import make_video, picture
from stylize.decode import VideoReader

COUNT = 150
ENCODINGS = {
    "h264 with B-frames": ("in.mp4", {"options": {"preset": "medium", "bf": "3", "g": "40"}}),
    "h264 of open groups": ("in.mp4", {"options": {"x264-params": "open-gop=1:keyint=33:bframes=5"}}),
    "h265": ("in.mkv", {"codec": "libx265", "options": {"x265-params": "log-level=none:keyint=30:bframes=4"}}),
    "vp9": ("in.webm", {"codec": "libvpx-vp9", "options": {"g": "50", "cpu-used": "8", "deadline": "realtime"}}),
    "mpeg2 broadcast": ("in.ts", {"codec": "mpeg2video", "options": {"g": "15", "bf": "2"}}),
    "mpeg4 avi": ("in.avi", {"codec": "mpeg4", "options": {"g": "30"}}),
    "interlaced": ("in.ts", {"codec": "mpeg2video", "options": {"flags": "+ildct+ilme", "g": "12", "bf": "2"}}),
    "uneven": ("in.mp4", {"pts": [i * 3 + i % 2 for i in range(COUNT)], "time_base": Fraction(1, 75)}),
    "gif": ("in.gif", {"codec": "gif", "pixel_format": "rgb8", "tagged": False, "options": {"loop": "0"}}),
}


def frames_of(path: Path, skip: int, **options: object) -> tuple[list[np.ndarray], list[Fraction], list[int]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with VideoReader(path, **options) as reader:  # type: ignore[arg-type]
            clips = list(reader.clips(1, skip=skip))
    return [c.frames[0] for c in clips], [c.times[0] for c in clips], [c.index for c in clips]


def assert_seeks(path: Path, skips: tuple[int, ...] = (1, 29, 60, 82, 109, 136, 149), **options: object) -> None:
    pictures, times, numbers = frames_of(path, 0, **options)
    for skip in skips:
        later, later_times, later_numbers = frames_of(path, skip, **options)
        assert (later_times, later_numbers) == (times[skip:], numbers[skip:])
        assert all(np.array_equal(a, b) for a, b in zip(later, pictures[skip:], strict=True)), skip


@pytest.mark.parametrize("backend", ["auto", "av"])
@pytest.mark.parametrize("name", ENCODINGS)
def test_every_kind_of_file(tmp_path: Path, name: str, backend: str) -> None:
    file, arguments = ENCODINGS[name]
    assert_seeks(make_video(tmp_path / file, COUNT, **arguments), backend=backend)  # type: ignore[arg-type]


def test_a_part(tmp_path: Path) -> None:
    assert_seeks(make_video(tmp_path / "in.mp4", COUNT, options={"g": "20"}), (1, 30, 75), start=1.0, end=5.5)


@pytest.mark.parametrize("at", [0.3, 0.5, 0.8])
def test_damage(tmp_path: Path, at: float) -> None:
    path = make_video(tmp_path / "in.mkv", COUNT, options={"g": "25", "crf": "12"})
    content = bytearray(path.read_bytes())
    middle = int(len(content) * at)
    content[middle : middle + 300] = bytes(300)
    path.write_bytes(content)
    skips = tuple(range(1, len(frames_of(path, 0)[0]) - 1, 13))
    assert_seeks(path, skips, backend="av")


def test_pictures(tmp_path: Path) -> None:
    for i in range(20):
        cv2.imwrite(str(tmp_path / f"{i:03d}.png"), picture(i))
    assert_seeks(tmp_path, (1, 7, 19), fps=Fraction(30000, 1001))
