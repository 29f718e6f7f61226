"""A live picture written: recordings that are whole however the block ends, streams, and a virtual camera."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest

from media import frames, make_video, picture, sound_packets
from ports import free_port
from stylize import StyleError, VideoError, VideoReader
from stylize.decode.container import open_container
from stylize.decode.live_address import hide_password
from stylize.decode.live_sound import SoundPacket, SoundTrack, describe_sound
from stylize.encode.live import LiveWriter
from stylize.encode.live_target import parse_live_target
from stylize.encode.virtual_camera import VirtualCamera

SIZE = (64, 48)
TIMES = [Fraction(0), Fraction(1, 25), Fraction(4, 25), Fraction(9, 50), Fraction(3)]
"""Uneven, as a machine makes them."""


@pytest.fixture
def source(tmp_path: Path) -> VideoReader:
    with VideoReader(make_video(tmp_path / "source.mp4", 3)) as reader:
        return reader


def times_of(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [float(frame.time) for frame in container.decode(video=0)]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
def test_a_recording(source: VideoReader, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"out{suffix}"
    with LiveWriter(parse_live_target(str(out)), source.info, SIZE, crf=10) as writer:
        for i, moment in enumerate(TIMES):
            writer.write(picture(i), moment)
        assert not out.exists(), "it stands under its name only when it is whole"
    told = times_of(out)
    assert np.allclose(np.subtract(told, told[0]), [float(t) for t in TIMES], atol=0.0011)
    assert np.abs(frames(out).astype(int) - np.stack([picture(i) for i in range(len(TIMES))])).mean() < 4
    assert {path.name for path in tmp_path.iterdir()} == {"source.mp4", out.name}


def test_a_recording_is_whole_when_the_block_ends_with_an_error(source: VideoReader, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    with pytest.raises(KeyboardInterrupt), LiveWriter(parse_live_target(str(out)), source.info, SIZE) as writer:
        for i in range(30):
            writer.write(picture(i), Fraction(i, 25))
        raise KeyboardInterrupt
    assert len(frames(out)) == 30


def test_an_odd_size_loses_a_row(source: VideoReader, tmp_path: Path) -> None:
    with LiveWriter(parse_live_target(str(tmp_path / "out.mkv")), source.info, (61, 45)) as writer:
        writer.write(picture(0, 61, 45), Fraction(0))
    assert frames(tmp_path / "out.mkv").shape[1:] == (44, 60, 3)


def read_sound(film: Path) -> tuple[tuple[SoundTrack, ...], list[SoundPacket]]:
    """Tracks and packets, when the file is closed already."""
    with open_container(film) as container:
        tracks, packets = tuple(describe_sound(container).values()), []
        for packet in container.demux(container.streams.audio[0]):
            if packet.size:
                base = Fraction(packet.time_base)
                packets.append(SoundPacket(0, bytes(packet), packet.pts * base, packet.duration * base, base))
    return tracks, packets


def to_broadcast(film: Path) -> Path:
    """The same in MPEG-TS, whose AAC has headers in each packet."""
    made = film.with_suffix(".ts")
    with av.open(str(film)) as source, av.open(str(made), "w", format="mpegts") as sink:
        streams = {stream.index: sink.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                sink.mux(packet)
    return made


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
@pytest.mark.parametrize("kind", ["file", "broadcast"])
def test_sound_goes_along(source: VideoReader, tmp_path: Path, kind: str, suffix: str) -> None:
    film = make_video(tmp_path / "in.mp4", 10, sound=True)
    tracks, packets = read_sound(film if kind == "file" else to_broadcast(film))
    begin = packets[0].time
    out = tmp_path / f"out{suffix}"
    with LiveWriter(parse_live_target(str(out)), source.info, SIZE, sound=tracks) as writer:
        writer.write_sound(packets[0]._replace(time=Fraction(0)))  # before the first frame: left out
        for i in range(10):
            writer.write(picture(i), begin + Fraction(i, 25))
        for packet in packets:
            writer.write_sound(packet)
        writer.write_sound(packets[3])  # a time that was there already costs itself alone
        writer.write(picture(10), begin + Fraction(10, 25))
    assert len(frames(out)) == 11
    assert len(sound_packets(out)) == len(packets)
    with av.open(str(out)) as container:
        heard = [float(frame.time) for frame in container.decode(audio=0)]
    assert len(heard) >= len(packets) - 2 and heard == sorted(heard) and abs(heard[0] - times_of(out)[0]) < 0.1


def test_nothing_is_lost_where_nothing_was_recorded(source: VideoReader, tmp_path: Path) -> None:
    (tmp_path / "out.mkv").write_bytes(b"mine")
    with (
        pytest.raises(RuntimeError),
        LiveWriter(parse_live_target(str(tmp_path / "out.mkv"), force=True), source.info, SIZE),
    ):
        raise RuntimeError("a port is taken")
    assert (tmp_path / "out.mkv").read_bytes() == b"mine"
    assert {path.name for path in tmp_path.iterdir()} == {"source.mp4", "out.mkv"}


def test_what_a_killed_run_left_is_not_touched(source: VideoReader, tmp_path: Path) -> None:
    (tmp_path / ".out.mkv.part").write_bytes(b"an evening")
    with LiveWriter(parse_live_target(str(tmp_path / "out.mkv")), source.info, SIZE) as writer:
        writer.write(picture(0), Fraction(0))
    assert (tmp_path / ".out.mkv.part").read_bytes() == b"an evening" and len(frames(tmp_path / "out.mkv")) == 1


def test_the_source_is_not_overwritten(tmp_path: Path) -> None:
    film = make_video(tmp_path / "in.mp4", 3)
    with pytest.raises(VideoError, match="is the input itself"):
        parse_live_target(str(film), force=True, source=str(film))


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
def test_a_full_disk_is_told(source: VideoReader, tmp_path: Path, suffix: str) -> None:
    """Also if it is full at the very end; what was recorded is kept."""
    code = (
        "import resource, sys; from pathlib import Path; from fractions import Fraction; import numpy as np\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from stylize import VideoReader\nfrom stylize.encode.live import LiveWriter\n"
        "from stylize.encode.live_target import parse_live_target\n"
        "info = VideoReader(sys.argv[1]).info\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (60000, 60000))\n"
        "noise = np.random.default_rng(0).integers(0, 255, (40, 96, 128, 3), np.uint8)\n"
        "with LiveWriter(parse_live_target(sys.argv[2]), info, (128, 96)) as writer:\n"
        "    for i in range(40): writer.write(noise[i], Fraction(i, 25))\n"
    )
    out = tmp_path / f"out{suffix}"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "source.mp4"), str(out)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1 and "cannot be written any more" in done.stderr, done.stderr
    assert 0 < out.stat().st_size <= 60000 and not list(tmp_path.glob(".*part"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ftp://host/x", "cannot be sent to: name one of udp://"), ("http://host/x", "cannot be sent to"),
        ("clip.avi", "cannot write this kind of file"), ("nowhere/clip.mkv", "does not exist"),
        ("screen:0", "cannot be sent to"), ("udp://127.0.0.1", "not a whole address"), ("tcp://:5000", "not a whole"),
    ],
)  # fmt: skip
def test_other_places_are_refused(text: str, said: str) -> None:
    with pytest.raises(VideoError, match=said):
        parse_live_target(text)


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "out.mkv").write_bytes(b"mine")
    with pytest.raises(VideoError, match="exists already"):
        parse_live_target(str(tmp_path / "out.mkv"))
    assert parse_live_target(str(tmp_path / "out.mkv"), force=True).path == tmp_path / "out.mkv"
    assert (tmp_path / "out.mkv").read_bytes() == b"mine"


def test_crf_out_of_range(source: VideoReader, tmp_path: Path) -> None:
    with pytest.raises(StyleError, match="crf 60"):
        LiveWriter(parse_live_target(str(tmp_path / "out.mkv")), source.info, SIZE, crf=60)


def test_a_receiver_that_refuses_is_one_line(source: VideoReader) -> None:
    with pytest.raises(VideoError, match=r"tcp://127.0.0.1:9: cannot be written \(connection refused\)"):
        LiveWriter(parse_live_target("tcp://127.0.0.1:9"), source.info, SIZE).__enter__()


def listen(port: int, taken: list[int], seconds: float) -> None:
    """Takes what one sender sends, for so long."""
    with socket.create_server(("127.0.0.1", port)) as server:
        connection, _ = server.accept()
        deadline = time.monotonic() + seconds
        with connection:
            while time.monotonic() < deadline and (content := connection.recv(65536)):
                taken.append(len(content))


@pytest.mark.slow
def test_a_receiver_that_stalls_holds_nothing_up(source: VideoReader) -> None:
    """Frames and the end do not wait for it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        noise = np.random.default_rng(0).integers(0, 255, (8, 480, 640, 3), np.uint8)
        writer = LiveWriter(parse_live_target(url), source.info, (640, 480), crf=0)
        writer.__enter__()
        slowest = 0.0
        for i in range(150):
            began = time.monotonic()
            writer.write(noise[i % 8], Fraction(i, 25))
            slowest = max(slowest, time.monotonic() - began)
            time.sleep(0.005)
        began = time.monotonic()
        writer.__exit__(None, None, None)
        assert slowest < 1 and time.monotonic() - began < 15 and writer.missed > 50


@pytest.mark.slow
def test_a_receiver_that_is_lost_is_tried_again(source: VideoReader, monkeypatch: pytest.MonkeyPatch) -> None:
    port, taken, said = free_port(), list[int](), list[str]()
    first = threading.Thread(target=listen, args=(port, taken, 0.5))
    first.start()
    time.sleep(0.2)
    with LiveWriter(parse_live_target(f"tcp://127.0.0.1:{port}"), source.info, SIZE, say=said.append) as writer:
        second, number = None, 0
        while not any("is back" in line for line in said) and number < 400:
            writer.write(picture(number), Fraction(number, 25))
            number += 1
            time.sleep(0.02)
            if second is None and not first.is_alive():
                second = threading.Thread(target=listen, args=(port, taken, 2.0))
                second.start()
        before = sum(taken)
        for later in range(number, number + 60):
            writer.write(picture(later), Fraction(later, 25))
            time.sleep(0.02)
    first.join()
    assert second is not None
    second.join()
    assert "it is tried again" in said[0] and "is back" in said[1] and sum(taken) > before and writer.missed > 0


@pytest.mark.skipif(importlib.util.find_spec("pyvirtualcam") is not None, reason="pyvirtualcam is there")
def test_no_virtual_camera() -> None:
    with pytest.raises(VideoError, match="a virtual camera needs pyvirtualcam: pip install pyvirtualcam"):
        parse_live_target("camera:")


def test_secrets_are_not_told() -> None:
    assert parse_live_target("rtmp://host/app/secret-key").text == "rtmp://host/app/..."
    assert hide_password("tcp://me:pa/ss@host:5") == "tcp://me:***@host:5"


def test_a_virtual_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    """pyvirtualcam's own calls, held to its documentation: width, height, rate, `send` with RGB."""
    sent: list[np.ndarray] = []

    class Camera:
        def __init__(self, width: int, height: int, fps: float, device: str | None = None) -> None:
            assert (width, height, device) == (*SIZE, "/dev/video9") and fps > 0

        def send(self, picture: np.ndarray) -> None:
            sent.append(picture)

        def close(self) -> None:
            sent.append(np.zeros(0))

    module = ModuleType("pyvirtualcam")
    module.Camera = Camera  # type: ignore[attr-defined]
    module.__spec__ = av.__spec__
    monkeypatch.setitem(sys.modules, "pyvirtualcam", module)
    with VirtualCamera(parse_live_target("camera:/dev/video9"), SIZE) as camera:
        began = time.monotonic()
        camera.write(picture(3, 32, 24), Fraction(0), began + 0.2)
        while not sent:
            time.sleep(0.005)
        assert time.monotonic() - began >= 0.2, "it waits for its moment"
    assert sent[0].shape == (48, 64, 3) and sent[0].dtype == np.uint8 and len(sent) == 2

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("no device")

    module.Camera = refuse  # type: ignore[attr-defined]
    with pytest.raises(VideoError, match="no virtual camera can be opened \\(no device\\): install v4l2loopback"):
        VirtualCamera(parse_live_target("camera:"), SIZE).__enter__()
