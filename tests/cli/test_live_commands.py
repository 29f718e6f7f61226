"""`stylize live` on the command line: errors in one line, recordings that are whole, streams in and out."""

from __future__ import annotations

import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from command import run
from media import frames, make_video, picture
from ports import free_port

LOOK = ["--prompt", "ink", "--steps", 2, "--strength", 0.5, "--device", "cpu"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["camera:57"], 1, "camera:57: no such file or directory"), (["clip.mp4"], 1, "is not a live source"),
        (["tcp://127.0.0.1:9"], 1, "connection refused"), (["loop:nowhere.mp4"], 1, "no such file"),
        (["test:", "-o", "clip.avi"], 1, "cannot write this kind of file"),
        (["test:", "-o", "camera:"], 1, "needs pyvirtualcam"), (["test:", "-o", "ftp://x/y"], 1, "cannot be sent to"),
        (["test:", "--start", 3], 1, "--start is not for this live"), (["test:", "--crf", 3], 1, "--crf is not"),
        (["test:", "--batch", 4], 1, "--batch is not"), (["test:", "--target-fps", 0], 1, "0 frames a second"),
        (["test:", "--keyframe", "0:a.png"], 1, "belong to a file"),
        (["test:", "--mask-from", "motion"], 1, "looks at a file's beginning"), (["test:", "--port", 80], 1, "--port"),
        (["test:", "--latency"], 1, "the delay is measured on the page"), (["test:", "--token", "x"], 1, "of the page"),
    ],
)  # fmt: skip
def test_one_line(tiny_model: Path, tmp_path: Path, words: list[object], code: int, said: str) -> None:
    was = Path.cwd()
    os.chdir(tmp_path)
    try:
        status, out, err = run("live", *words, *LOOK, "--model", tiny_model, "--seconds", 1, "--no-page", "--quiet")
    finally:
        os.chdir(was)
    assert status == code and said in err and len(err.strip().splitlines()) == 1 and out == ""
    assert not any(tmp_path.iterdir())


def test_no_look(tiny_model: Path) -> None:
    status, _, err = run("live", "test:", "--model", tiny_model)
    assert status == 2 and "no look is asked for" in err


def test_a_recording(tiny_model: Path, tmp_path: Path) -> None:
    film = make_video(tmp_path / "in.mp4", 10, sound=True)
    status, out, err = run(
        "live", f"loop:{film}", "-o", tmp_path / "out.mkv", *LOOK, "--model", tiny_model, "--seconds", 1.5, "--fit", 64
    )
    assert status == 0 and out == "" and "out.mkv: " in err and "frames/s at 64x48" in err
    made = frames(tmp_path / "out.mkv")
    assert len(made) >= 5 and made.shape[1:] == (48, 64, 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.mkv"]


def begin(model: Path, *words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "stylize.cli", "live", *map(str, words), *map(str, LOOK), "--model", str(model)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_a_whole_file(tiny_model: Path, tmp_path: Path, number: signal.Signals) -> None:
    film = make_video(tmp_path / "in.mp4", 25)
    program = begin(tiny_model, f"loop:{film}", "-o", tmp_path / "out.mp4", "--fit", 64)
    deadline = time.monotonic() + 60
    partial = tmp_path / ".out.mp4.part"
    while time.monotonic() < deadline and not partial.exists():
        time.sleep(0.05)
    time.sleep(1.0)
    began = time.monotonic()
    program.send_signal(number)
    _, told = program.communicate(timeout=30)
    assert program.returncode == 0 and time.monotonic() - began < 8, told
    made = int(re.search(r"out.mp4: (\d+) frames", told)[1])  # type: ignore[index]
    assert len(frames(tmp_path / "out.mp4")) == made > 0 and not partial.exists()


@pytest.mark.slow
def test_stream_in_stream_out(tiny_model: Path, tmp_path: Path) -> None:
    """A sender by UDP, the program, a receiver: with sound, at the stream's own times."""
    options = {"preset": "ultrafast", "tune": "zerolatency", "g": "12"}
    film = make_video(tmp_path / "in.mp4", 600, sound=True, options=options)
    ports = [free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_DGRAM)]
    addresses = [f"udp://127.0.0.1:{port}" for port in ports]
    stop = threading.Event()

    def send() -> None:
        with av.open(str(film)) as source, av.open(addresses[0], "w", format="mpegts") as sink:
            streams = {stream.index: sink.add_stream_from_template(stream) for stream in source.streams}
            began = time.monotonic()
            for packet in source.demux():
                if packet.dts is None or stop.is_set():
                    continue
                time.sleep(max(0.0, began + float(packet.dts * packet.time_base) - time.monotonic()))
                packet.stream = streams[packet.stream.index]
                sink.mux(packet)

    sender = threading.Thread(target=send)
    sender.start()
    program = begin(tiny_model, addresses[0], "-o", addresses[1], "--fit", 64, "--seconds", 4)
    times, packets = [], 0
    with av.open(addresses[1], timeout=(60.0, 3.0)) as received:
        try:
            for packet in received.demux():
                if packet.stream.type == "audio":
                    packets += 1
                    continue
                times += [float(frame.time) for frame in packet.decode()]
        except av.ExitError:
            pass  # nothing comes any more
    program.communicate(timeout=30)
    stop.set()
    sender.join()
    assert program.returncode == 0 and len(times) > 10 and packets > 10
    assert all(a < b for a, b in itertools.pairwise(times))
    steps = np.diff(times) * 25
    assert np.abs(steps - steps.round()).max() < 0.01, "multiples of the sender's frames"


@pytest.mark.slow
def test_from_a_pipe(tiny_model: Path, tmp_path: Path) -> None:
    """A program sends, and ends: so does the picture."""
    command = [sys.executable, "-m", "stylize.cli", "live", "pipe:", "-o", str(tmp_path / "out.mp4"), "--fit", "64"]
    program = subprocess.Popen(
        [*command, *map(str, LOOK), "--model", str(tiny_model)], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert program.stdin is not None
    with av.open(program.stdin, "w", format="matroska") as container:
        stream = container.add_stream("libx264", rate=25, options={"tune": "zerolatency", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        i, recorded = 0, 0
        while recorded < 100 and i < 1500:  # until four seconds after it has begun, however long it takes to load
            i, recorded = i + 1, recorded + any(tmp_path.iterdir())
            frame = av.VideoFrame.from_ndarray(picture(i), format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = i, Fraction(1, 25)
            container.mux(stream.encode(frame))
            time.sleep(0.04)
        container.mux(stream.encode(None))
    _, told = program.communicate(timeout=60)
    assert program.returncode == 0, told
    assert len(frames(tmp_path / "out.mp4")) > 3


@pytest.mark.slow
def test_an_end_without_frames(tiny_model: Path, tmp_path: Path) -> None:
    """`--seconds` ends a picture whose source stands still; so does the source's end, with sound that waits."""
    film = make_video(tmp_path / "in.mp4", 30, sound=True)
    with av.open(str(film)) as source, av.open(str(tmp_path / "in.ts"), "w", format="mpegts") as sink:
        streams = {stream.index: sink.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                sink.mux(packet)
    command = [sys.executable, "-m", "stylize.cli", "live", "pipe:", "-o", str(tmp_path / "out.mp4"), "--fit", "64"]
    command += [*map(str, LOOK), "--model", str(tiny_model), "--seconds", "1.5"]
    program = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert program.stdin is not None
    program.stdin.write((tmp_path / "in.ts").read_bytes())
    program.stdin.flush()
    began = time.monotonic()
    assert program.wait(60) == 0 and time.monotonic() - began < 25, "stdin is still open"
    program.stdin.close()
    assert program.stderr is not None
    program.stderr.close()
    (tmp_path / "out.mp4").unlink(missing_ok=True)
    done = subprocess.run(command, input=(tmp_path / "in.ts").read_bytes(), capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    assert len(frames(tmp_path / "out.mp4")) >= 1


@pytest.mark.slow
def test_nothing_of_it_is_imported_with_the_package() -> None:
    code = (
        "import sys, stylize.cli; from stylize import load_stylizer; heavy = ('uvicorn', 'starlette', 'pyvirtualcam'); "
        "assert not [n for n in sys.modules if '.live' in n and n != 'stylize.cli.live' or n in heavy]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
