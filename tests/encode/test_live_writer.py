"""A live picture written: recordings that are whole however the block ends, streams, and a virtual camera."""

from __future__ import annotations

import socket
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
from stylize import StyleError, VideoError, VideoReader
from stylize.decode.container import open_container
from stylize.encode.live import LiveWriter, VirtualCamera
from stylize.encode.live_target import parse_live_target

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


def test_sound_goes_along(tmp_path: Path) -> None:
    film = make_video(tmp_path / "in.mp4", 10, sound=True)
    with open_container(film) as container, VideoReader(film) as reader:
        sound = tuple(container.streams.audio)
        target = parse_live_target(str(tmp_path / "out.mkv"))
        with LiveWriter(target, reader.info, SIZE, sound=sound) as writer:
            for i in range(10):
                writer.write(picture(i), Fraction(i, 25))
            for packet in container.demux(*sound):
                if packet.size:
                    writer.write_sound(packet)
    assert len(sound_packets(tmp_path / "out.mkv")) == len(sound_packets(film))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ftp://host/x", "cannot be sent to: name one of udp://"), ("http://host/x", "cannot be sent to"),
        ("clip.avi", "cannot write this kind of file"), ("nowhere/clip.mkv", "does not exist"),
        ("camera:", "a virtual camera needs pyvirtualcam: pip install pyvirtualcam"), ("screen:0", "cannot be sent to"),
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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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
        camera.write(picture(3, 32, 24), Fraction(0))
    assert sent[0].shape == (48, 64, 3) and sent[0].dtype == np.uint8 and len(sent) == 2

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("no device")

    module.Camera = refuse  # type: ignore[attr-defined]
    with pytest.raises(VideoError, match="no virtual camera can be opened \\(no device\\): install v4l2loopback"):
        VirtualCamera(parse_live_target("camera:"), SIZE).__enter__()
