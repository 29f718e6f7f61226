"""Damaged, truncated and hostile sources: concealed and said, or refused in one line; never a hang or a leftover."""

from __future__ import annotations

import io
import itertools
import random
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from media import make_video
from oracle import Variant, make, number_of
from stylize import DamagedVideo, StylizeError, VideoError, VideoReader, VideoWriter
from stylize.decode import probe
from stylize.decode.packets import _repair_late_times
from stylize.errors import VideoWarning


def read_all(path: Path, **options: object) -> list[np.ndarray]:
    with VideoReader(path, **options) as reader:  # type: ignore[arg-type]
        return [frame for clip in reader.clips() for frame in clip.frames]


def holed(path: Path, first: float, length: int, fill: bytes = b"\0") -> Path:
    content = bytearray(path.read_bytes())
    begin = int(len(content) * first)
    content[begin : begin + length] = fill * length
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_a_hole_is_concealed_counted_and_located(tmp_path: Path, suffix: str) -> None:
    variant = Variant(suffix=suffix, count=60, options={"crf": "2", "preset": "ultrafast", "g": "10"})
    path = make(tmp_path / f"in{suffix}", variant)
    whole = read_all(path)
    holed(path, 0.5, path.stat().st_size // 12, b"\x55")
    with pytest.warns(VideoWarning, match=r"damaged frames? |pictures are missing"), VideoReader(path) as reader:
        frames = [frame for clip in reader.clips() for frame in clip.frames]
    assert len(frames) == len(whole) or suffix != ".mp4"  # elsewhere, lost packets take their times along
    numbers = [number_of(frame) for frame in frames]
    assert numbers[:20] == list(range(20)) and numbers[-5:] == list(range(55, 60))
    where = [t for t in (reader.damage.first, reader.damage.gap and reader.damage.gap[0]) if t is not None]
    assert where and 0.8 < float(min(where)) < 2.2 and reader.damage.concealed < 30
    with pytest.raises(DamagedVideo, match="or leave out --strict"):
        read_all(path, strict=True)


def test_a_beginning_that_is_lost_shows_the_first_frame_there_is(tmp_path: Path) -> None:
    variant = Variant(suffix=".mkv", count=30, options={"crf": "2", "preset": "ultrafast", "g": "10"})
    path = make(tmp_path / "in.mkv", variant)
    size = path.stat().st_size
    holed(path, 600 / size, size // 6, b"\x55")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VideoWarning)
        frames = read_all(path)
    assert number_of(frames[-1]) == 29


def copies(path: Path, output: Path) -> str:
    """What comes of a copy: "whole", or the one line that says why not."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", VideoWarning)
            with VideoReader(path) as reader, VideoWriter(output, reader.info, reader.size) as writer:
                for clip in reader.clips():
                    writer.write(clip)
        return "whole"
    except StylizeError as error:
        assert "\n" not in str(error)
        return str(error)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_truncation_anywhere(tmp_path: Path, suffix: str) -> None:
    codec = {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}} if suffix == ".webm" else {}
    sound = ("libopus",) if suffix == ".webm" else ("aac",)
    movflags = {"movflags": "faststart"} if suffix == ".mp4" else {}
    variant = Variant(suffix=suffix, count=30, sound=sound, container_options=movflags, **codec)  # type: ignore[arg-type]
    whole = make(tmp_path / f"whole{suffix}", variant).read_bytes()
    path, output = tmp_path / f"in{suffix}", tmp_path / "out.mkv"
    outcomes = []
    for i in range(50):
        path.write_bytes(whole[: len(whole) * i // 50])
        outcomes.append(copies(path, output))
        assert output.exists() == (outcomes[-1] == "whole")
        output.unlink(missing_ok=True)
        assert sorted(p.name for p in tmp_path.iterdir()) == sorted([path.name, f"whole{suffix}"])
    assert "whole" in outcomes and "is empty" in outcomes[0]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_random_corruption(tmp_path: Path, suffix: str) -> None:
    """200 files in all, a dozen bytes to a hundred of each changed."""
    whole = make(tmp_path / f"whole{suffix}", Variant(suffix=suffix, count=24, sound=("aac",))).read_bytes()
    path, output = tmp_path / f"in{suffix}", tmp_path / "out.mkv"
    for seed in range(67):
        chance = random.Random(seed)
        content = bytearray(whole)
        for _ in range(chance.randint(12, 100)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        path.write_bytes(content)
        outcome = copies(path, output)
        assert output.exists() == (outcome == "whole")
        output.unlink(missing_ok=True)
        assert sorted(p.name for p in tmp_path.iterdir()) == sorted([path.name, f"whole{suffix}"])


def gif_header(width: int, height: int) -> bytes:
    picture = io.BytesIO()
    Image.new("P", (1, 1)).save(picture, "GIF")
    return picture.getvalue()[:6] + struct.pack("<HH", width, height) + picture.getvalue()[10:]


@pytest.mark.parametrize("name", ["in.png", "in.gif", "in.webp", "in.y4m"])
def test_a_header_that_claims_to_be_huge(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith("y4m"):
        path.write_bytes(b"YUV4MPEG2 W100000 H100000 F25:1 C420jpeg\nFRAME\n" + bytes(6))
    elif name.endswith("gif"):
        path.write_bytes(gif_header(65000, 65000))
    elif name.endswith("png"):
        picture = io.BytesIO()
        Image.new("RGB", (1, 1)).save(picture, "PNG")
        content = bytearray(picture.getvalue())
        content[16:24] = struct.pack(">II", 100000, 100000)
        import zlib

        content[29:33] = struct.pack(">I", zlib.crc32(bytes(content[12:29])))
        path.write_bytes(content)
    else:
        picture = io.BytesIO()
        Image.new("RGB", (1, 1)).save(picture, "WEBP", lossless=True)
        content = bytearray(picture.getvalue())
        content[21:25] = struct.pack("<I", 16383 | 16383 << 14)
        path.write_bytes(content)
    with pytest.raises(VideoError):
        read_all(path)


def test_a_rate_that_no_camera_has(tmp_path: Path) -> None:
    path = tmp_path / "in.y4m"
    path.write_bytes(b"YUV4MPEG2 W16 H16 F100000:1 C420jpeg\n" + (b"FRAME\n" + bytes(384)) * 3)
    with pytest.raises(VideoError, match=r"claims 100000 frames a second: up to 1000 can be read"):
        probe(path)


@pytest.mark.parametrize("name", ["https://example.org/a.mp4", "rtsp://camera/1", "file:///etc/passwd", "concat:a|b"])
def test_urls_are_refused(name: str) -> None:
    with pytest.raises(VideoError):
        VideoReader(name)
    if "//" in name:
        with pytest.raises(VideoError, match="is a URL: download it first, then name the file"):
            VideoReader(name)


def test_pictures_of_two_sizes_and_none(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="no pictures there"):
        VideoReader(tmp_path)
    for i, size in enumerate([(64, 48), (64, 48), (32, 48)]):
        Image.new("RGB", size, (9, 80, 200)).save(tmp_path / f"{i}.png")
    with pytest.raises(VideoError, match=r"2\.png: is 32x48, the first picture 64x48: bring all to one size"):
        read_all(tmp_path)
    (tmp_path / "2.png").write_bytes(b"not a picture")
    with pytest.raises(VideoError, match=r"2\.png: cannot be read as a picture"):
        read_all(tmp_path)


def test_undamaged_files_are_not_called_damaged(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", VideoWarning)
        for suffix in (".mp4", ".mkv", ".ts"):
            assert len(read_all(make_video(tmp_path / f"in{suffix}", 40))) == 40


@given(st.lists(st.integers(1, 9000), min_size=2, max_size=30), st.data())
def test_one_broken_time_moves_no_other_frame(steps: list[int], data: st.DataObject) -> None:
    times = list(itertools.accumulate(steps))
    broken = data.draw(st.integers(0, len(times) - 2))
    false = data.draw(st.integers(times[broken + 1] + 1, 1 << 33))
    given_times = [false if i == broken else time for i, time in enumerate(times)]
    frames = [(time, 0, np.zeros((1, 1, 3), np.uint8), False) for time in given_times]
    found = [frame[0] for frame in _repair_late_times(iter(frames), 3600)]
    assert [t for i, t in enumerate(found) if i != broken] == [t for i, t in enumerate(times) if i != broken]
    assert found[broken] <= times[broken + 1] and (broken == 0 or found[broken] > times[broken - 1])
    assert [
        frame[0] for frame in _repair_late_times(iter([(t, *f[1:]) for t, f in zip(times, frames, strict=True)]), 9)
    ] == times
