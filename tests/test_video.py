"""Reading and writing, against PyAV used directly."""

from __future__ import annotations

import itertools
import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from media import frame_times, frames, make_video, picture, sound_packets, video_duration

from stylize import DamagedVideo, StyleError, VideoError, VideoReader, VideoWriter
from stylize.container import decord_is_exact, probe, reads_like_decord
from stylize.errors import VideoWarning
from stylize.frames import Clip
from stylize.outputs import check_output

VARIABLE = [0, 900, 2100, 2400, 5000, 5700, 6100, 9000]


def read(path: Path, **options: object) -> Clip:
    with VideoReader(path, **options) as reader:  # type: ignore[arg-type]
        clips = list(reader.clips(3))
    return Clip(
        np.concatenate([c.frames for c in clips]),
        sum((c.times for c in clips), ()),
        sum((c.durations for c in clips), ()),
    )


def copy(source: Path, output: Path, **options: object) -> Path:
    with VideoReader(source) as reader, VideoWriter(output, reader.info, reader.size, **options) as writer:  # type: ignore[arg-type]
        for clip in reader.clips():
            writer.write(clip)
    return output


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, Path]:
    return {
        "constant": make_video(tmp_path / "constant.mp4", sound=True),
        "ntsc": make_video(tmp_path / "ntsc.mp4", rate=Fraction(30000, 1001), sound=True),
        "variable": make_video(tmp_path / "variable.mp4", pts=VARIABLE, time_base=Fraction(1, 90000), sound=True),
        "variable mkv": make_video(tmp_path / "variable.mkv", pts=VARIABLE, time_base=Fraction(1, 1000)),
        "odd size": make_video(tmp_path / "odd.mp4", width=61, height=45, pixel_format="yuv444p"),
        "one frame": make_video(tmp_path / "one.mp4", 1),
        "b-frames": make_video(tmp_path / "b.mp4", 30, options={"preset": "medium", "bf": "3"}),
        "late start": make_video(tmp_path / "late.mp4", pts=[100 + i for i in range(8)]),
    }


NAMES = ["constant", "ntsc", "variable", "variable mkv", "odd size", "one frame", "b-frames", "late start"]


@pytest.mark.parametrize("name", NAMES)
def test_reader_gives_every_frame_at_its_time(sources: dict[str, Path], name: str) -> None:
    clip = read(sources[name])
    expected = frames(sources[name], accurate=not reads_like_decord(probe(sources[name])))
    assert list(clip.times) == frame_times(sources[name])
    assert clip.frames.shape == expected.shape
    assert np.abs(clip.frames.astype(int) - expected).max() <= 2


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
@pytest.mark.parametrize("name", NAMES)
def test_copy_keeps_count_times_size_and_sound(
    sources: dict[str, Path], tmp_path: Path, name: str, suffix: str
) -> None:
    source, output = sources[name], tmp_path / f"out{suffix}"
    copy(source, output)
    rounding = Fraction(1, 1000) if suffix == ".mkv" else Fraction(0)  # Matroska counts milliseconds
    shifts = [a - b for a, b in zip(frame_times(output), frame_times(source), strict=True)]
    # Matroska cannot hold the negative time of AAC's priming: sound and pictures move together
    assert max(shifts) - min(shifts) <= rounding and (suffix == ".mkv" or shifts[0] == 0)
    assert frames(output).shape == frames(source).shape
    assert abs(video_duration(output) - video_duration(source)) <= Fraction(1, 1000)
    assert [digest for digest, _ in sound_packets(output)] == [digest for digest, _ in sound_packets(source)]
    if suffix != ".mkv":
        assert sound_packets(output) == sound_packets(source)


def test_colours_survive(tmp_path: Path) -> None:
    flat = [np.full((48, 64, 3), colour, np.uint8) for colour in ((200, 30, 40), (20, 160, 60), (30, 60, 190))]
    source = make_video(tmp_path / "in.mp4", 3, pictures=flat, options={"crf": "0"})
    output = copy(source, tmp_path / "out.mp4", crf=4)
    assert np.abs(frames(output).astype(int) - np.stack(flat)).max() <= 4


def test_untagged_hd_is_read_as_bt709(tmp_path: Path) -> None:
    flat = [np.full((720, 1280, 3), (200, 60, 40), np.uint8)] * 2
    import av

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


def test_auto_leaves_to_pyav_what_decord_reads_wrong(sources: dict[str, Path], tmp_path: Path) -> None:
    assert not decord_is_exact(probe(sources["late start"]))
    assert not decord_is_exact(probe(sources["odd size"]))
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


def test_part_starts_at_zero_with_its_sound(tmp_path: Path) -> None:
    path, output = make_video(tmp_path / "in.mp4", 50, sound=True), tmp_path / "out.mp4"
    with VideoReader(path, start=0.4, end=1.2) as reader:
        begin, end = reader.part
        with VideoWriter(output, reader.info, reader.size, start=begin, end=end) as writer:
            for clip in reader.clips():
                writer.write(clip)
    assert frame_times(output) == [Fraction(i, 25) for i in range(20)]
    expected = [(d, t - Fraction(2, 5)) for d, t in sound_packets(path) if Fraction(2, 5) <= t < Fraction(6, 5)]
    got = sound_packets(output)
    assert [d for d, _ in got] == [d for d, _ in expected]
    assert all(abs(a - b) <= Fraction(1, 1000) for (_, a), (_, b) in zip(got, expected, strict=True))


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
    import av

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
    import av

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


@settings(max_examples=25, deadline=None)
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


def test_failure_leaves_nothing(tmp_path: Path) -> None:
    source, output = make_video(tmp_path / "in.mp4", sound=True), tmp_path / "out.mp4"
    before = sorted(tmp_path.iterdir())
    with (
        pytest.raises(RuntimeError, match="in the middle"),
        VideoReader(source) as reader,
        VideoWriter(output, reader.info, reader.size) as writer,
    ):
        writer.write(next(reader.clips(3)))
        raise RuntimeError("in the middle")
    assert sorted(tmp_path.iterdir()) == before


def test_failure_keeps_the_old_output(tmp_path: Path) -> None:
    source, output = make_video(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    output.write_bytes(b"what was there")
    with (
        pytest.raises(KeyboardInterrupt),
        VideoReader(source) as reader,
        VideoWriter(output, reader.info, reader.size) as writer,
    ):
        writer.write(next(reader.clips(3)))
        raise KeyboardInterrupt
    assert output.read_bytes() == b"what was there"
    assert len(list(tmp_path.iterdir())) == 2


def test_sound_that_the_container_cannot_hold(tmp_path: Path) -> None:
    import av

    source = tmp_path / "in.avi"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        voice = container.add_stream("adpcm_ms", rate=44100)
        voice.layout = "mono"
        frame = av.VideoFrame.from_ndarray(picture(0), format="rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        tone.rate = 44100
        container.mux(voice.encode(tone))
        container.mux(voice.encode(None))
    told: list[str] = []
    copy(source, tmp_path / "out.mp4", say=told.append)
    assert told == [".mp4 cannot hold adpcm_ms sound as it is: it becomes aac"]
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert [s.codec_context.name for s in container.streams.audio] == ["aac"]
        seconds = sum(frame.samples for frame in container.decode(audio=0)) / 44100
    assert abs(seconds - 4096 / 44100) < 0.05
    with (
        pytest.raises(VideoError, match="no frame was written"),
        VideoReader(source) as reader,
        VideoWriter(tmp_path / "none.mp4", reader.info, reader.size, say=told.append),
    ):
        pass
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.avi", "out.mp4"]


def test_output_is_checked_first(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", 1)
    (tmp_path / "old.mp4").touch()
    for name, message in {
        "out.xyz": "cannot write this kind of file",
        "no/out.mp4": "does not exist",
        "old.mp4": "exists already: name another file, or pass --force",
        "in.mp4": "is the input itself",
    }.items():
        with pytest.raises(VideoError, match=message):
            check_output(tmp_path / name, source=source, force=False)
    assert check_output(tmp_path / "old.mp4", source=source, force=True)
    with pytest.raises(VideoError, match="is the input itself"):
        check_output(source, source=source, force=True)


def test_encoder_settings_are_checked(tmp_path: Path) -> None:
    info = probe(make_video(tmp_path / "in.mp4", 1))
    for options, message in (({"crf": 52}, "crf 52 is out of range"), ({"preset": "best"}, "unknown preset 'best'")):
        with pytest.raises(StyleError, match=message):
            VideoWriter(tmp_path / "out.mp4", info, (64, 48), **options)  # type: ignore[arg-type]


def test_disk_full(tmp_path: Path) -> None:
    """The folder goes away under the writer: one line, not FFmpeg's."""
    source = make_video(tmp_path / "in.mp4")
    folder = tmp_path / "gone"
    folder.mkdir()
    with VideoReader(source) as reader:
        writer = VideoWriter(folder / "out.mp4", reader.info, reader.size)
        shutil.rmtree(folder)
        with pytest.raises(VideoError, match=r"out\.mp4: cannot be written"), writer:
            pass


@pytest.mark.parametrize(
    ("suffix", "kind", "codec", "options"),
    [
        (".h264", "h264", "libx264", {"bf": "2"}), (".avi", "avi", "libx264", {"bf": "2"}),
        (".avi", "avi", "mpeg4", {}), (".m2v", "mpeg2video", "mpeg2video", {"bf": "2", "qmax": "2"}),
        (".y4m", "yuv4mpegpipe", "rawvideo", {}), (".flv", "flv", "libx264", {}),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::stylize.errors.VideoWarning")
def test_containers_that_say_little_of_time(
    tmp_path: Path, suffix: str, kind: str, codec: str, options: dict[str, str]
) -> None:
    """Raw streams and AVI with reordered frames: every frame once, in order, at even distances; a part is a part."""
    path, count = tmp_path / f"in{suffix}", 24
    with av.open(str(path), "w", format=kind) as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(count):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 10 * i, np.uint8), format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with VideoReader(path) as reader:
        clips = list(reader.clips(5))
        assert reader.frame_count in (count, None)  # a raw stream has no times to count
    times = [time for clip in clips for time in clip.times]
    assert [b - a for a, b in itertools.pairwise(times)] == [Fraction(1, 25)] * (count - 1)
    levels = np.concatenate([clip.frames for clip in clips]).mean((1, 2, 3))
    assert np.abs(levels - 10 * np.arange(count)).max() < 4
    with VideoReader(path, start=0.4, end=0.6) as reader:
        part = np.concatenate([clip.frames for clip in reader.clips()]).mean((1, 2, 3))
    assert np.abs(part - 10 * np.arange(10, 15)).max() < 4
