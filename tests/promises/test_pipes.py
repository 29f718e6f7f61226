"""Pipes: `-` as source and as output, in every format, with nothing but the video on stdout."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from command import run as run_here
from media import frames, make_video, picture, sound_packets
from stylize import Clip, Style, StylizeError, load_stylizer
from stylize.decode.pipe import Peeked, PipeReader

STYLE = ["--prompt", "ink", "--steps", "2", "--strength", "0.5", "--device", "cpu", "--batch", "2"]
COUNT = 10


def run(model: Path, *words: object, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "stylize.cli", "run", *map(str, words), "--model", str(model), *STYLE]
    return subprocess.run(command, input=given, capture_output=True, timeout=120)


def piped(kind: str, *, count: int = COUNT, size: tuple[int, int] = (64, 48)) -> bytes:
    """Frames in a format, made by PyAV without seeking."""
    chunks: list[bytes] = []

    class Stream:
        def write(self, content: bytes) -> int:
            chunks.append(bytes(content))
            return len(content)

    codec = "rawvideo" if kind == "yuv4mpegpipe" else "libx264"
    with av.open(Stream(), "w", format=kind) as container:
        stream = container.add_stream(codec, rate=25, options={} if codec == "rawvideo" else {"crf": "12"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for i in range(count):
            frame = av.VideoFrame.from_ndarray(picture(i, *size), format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = i, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return b"".join(chunks)


def pictures_in(content: bytes) -> tuple[str, Sequence[np.ndarray], int]:
    """The format, the pictures, and the number of packets of sound."""
    with av.open(io.BytesIO(content)) as container:
        shown, packets = [], 0
        for packet in container.demux():
            if packet.stream.type == "audio":
                packets += packet.size > 0
            else:
                shown += [frame.to_ndarray(format="rgb24") for frame in packet.decode()]
        return container.format.name, shown, packets


@pytest.fixture(scope="module")
def expected(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """What a run from file to file makes of the same pictures."""
    folder = tmp_path_factory.mktemp("pipes")
    (folder / "in.mkv").write_bytes(piped("matroska"))
    style = Style(prompt="ink", steps=2, strength=0.5)
    stylizer = load_stylizer(str(tiny_model), device="cpu", batch=2)
    stylizer.convert(folder / "in.mkv", folder / "out.mkv", style, codec="h264", crf=10, preset="veryfast")
    return frames(folder / "out.mkv").astype(int)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "asked", "written"),
    [
        ("yuv4mpegpipe", None, "yuv4mpegpipe"), ("mpegts", None, "mpegts"), ("matroska", None, "matroska,webm"),
        ("nut", None, "nut"), ("yuv4mpegpipe", "nut", "nut"), ("mpegts", "y4m", "yuv4mpegpipe"),
    ],
)  # fmt: skip
def test_pipe_to_pipe(tiny_model: Path, expected: np.ndarray, given: str, asked: str | None, written: str) -> None:
    more = ["--pipe-format", asked] if asked else []
    done = run(tiny_model, "-", "-o", "-", "--crf", 10, *more, given=piped(given))
    assert done.returncode == 0, done.stderr.decode()
    kind, shown, _ = pictures_in(done.stdout)
    assert kind == written and len(shown) == COUNT
    assert np.abs(np.stack(shown).astype(int) - expected).mean() < 6
    assert b"10 frames" in done.stderr


@pytest.mark.slow
def test_raw_pictures_and_a_file(tiny_model: Path, tmp_path: Path) -> None:
    """What `Stylizer.stream` makes of the same pictures, in a file without loss."""
    raw = b"".join(picture(i).tobytes() for i in range(COUNT))
    size = ["--pipe-size", "64x48", "--pipe-fps", "25"]
    done = run(tiny_model, "-", "-o", tmp_path / "out.mkv", *size, given=raw)
    assert done.returncode == 0 and done.stdout == b"", done.stderr.decode()
    stylizer, style = load_stylizer(str(tiny_model), device="cpu", batch=2), Style(prompt="ink", steps=2, strength=0.5)
    moments = [(Fraction(i, 25), Fraction(1, 25)) for i in range(COUNT)]
    clips = [Clip(picture(i)[None], (time,), (shown,), i) for i, (time, shown) in enumerate(moments)]
    expected = np.concatenate([clip.frames for clip in stylizer.stream(clips, style)])
    assert np.abs(frames(tmp_path / "out.mkv").astype(int) - expected).mean() < 3
    assert [path.name for path in tmp_path.iterdir()] == ["out.mkv"]


@pytest.mark.slow
def test_sound_comes_along(tiny_model: Path, tmp_path: Path) -> None:
    """From a file into a pipe, through pipes, and from a pipe into a file."""
    film = make_video(tmp_path / "in.mp4", COUNT, sound=True)
    out = run(tiny_model, film, "-o", "-")
    kind, shown, packets = pictures_in(out.stdout)
    assert (kind, len(shown), packets) == ("matroska,webm", COUNT, len(sound_packets(film)))
    for asked in ("nut", "mpegts"):
        through = run(tiny_model, "-", "-o", "-", "--pipe-format", asked, given=out.stdout)
        kind, shown, kept = pictures_in(through.stdout)
        assert (kind, len(shown)) == (asked, COUNT) and kept == packets, through.stderr.decode()
    into = run(tiny_model, "-", "-o", tmp_path / "out.mp4", given=out.stdout)
    assert into.returncode == 0 and len(sound_packets(tmp_path / "out.mp4")) == packets
    silent = run(tiny_model, film, "-o", "-", "--pipe-format", "y4m")
    assert b"y4m does not hold the sound (aac): it is left out" in silent.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]


@pytest.mark.slow
def test_a_reader_that_goes_away(tiny_model: Path, tmp_path: Path) -> None:
    """As `| head` does: quietly."""
    (tmp_path / "in.y4m").write_bytes(piped("yuv4mpegpipe", count=400))
    command = [sys.executable, "-m", "stylize.cli", "run", "-", "-o", "-", "--model", str(tiny_model), *STYLE]
    with (tmp_path / "in.y4m").open("rb") as source:
        program = subprocess.Popen(command, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert program.stdout is not None and program.stderr is not None
    program.stdout.read(1000)
    program.stdout.close()
    told = program.stderr.read().decode()
    program.stderr.close()
    assert program.wait(60) == 0
    assert "Traceback" not in told and "Broken" not in told


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no FFmpeg")
def test_beside_ffmpeg(tiny_model: Path, tmp_path: Path) -> None:
    film = make_video(tmp_path / "in.mp4", COUNT)
    made = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", film, "-f", "yuv4mpegpipe", "-"], capture_output=True, check=True
    )
    done = run(tiny_model, "-", "-o", "-", given=made.stdout)
    subprocess.run(["ffmpeg", "-v", "error", "-i", "-", "-f", "null", "-"], input=done.stdout, check=True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-", "-o", "-", "--start", 1], "a pipe has no parts"),
        (["-", "-o", "-", "--json"], "a pipe has no comparisons, report or workers"),
        (["-", "b.mp4", "-o", "-"], "a pipe carries one video"),
        (["-", "-o", "-", "--pipe-size", "64x48"], "give both --pipe-size"),
        (["in.mp4", "-o", "-", "--pipe-size", "64x48", "--pipe-fps", 25], "are of stdin"),
        (["-", "-o", "out.mp4", "--pipe-format", "nut"], "--pipe-format of stdout"),
        (["-", "-o", "-", "--codec", "h265"], "leave out --codec"),
        (["in.mp4", "-o", "out.mp4", "--pipe-format", "nut"], "--pipe options are for pipes"),
    ],
)
def test_errors_of_options_are_one_line(words: list[object], said: str) -> None:
    code, out, err = run_here("run", *words, *STYLE, "--quiet")
    assert code == 1 and out == "" and len(err.splitlines()) == 1 and said in err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "given", "said"),
    [
        (["-", "-o", "-"], b"", "nothing comes through the pipe"),
        (["-", "-o", "-"], b"what is this", "is not known: send y4m, MPEG-TS, Matroska or NUT"),
        (["-", "-o", "-"], b"YUV4MPEG2 W64 H48\n", "pipe"),
        (["nowhere.mp4", "-o", "-"], b"", "no such file"),
    ],
)
def test_errors_of_the_source_are_one_line(tiny_model: Path, words: list[str], given: bytes, said: str) -> None:
    done = run(tiny_model, *words, "--quiet", given=given)
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 1 and done.stdout == b"", lines
    assert len([line for line in lines if line.startswith("stylize:")]) == 1 and said in lines[-1], lines


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full disk here")
def test_a_full_disk_is_no_end(tiny_model: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "stylize.cli",
        "run",
        "-",
        "-o",
        "-",
        "--model",
        str(tiny_model),
        *STYLE,
        "--quiet",
    ]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, input=piped("yuv4mpegpipe"), stdout=full, stderr=subprocess.PIPE, timeout=120)
    assert done.returncode == 1 and b"the pipe cannot be written (No space left on device)" in done.stderr


def test_a_sender_that_breaks_off() -> None:
    """What has come is shown."""
    content = piped("yuv4mpegpipe")
    with PipeReader(Peeked(io.BytesIO(content[: len(content) * 2 // 3]))) as reader:
        assert len(list(reader.clips())) == COUNT * 2 // 3
    with pytest.raises(StylizeError):
        PipeReader(Peeked(io.BytesIO(content[:60])))
