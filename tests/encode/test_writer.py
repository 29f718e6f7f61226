"""Videos out: complete or not at all."""

from __future__ import annotations

import itertools
import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from media import KINDS, frame_times, frames, make_kind, make_video, picture, sound_packets, video_duration
from oracle import Variant, make
from stylize import StyleError, VideoError, VideoReader, VideoWriter
from stylize.decode import probe
from stylize.encode import check_output


def copy(source: Path, output: Path, **options: object) -> Path:
    with VideoReader(source) as reader, VideoWriter(output, reader.info, reader.size, **options) as writer:  # type: ignore[arg-type]
        for clip in reader.clips():
            writer.write(clip)
    return output


@pytest.mark.filterwarnings("ignore:an odd size needs 4")
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
@pytest.mark.parametrize("name", KINDS)
def test_copy_keeps_count_times_size_and_sound(tmp_path: Path, name: str, suffix: str) -> None:
    source, output = make_kind(tmp_path, name), tmp_path / f"out{suffix}"
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


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((128, 96), Fraction(64, 45)),
        ((64, 48), Fraction(64, 45)),
        ((182, 96), Fraction(1)),
        ((96, 96), Fraction(256, 135)),
    ],
)
def test_pixels_that_are_not_square_change_with_the_size(
    tmp_path: Path, size: tuple[int, int], expected: Fraction
) -> None:
    source = make(tmp_path / "in.mp4", Variant(count=3, aspect=Fraction(64, 45)))
    with VideoReader(source, size=size) as reader, VideoWriter(tmp_path / "out.mp4", reader.info, size) as writer:
        for clip in reader.clips():
            writer.write(clip)
    assert float(probe(tmp_path / "out.mp4").sample_aspect_ratio) == pytest.approx(float(expected), abs=0.005)
