"""Reading and writing, against PyAV used directly."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media import KINDS, frame_times, frames, make_kind, make_video
from stylize import DamagedVideo, VideoError, VideoReader
from stylize.decode import probe
from stylize.decode.probe import decord_is_exact, reads_like_decord
from stylize.errors import VideoWarning
from stylize.frames import Clip


def read(path: Path, **options: object) -> Clip:
    with VideoReader(path, **options) as reader:  # type: ignore[arg-type]
        clips = list(reader.clips(3))
    return Clip(
        np.concatenate([c.frames for c in clips]),
        sum((c.times for c in clips), ()),
        sum((c.durations for c in clips), ()),
    )


@pytest.mark.parametrize("name", KINDS)
def test_reader_gives_every_frame_at_its_time(tmp_path: Path, name: str) -> None:
    source = make_kind(tmp_path, name)
    clip = read(source)
    expected = frames(source, accurate=not reads_like_decord(probe(source)))
    assert list(clip.times) == frame_times(source)
    assert clip.frames.shape == expected.shape
    assert np.abs(clip.frames.astype(int) - expected).max() <= 2


def test_untagged_hd_is_read_as_bt709(tmp_path: Path) -> None:
    flat = [np.full((720, 1280, 3), (200, 60, 40), np.uint8)] * 2

    path = tmp_path / "hd.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "4", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        for i, pixels in enumerate(flat):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace=1, dst_color_range=1)
            frame.pts = i
            frame.colorspace = 2
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert probe(path).untagged_hd
    assert np.abs(read(path).frames.astype(int) - flat[0]).max() <= 4


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_decord_and_pyav_give_equal_pixels(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("decord", reason="decord has no wheel for this platform")
    path = make_video(tmp_path / f"in{suffix}", 12, options={"preset": "medium"})
    assert decord_is_exact(probe(path))
    one, other = read(path, backend="decord"), read(path, backend="av")
    assert np.array_equal(one.frames, other.frames)
    assert (one.times, one.durations) == (other.times, other.durations)


def test_auto_leaves_to_pyav_what_decord_reads_wrong(tmp_path: Path) -> None:
    assert not decord_is_exact(probe(make_kind(tmp_path, "late start")))
    assert not decord_is_exact(probe(make_kind(tmp_path, "odd size")))
    assert not decord_is_exact(probe(make_video(tmp_path / "in.ts")))


@pytest.mark.parametrize("backend", ["av", "decord"])
def test_start_and_end(tmp_path: Path, backend: str) -> None:
    if backend == "decord":
        pytest.importorskip("decord")
    path = make_video(tmp_path / "in.mp4", 50, sound=True, options={"g": "10", "preset": "ultrafast"})
    clip = read(path, start=0.4, end=1.2, backend=backend)
    assert clip.times == tuple(Fraction(i, 25) for i in range(10, 30))
    assert np.abs(clip.frames.astype(int) - frames(path)[10:30]).max() <= 2


def test_a_keyframe_that_is_none(tmp_path: Path) -> None:
    """With intra refresh no frame decodes by itself: after a seek there is garbage for a while, and no error."""
    textured = [
        np.roll(np.random.default_rng(0).integers(0, 255, (144, 256, 3), np.uint8), 2 * i, 1) for i in range(50)
    ]
    path = make_video(
        tmp_path / "in.mp4", 50, width=256, height=144, pictures=textured,
        options={"preset": "medium", "x264-params": "intra-refresh=1:keyint=12:bframes=0"},
    )  # fmt: skip
    assert np.abs(read(path, start=1.6).frames.astype(int) - frames(path)[40:]).max() <= 2


def test_resize(tmp_path: Path) -> None:
    path = make_video(tmp_path / "in.mp4", 2)
    assert read(path, size=(32, 24)).frames.shape == (2, 24, 32, 3)


def test_rotated_video_is_turned_upright(tmp_path: Path) -> None:
    path = make_video(tmp_path / "in.mov", 2)
    data = bytearray(path.read_bytes())
    # the track header's matrix of a phone held upright: 90 degrees clockwise, in 16.16 fixed point
    identity = b"".join(n.to_bytes(4, "big", signed=True) for n in (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30))
    turned = b"".join(n.to_bytes(4, "big", signed=True) for n in (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30))
    track = data.index(b"tkhd")
    place = data.index(identity, track)
    data[place : place + len(identity)] = turned
    path.write_bytes(data)
    info = probe(path)
    with pytest.warns(VideoWarning, match="turned upright"):
        clip = read(path)
    assert (info.width, info.height) == (48, 64) and info.rotation != 0
    upright = np.rot90(frames(path, accurate=True)[0], -1)
    assert np.abs(clip.frames[0].astype(int) - upright).max() <= 2


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"nothing\.mp4: no such file: check the name and the folder$"):
        probe(tmp_path / "nothing.mp4")


@pytest.mark.parametrize("content", [b"", b"this is no video at all, only text", bytes(range(256)) * 64])
def test_not_a_video(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "in.mp4"
    path.write_bytes(content)
    with pytest.raises(VideoError, match=r"in\.mp4: .*: try to play it, or download it again$"):
        probe(path)


def test_folder_is_not_a_video(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="not a file"):
        probe(tmp_path)


def test_sound_alone_is_not_a_video(tmp_path: Path) -> None:

    path = tmp_path / "in.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=44100)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        silence.rate = 44100
        container.mux(stream.encode(silence))
        container.mux(stream.encode(None))
    with pytest.raises(VideoError, match="has no video stream"):
        probe(path)


def test_a_video_stream_without_frames(tmp_path: Path) -> None:

    path = tmp_path / "in.mkv"
    with av.open(str(path), "w") as container:
        pictures, voice = container.add_stream("libx264", rate=25), container.add_stream("aac", rate=44100)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        silence.rate = 44100
        container.mux(voice.encode(silence))
        container.mux(voice.encode(None))
    with pytest.raises(VideoError, match=r"in\.mkv: has no frames: name a video that has some"):
        probe(path)


@pytest.mark.parametrize("backend", ["av", "auto"])
def test_truncated_file_is_found_out(tmp_path: Path, backend: str) -> None:
    noisy = [np.random.default_rng(i).integers(0, 255, (48, 64, 3), np.uint8) for i in range(60)]
    whole = make_video(tmp_path / "whole.mp4", 60, pictures=noisy, container_options={"movflags": "faststart"})
    path = tmp_path / "in.mp4"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    with pytest.raises(DamagedVideo, match=r"in\.mp4: is truncated \(36 of 60 frames are there\): download"):
        read(path, backend=backend, strict=True)
    with pytest.warns(VideoWarning, match="36 of 60 frames"):
        assert 30 <= len(read(path, backend=backend)) <= 36


def test_what_is_left_of_a_truncated_file_can_be_read(tmp_path: Path) -> None:
    noisy = [np.random.default_rng(i).integers(0, 255, (48, 64, 3), np.uint8) for i in range(60)]
    whole = make_video(tmp_path / "whole.mp4", 60, pictures=noisy, container_options={"movflags": "faststart"})
    path = tmp_path / "in.mp4"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    assert len(read(path, end=1.0)) == 25


def test_truncated_matroska_is_found_out(tmp_path: Path) -> None:
    noisy = [np.random.default_rng(i).integers(0, 255, (48, 64, 3), np.uint8) for i in range(100)]
    whole = make_video(tmp_path / "whole.mkv", 100, pictures=noisy)
    path = tmp_path / "in.mkv"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(DamagedVideo, match="truncated"):
        read(path, strict=True)


@pytest.fixture(scope="module")
def fifty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifty frames at uneven times."""
    steps = np.random.default_rng(3).integers(1, 9, 50)
    folder = tmp_path_factory.mktemp("fifty")
    return make_video(
        folder / "in.mp4", 50, pts=[int(x) for x in np.cumsum(steps)], time_base=Fraction(1, 100), options={"g": "7"}
    )


@settings(max_examples=25)
@given(start=st.integers(0, 240), length=st.integers(1, 120), clip=st.integers(1, 9), skip=st.integers(0, 60))
def test_any_range_cut_anyhow(fifty: Path, start: int, length: int, clip: int, skip: int) -> None:
    """The frames shown in the range, whatever the clips' length; numbered as in the source."""
    everything = read(fifty)
    first = everything.times[0]
    begin, end = start / 100, (start + length) / 100
    inside = [
        i for i, t in enumerate(everything.times) if Fraction(start, 100) <= t - first < Fraction(start + length, 100)
    ]
    with VideoReader(fifty, start=begin, end=end) as reader:
        if not inside:
            with pytest.raises(VideoError, match="no frame between"):
                list(reader.clips(clip))
            return
        clips = list(reader.clips(clip, skip=skip))
    wanted = inside[skip:]
    assert [t for c in clips for t in c.times] == [everything.times[i] for i in wanted]
    assert [c.index for c in clips] == wanted[::clip]  # numbers in the source
    for got, i in zip((frame for c in clips for frame in c.frames), wanted, strict=True):
        assert np.array_equal(got, everything.frames[i])


def test_empty_range(tmp_path: Path) -> None:
    path = make_video(tmp_path / "in.mp4")
    with pytest.raises(VideoError, match="leave no frame"):
        VideoReader(path, start=2, end=1)
    with pytest.raises(VideoError, match="no frame between start and end"):
        read(path, start=100)
