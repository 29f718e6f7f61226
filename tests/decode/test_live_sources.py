"""Live sources: addresses, the newest frame only, lost streams, clocks that go on, and the timecode."""

from __future__ import annotations

import functools
import http.server
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media import make_video, picture
from ports import free_port
from stylize import VideoError
from stylize.decode import live, live_feed, live_sound
from stylize.decode.colour import Colour
from stylize.decode.live import LiveReader, _Clock
from stylize.decode.live_address import ALLOWED, STREAMS, parse_live_address
from stylize.decode.live_feed import LivePicture
from stylize.decode.probe import VideoInfo
from stylize.decode.timecode import BITS, draw_timecode, read_timecode

WIDTH, HEIGHT = 64, 48


def info(width: int = WIDTH, height: int = HEIGHT) -> VideoInfo:
    return VideoInfo(
        path=Path("fake"), width=width, height=height, frame_rate=Fraction(25), frame_count_from_header=None,
        duration=None, time_base=Fraction(1, 1000), start=Fraction(0), rotation=0, sample_aspect_ratio=Fraction(1),
        codec="pictures", pixel_format="rgb24", colour=Colour(), untagged_hd=False, bits=8, has_alpha=False,
        has_audio=False,
    )  # fmt: skip


class FakeFeed:
    """Yields what a function yields; counts the conversions."""

    tracks: tuple[Any, ...] = ()

    def __init__(self, make: Callable[[], Iterator[LivePicture]]) -> None:
        self._make, self.closed = make, False

    def pictures(self) -> Iterator[LivePicture]:
        return self._make()

    def close(self) -> None:
        self.closed = True


def shown(number: int, moment: Fraction | None, converted: list[int], size: tuple[int, int] = (WIDTH, HEIGHT)) -> Any:
    def to_rgb() -> np.ndarray:
        converted.append(number)
        return np.full((size[1], size[0], 3), number, np.uint8)

    return LivePicture(moment, to_rgb, info())


@pytest.mark.parametrize(
    ("text", "platform", "device", "url"),
    [
        ("camera:0", "linux", "v4l2", "/dev/video0"), ("camera:/dev/video3", "linux", "v4l2", "/dev/video3"),
        ("camera:1", "darwin", "avfoundation", "1:none"), ("camera:HD", "darwin", "avfoundation", "HD:none"),
        ("camera:HD Webcam", "win32", "dshow", "video=HD Webcam"), ("screen:0", "linux", "x11grab", ":0"),
        ("screen:1", "darwin", "avfoundation", "Capture screen 1:none"), ("screen:0", "win32", "gdigrab", "desktop"),
        ("rtsp://host/stream", "linux", None, "rtsp://host/stream"), ("udp://0.0.0.0:5000", "linux", None, None),
    ],
)  # fmt: skip
def test_addresses(text: str, platform: str, device: str | None, url: str | None) -> None:
    address = parse_live_address(text, platform)
    assert address.format == device and address.url == (url or text) and address.comes_back
    if device is None:
        assert address.options["protocol_whitelist"] == ALLOWED and "file" not in ALLOWED.split(",")


@pytest.mark.parametrize(
    "text",
    ["file:///etc/passwd", "concat:a|b", "clip.mp4", "crypto://x", "subfile:x", "lavfi:x", "", "camera", "rtsp:x"],
)
def test_what_is_not_on_the_list_is_refused(text: str) -> None:
    with pytest.raises(VideoError, match="is not a live source"):
        parse_live_address(text)
    assert "file" not in STREAMS and "concat" not in STREAMS


def test_passwords_are_not_told() -> None:
    assert parse_live_address("rtsp://me:secret@host/s").text == "rtsp://me:***@host/s"
    with pytest.raises(VideoError, match="x://me:\\*\\*\\*@host"):
        parse_live_address("xx://me:secret@host".replace("xx", "abx"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("camera:57", "camera:57: no such file or directory: plug the camera in"),
        ("tcp://127.0.0.1:9", "connection refused: check the address"),
        ("rtsp://127.0.0.1:9/x", "connection refused: check the address"),
        ("loop:nowhere.mp4", "nowhere.mp4: no such file"),
        ("srt://127.0.0.1:9", "protocol is not in PyAV's build"),
    ],
)
def test_a_source_that_is_not_there_is_one_line(text: str, said: str) -> None:
    with pytest.raises(VideoError, match=said) as caught, LiveReader(parse_live_address(text, "linux")):
        pass
    assert "\n" not in str(caught.value)


@given(st.integers(0, 2**40), st.integers(96, 700), st.integers(54, 400))
def test_the_timecode_is_read_at_any_size(milliseconds: int, width: int, height: int) -> None:
    drawn = cv2.resize(draw_timecode(milliseconds), (width, height), interpolation=cv2.INTER_AREA)
    assert read_timecode(drawn) == milliseconds % (1 << BITS)
    drawn = cv2.convertScaleAbs(cv2.GaussianBlur(drawn, (3, 3), 0), alpha=0.7, beta=20)
    assert read_timecode(drawn) in (milliseconds % (1 << BITS), None)
    assert read_timecode(np.full((height, width, 3), 128, np.uint8)) is None


def test_only_the_newest_frame_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow taker gets the newest; older ones are counted, and are not even converted."""
    converted: list[int] = []
    gate = threading.Semaphore(1)

    def pictures() -> Iterator[LivePicture]:
        for i in range(101):
            gate.acquire()
            yield shown(i, Fraction(i, 25), converted)

    monkeypatch.setattr(live, "open_feed", lambda *_: FakeFeed(pictures))
    with LiveReader(parse_live_address("pipe:")) as reader:
        assert (first := reader.take(5.0)) is not None and first.picture.max() == 0
        for _ in range(100):
            gate.release()
        reader._thread.join(5)
        newest = reader.take()
        assert newest is not None and newest.picture.max() == 100 and newest.time == 4
        assert reader.dropped == 99 and converted == [0, 0, 100]  # the first one gives the size, too
        assert reader.take(0.01) is None and reader.has_ended


def test_a_lost_source_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times go on by the real time that passed; pauses double up to their bound; both are told."""
    opened, said, pauses, watched = [0], list[str](), list[float](), threading.Event()

    def pictures() -> Iterator[LivePicture]:
        yield shown(opened[0], Fraction(1000 * opened[0]), [])
        watched.wait(10)
        if opened[0] < 6:
            raise av.ExitError(0, "Immediate exit requested")
        time.sleep(3)

    def open_feed(*_: object) -> FakeFeed:
        opened[0] += 1
        if opened[0] in (2, 3, 4, 5):
            raise VideoError("not there")
        return FakeFeed(pictures)

    monkeypatch.setattr(live, "open_feed", open_feed)
    monkeypatch.setattr(live, "LONGEST_PAUSE", 2.0)
    with LiveReader(parse_live_address("udp://127.0.0.1:5000"), say=said.append) as reader:
        wait = reader._stopping.wait
        monkeypatch.setattr(reader._stopping, "wait", lambda pause: pauses.append(pause) or wait(0.01))
        first = reader.take(5.0)
        watched.set()
        second = reader.take(5.0)
        assert first is not None and second is not None and second.picture.max() == 6
        assert 0 < second.time - first.time < 2, "not the stream's own jump of 5000 seconds"
        assert reader.losses == 1 and pauses[:5] == [0.5, 1.0, 2.0, 2.0, 2.0]
    assert "nothing comes: it is opened again" in said[0] and said[1].endswith("is back")


def test_a_picture_of_another_shape_is_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    def pictures() -> Iterator[LivePicture]:
        yield shown(200, Fraction(0), [])
        time.sleep(0.2)
        yield shown(200, Fraction(1), [], (48, 64))

    monkeypatch.setattr(live, "open_feed", lambda *_: FakeFeed(pictures))
    with LiveReader(parse_live_address("pipe:")) as reader:
        assert (wide := reader.take(5.0)) is not None and wide.picture.min() == 200
        assert (tall := reader.take(5.0)) is not None and tall.picture.shape == (HEIGHT, WIDTH, 3)
        assert tall.picture[:, :13].max() == 0 and tall.picture[:, 20:44].min() == 200


def test_a_failure_while_reading_is_raised_where_frames_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def pictures() -> Iterator[LivePicture]:
        yield shown(1, Fraction(0), [])
        raise RuntimeError("a bug")

    monkeypatch.setattr(live, "open_feed", lambda *_: FakeFeed(pictures))
    with LiveReader(parse_live_address("pipe:")) as reader:
        reader.take(5.0)
        with pytest.raises(RuntimeError, match="a bug"):
            reader.take(5.0)


@given(st.lists(st.tuples(st.fractions(-100, 100), st.floats(0.0, 3.0)), min_size=1, max_size=30))
def test_times_always_rise(steps: list[tuple[Fraction, float]]) -> None:
    """Whatever a stream's clock does: repeat, jump back, jump on."""
    clock, now, last = _Clock(), 0.0, Fraction(-1)
    for moment, passed in steps:
        now += passed
        told = clock.read(moment, now)
        assert told > last
        assert last < 0 or told - last <= max(Fraction(1, 1000), Fraction(passed) + live.JUMP + Fraction(1, 500))
        last = told


def test_a_steady_clock_is_the_streams_own() -> None:
    """However unevenly its frames arrive."""
    clock, arrivals = _Clock(), np.cumsum(np.random.default_rng(0).uniform(0.0, 0.08, 50))
    told = [clock.read(77 + Fraction(i, 25), float(at)) for i, at in enumerate(arrivals)]
    assert told == [Fraction(i, 25) for i in range(50)]


def test_a_file_loops_in_its_own_time(tmp_path: Path) -> None:
    film = make_video(tmp_path / "in.mp4", 10, options={"preset": "medium", "bf": "2", "crf": "12"})
    with LiveReader(parse_live_address(f"loop:{film}")) as reader:
        began, frames = time.monotonic(), []
        while len(frames) < 27 and time.monotonic() - began < 10:
            if (frame := reader.take()) is not None:
                frames.append(frame)
        took = time.monotonic() - began
    assert took > 0.7, "25 frames at 25 a second"
    assert all(a.time < b.time for a, b in itertools.pairwise(frames))
    assert np.abs(frames[0].picture.astype(int) - picture(0)).mean() < 4
    assert not reader._thread.is_alive()
    # each round shows all pictures, the last ones, which decoders hold back, too
    nearest = [int(np.argmin([np.abs(f.picture.astype(int) - picture(i)).mean() for i in range(10)])) for f in frames]
    assert set(range(10)) - set(nearest[10:]) == set() or reader.dropped > 0
    assert nearest[:10] == list(range(10)) or reader.dropped > 0


def test_sound_keeps_to_the_frames() -> None:
    clock = _Clock()
    assert clock.place(Fraction(5)) is None, "nothing is known before the first frame"
    clock.start = Fraction(100)
    assert clock.read(Fraction(0), 10.0) == 0 and clock.place(Fraction(101)) == 1
    assert clock.place(Fraction(300)) is None, "its clock jumped"
    clock.begin_anew()
    assert clock.place(Fraction(101)) is None
    clock.start = Fraction(7)
    assert clock.read(Fraction(0), 12.5) == 2.5 and clock.place(Fraction(8)) == Fraction(7, 2)


def test_sound_that_nobody_knows_moves_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two tracks the first cannot be described: packets of the second are still the second's."""
    with av.open(str(tmp_path / "two.mkv"), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"tune": "zerolatency"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        voices = [container.add_stream(codec, rate=48000, layout="mono") for codec in ("pcm_s16le", "aac")]
        for i in range(5):
            frame = av.VideoFrame.from_ndarray(picture(i), format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = i, Fraction(1, 25)
            container.mux(video.encode(frame))
            for voice, format in zip(voices, ("s16", "fltp"), strict=True):
                kind = np.int16 if format == "s16" else np.float32
                samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), kind), format=format, layout="mono")
                samples.sample_rate, samples.pts, samples.time_base = 48000, i * 1024, Fraction(1, 48000)
                container.mux(voice.encode(samples))
        for stream in (video, *voices):
            container.mux(stream.encode(None))

    class Picky(live_sound.SoundTrack):
        def __init__(self, stream: Any) -> None:
            if stream.codec_context.name == "pcm_s16le":
                raise ValueError("nobody knows it")
            super().__init__(stream)

    monkeypatch.setattr(live_sound, "SoundTrack", Picky)
    with (tmp_path / "two.mkv").open("rb", buffering=0) as file:
        feed = live_feed.open_feed(parse_live_address("pipe:"), file)
        packets = [one for one in feed.pictures() if isinstance(one, live_sound.SoundPacket)]
        feed.close()
    assert [track.codec for track in feed.tracks] == ["aac"]
    assert packets and {packet.track for packet in packets} == {0} and max(len(p.content) for p in packets) < 1000


def test_what_is_piped_in_is_asked_for() -> None:
    with pytest.raises(VideoError, match="nothing is piped in"), LiveReader(parse_live_address("pipe:")):
        pass


@pytest.mark.slow
def test_a_real_stream_goes_and_comes_back() -> None:
    """MPEG-TS by UDP; the sender stops, and another one with another size begins."""
    port, said = free_port(socket.SOCK_DGRAM), list[str]()

    def send(size: tuple[int, int], seconds: float) -> None:
        with av.open(f"udp://127.0.0.1:{port}?pkt_size=1316", "w", format="mpegts") as container:
            options = {"preset": "ultrafast", "tune": "zerolatency", "g": "12"}
            stream = container.add_stream("libx264", rate=25, options=options)
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            for i in range(int(25 * seconds)):
                frame = av.VideoFrame.from_ndarray(picture(i, *size), format="rgb24").reformat(format="yuv420p")
                frame.pts, frame.time_base = i, Fraction(1, 25)
                container.mux(stream.encode(frame))
                time.sleep(0.04)

    sender = threading.Thread(target=send, args=((128, 96), 4))
    sender.start()
    with LiveReader(parse_live_address(f"udp://127.0.0.1:{port}"), say=said.append) as reader:
        assert reader.source_size == (128, 96)
        sender.join()
        while reader.take(0.5) is not None:
            pass
        time.sleep(live_feed.READ_SECONDS + 0.5)  # as long as nothing may come
        assert reader.losses == 1
        sender = threading.Thread(target=send, args=((96, 128), 8))
        sender.start()
        is_fitted, deadline = False, time.monotonic() + 30
        while not is_fitted and time.monotonic() < deadline:  # the decoder's last picture of the old one comes first
            frame = reader.take(0.5)
            is_fitted = frame is not None and frame.picture[:, :20].max() == 0
        assert is_fitted and frame is not None and frame.picture.shape == (96, 128, 3)
    sender.join()
    assert len(said) >= 2 and said[-1].endswith("is back")


def test_a_stream_may_not_lead_to_files(tmp_path: Path) -> None:
    """A list of parts: those of the same server are read, to their first keyframe; a file of this machine is not."""
    make_video(tmp_path / "part.ts", 10, options={"tune": "zerolatency"})
    for name, part in (("good", "part.ts"), ("evil", f"file://{tmp_path}/part.ts")):
        lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:1", "#EXTINF:0.4,", part, "#EXT-X-ENDLIST", ""]
        (tmp_path / f"{name}.m3u8").write_text("\n".join(lines))
    handler = functools.partial(QuietHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        with LiveReader(parse_live_address(f"{address}/good.m3u8")) as reader:
            assert reader.source_size == (64, 48)
        with pytest.raises(VideoError), LiveReader(parse_live_address(f"{address}/evil.m3u8")):
            pass
        server.shutdown()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass
