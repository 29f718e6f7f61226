"""Sound, subtitles and the rest of a file: what a container holds is copied, the rest converted, and that is said."""

from __future__ import annotations

import itertools
import warnings
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from media import frame_times, make_video, picture
from oracle import Variant, make
from stylize import VideoReader, VideoWriter
from stylize.decode.times import continuous
from stylize.encode import choose_encoding
from stylize.errors import VideoWarning


def tone(seconds: float, rate: int, channels: int, begin: float = 0.0) -> np.ndarray:
    """A tone that rises, so that a moment of it tells its time. float32 `[C, N]`."""
    times = begin + np.arange(round(seconds * rate)) / rate
    return np.repeat(0.4 * np.sin(2 * np.pi * (200 + 300 * times) * times).astype(np.float32)[None], channels, 0)


def lag(samples: np.ndarray, rate: int, begin: float) -> float:
    """Seconds by which the samples come later than those that `tone` begins with at `begin`."""
    length = min(samples.shape[1], rate // 2)
    wanted = tone(length / rate, rate, 1, begin)[0]
    spectrum = np.fft.rfft(samples[0, :length], 2 * length) * np.fft.rfft(wanted, 2 * length).conj()
    best = int(np.fft.irfft(spectrum).argmax())
    return (best if best < length else best - 2 * length) / rate


def sing(container: Any, voice: Any, sound: np.ndarray, begin: float = 0.0, size: int = 1024) -> None:
    """Encodes the sound in pieces of `size` samples, from `begin` seconds on."""
    rate, layout = voice.codec_context.sample_rate, voice.codec_context.layout.name
    size = voice.codec_context.frame_size or size
    for at in range(0, sound.shape[1], size):
        piece = np.ascontiguousarray(sound[:, at : at + size].T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(piece, format="flt", layout=layout)
        frame.rate, frame.time_base, frame.pts = rate, Fraction(1, rate), round(begin * rate) + at
        wanted = voice.codec_context.format.name
        for same in av.AudioResampler(format=wanted, layout=layout, rate=rate).resample(frame):
            container.mux(voice.encode(same))
    container.mux(voice.encode(None))


def with_sound(
    path: Path, codec: str, layout: str = "stereo", rate: int = 48000, *, count: int = 25, size: int = 1024
) -> Path:
    """A video of a second or so, with one sound track."""
    with av.open(str(path), "w") as container:
        film = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        film.width, film.height, film.pix_fmt = 64, 48, "yuv420p"
        voice = container.add_stream(codec, rate=rate, layout=layout)
        for i in range(count):
            container.mux(film.encode(av.VideoFrame.from_ndarray(picture(i), format="rgb24")))
        container.mux(film.encode(None))
        sing(container, voice, tone(count / 25, rate, voice.codec_context.layout.nb_channels), size=size)
    return path


def copied(source: Path, output: Path, *, start: float | None = None, end: float | None = None, codec: str | None = None
           ) -> list[str]:  # fmt: skip
    """Reads and writes a video, and returns what was said."""
    told: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VideoWarning)
        with VideoReader(source, start=start, end=end) as reader:
            part = (None, None) if start is None and end is None else reader.part
            encoding = choose_encoding(
                output, reader.size, codec=codec, alpha=reader.info.has_alpha, preset="ultrafast"
            )
            with VideoWriter(
                output, reader.info, reader.size, encoding=encoding, start=part[0], end=part[1], say=told.append
            ) as writer:
                for clip in reader.clips():
                    writer.write(clip)
    assert [path.name for path in output.parent.iterdir() if "unfinished" in path.name] == []
    return told


def heard(path: Path, track: int = 0) -> tuple[Fraction, np.ndarray, int]:
    """When a track begins, its samples as float `[C, N]`, and their rate."""
    with av.open(str(path)) as container:
        frames = list(container.decode(container.streams.audio[track]))
    pieces = []
    for frame in frames:
        samples = frame.to_ndarray()
        if not frame.format.is_planar:
            samples = samples.reshape(-1, frame.layout.nb_channels).T
        scale = np.iinfo(samples.dtype).max if samples.dtype.kind == "i" else 1
        pieces.append(samples.astype(np.float64) / scale)
    return frames[0].pts * frames[0].time_base, np.concatenate(pieces, 1), frames[0].rate


@pytest.mark.parametrize(
    ("suffix", "codec", "layout", "rate", "output", "becomes"),
    [
        (".mkv", "pcm_s16le", "stereo", 48000, ".mp4", "aac"),  # mkv does not say which channel is which
        (".avi", "pcm_s16le", "stereo", 48000, ".mp4", "aac"),
        (".mkv", "pcm_s16le", "5.1", 48000, ".mp4", "aac"),
        (".mkv", "pcm_s24le", "stereo", 192000, ".mp4", "aac"),
        (".mkv", "pcm_s16le", "22.2", 48000, ".mp4", "aac, in stereo"),
        (".mkv", "pcm_s16le", "22.2", 48000, ".webm", "opus, in stereo"),
        (".mkv", "flac", "stereo", 96000, ".mov", "aac"),
        (".mkv", "libopus", "5.1", 48000, ".mov", "aac"),
        (".mkv", "ac3", "5.1(side)", 48000, ".webm", "opus"),
        (".mov", "alac", "stereo", 44100, ".webm", "opus"),
    ],
)
def test_sound_that_does_not_fit_is_converted(
    suffix: str, codec: str, layout: str, rate: int, output: str, becomes: str, tmp_path: Path
) -> None:
    source = with_sound(tmp_path / f"in{suffix}", codec, layout, rate)
    out = tmp_path / f"out{output}"
    (line,) = copied(source, out, codec="h264" if output == ".mov" else None)
    assert line.startswith(f"{output} cannot hold {codec.removeprefix('lib')} sound as it is: it becomes {becomes}")
    begin, samples, _ = heard(out)
    assert abs(begin) < 0.03 and abs(samples.shape[1] / heard(out)[2] - 1) < 0.05
    channels = 2 if "stereo" in becomes else heard(source)[1].shape[0]
    assert samples.shape[0] == channels
    assert abs(lag(samples, heard(out)[2], 0)) < 0.003


@pytest.mark.parametrize(
    ("suffix", "codec", "size"),
    [
        (".mkv", "pcm_s16le", 48000),
        (".mov", "pcm_s16le", 48000),
        (".avi", "pcm_s16le", 48000),
        (".mkv", "pcm_s24le", 4000),
        (".mov", "pcm_s24le", 4000),
        (".avi", "pcm_s24le", 4000),
        (".mkv", "flac", 4096),
        (".mkv", "alac", 4096),
        (".mov", "alac", 4096),
    ],
)
def test_a_cut_goes_through_lossless_sound_to_the_sample(suffix: str, codec: str, size: int, tmp_path: Path) -> None:
    source = with_sound(tmp_path / f"in{suffix}", codec, count=60, size=size)
    out = tmp_path / "out.mkv"
    assert copied(source, out, start=0.52, end=1.6) == []  # the codec stays
    begin, samples, rate = heard(out)
    cut, (_, whole, _) = round((0.52 + float(first_time(source))) * rate), heard(source)
    assert begin == 0
    length, around = round(1.08 * rate), 48 if suffix == ".mkv" else 0  # its times are whole milliseconds
    assert samples.shape[1] == length
    assert any(np.array_equal(samples, whole[:, at : at + length]) for at in range(cut - around, cut + around + 1))


def first_time(path: Path) -> Fraction:
    return frame_times(path)[0] if path.suffix == ".avi" else Fraction(0)


def test_a_cut_through_sound_that_is_converted(tmp_path: Path) -> None:
    source = with_sound(tmp_path / "in.mkv", "flac", count=60)
    copied(source, tmp_path / "out.webm", start=0.52, end=1.6)
    begin, samples, rate = heard(tmp_path / "out.webm")
    assert begin == 0 and abs(samples.shape[1] / rate - 1.08) < 0.001
    assert abs(lag(samples, rate, 0.52)) < 0.003
    assert abs(lag(samples[:, rate // 2 :], rate, 1.02)) < 0.003


def test_a_cut_between_the_ticks_of_the_clock(tmp_path: Path) -> None:
    """A clock of 25 ticks a second cannot say half a frame: two frames must not fall on one tick."""
    source = make_video(tmp_path / "in.avi", 40, codec="mpeg4", options={"qscale": "2"})
    copied(source, tmp_path / "out.mov", start=0.5, end=1.3, codec="h264")
    times = frame_times(tmp_path / "out.mov")
    assert times == [Fraction(1, 50) + Fraction(i, 25) for i in range(20)]


def recording(path: Path, layouts: tuple[str, ...], overlap: float = 0.0, origin: float = 0.0) -> Path:
    """A broadcast: one programme of a second after the other, each with its own layout of sound, that begins early."""
    with path.open("wb") as file:
        for k, layout in enumerate(layouts):
            programme = path.with_name("programme.ts")
            with av.open(str(programme), "w") as container:
                film = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
                film.width, film.height, film.pix_fmt = 64, 48, "yuv420p"
                film.time_base = film.codec_context.time_base = Fraction(1, 90000)
                voice = container.add_stream("ac3", rate=48000, layout=layout)
                for i in range(25):
                    frame = av.VideoFrame.from_ndarray(picture(25 * k + i), format="rgb24")
                    frame.time_base, frame.pts = Fraction(1, 90000), round((origin + k) * 90000) + 3600 * i
                    container.mux(film.encode(frame))
                container.mux(film.encode(None))
                sound = tone(1, 48000, voice.codec_context.layout.nb_channels, begin=float(k))
                sing(container, voice, sound, begin=origin + k * (1 - overlap))
            file.write(programme.read_bytes())
            programme.unlink()
    return path


@pytest.mark.parametrize("output", [".webm", ".mp4", ".mkv"])
@pytest.mark.parametrize("layouts", [("stereo", "5.1(side)", "stereo"), ("stereo", "stereo", "stereo")])
def test_recordings_that_change_their_sound_or_step_back(output: str, layouts: tuple[str, ...], tmp_path: Path) -> None:
    source = recording(tmp_path / "in.ts", layouts, overlap=0.15)
    out = tmp_path / f"out{output}"
    told = copied(source, out, codec=None if output == ".webm" else "h264")
    assert told == ([".webm cannot hold ac3 sound as it is: it becomes opus"] if output == ".webm" else [])
    with av.open(str(source)) as one, av.open(str(out)) as two:
        before, after = ([bytes(p) for p in c.demux(c.streams.audio[0]) if p.size] for c in (one, two))
    if output == ".webm":
        _, samples, rate = heard(out)
        assert samples.shape[0] == 2 and abs(samples.shape[1] / rate - 2.7) < 0.1
    else:
        assert after == before  # every packet


@pytest.mark.parametrize("origin", [4 * 3600.0, 0.0])
@pytest.mark.parametrize("output", [".mp4", ".mkv"])
def test_a_broadcasts_clock_is_no_late_start(origin: float, output: str, tmp_path: Path) -> None:
    source, out = recording(tmp_path / "in.ts", ("stereo",), origin=origin), tmp_path / f"out{output}"
    assert copied(source, out, codec="h264") == []
    before, after = frame_times(source), frame_times(out)
    with av.open(str(source)) as container:
        earliest = Fraction(container.start_time, av.time_base)
        sound = min(p.pts * p.time_base for p in container.demux(container.streams.audio[0]) if p.size)
    assert all(abs(b - earliest - a) < 0.002 for b, a in zip(before, after, strict=True))
    assert abs(heard(out)[0] - (sound - earliest)) < 0.002
    with av.open(str(out)) as container:
        assert container.duration is not None and container.duration / av.time_base < 1.5
    copied(source, tmp_path / f"cut{output}", start=0.4, codec="h264")
    assert frame_times(tmp_path / f"cut{output}")[0] == 0 and len(frame_times(tmp_path / f"cut{output}")) == 15


@pytest.mark.parametrize("output", [".mp4", ".mkv", ".webm"])
@pytest.mark.parametrize("clocks", [(0.0, 0.0, 0.0), (0.0, 9 * 3600.0, 0.5), (7200.0, 3.0, 50000.0)])
def test_recordings_joined_by_hand(clocks: tuple[float, ...], output: str, tmp_path: Path) -> None:
    """`cat a.ts b.ts c.ts`: each has a clock of its own, the result runs on."""
    source, out = tmp_path / "in.ts", tmp_path / f"out{output}"
    pieces = [recording(tmp_path / f"{k}.ts", ("stereo",), origin=clock) for k, clock in enumerate(clocks)]
    source.write_bytes(b"".join(piece.read_bytes() for piece in pieces))
    copied(source, out, codec=None if output == ".webm" else "h264")
    times = frame_times(out)
    assert len(times) == 75
    assert all(abs(b - a - Fraction(1, 25)) < 0.03 for a, b in itertools.pairwise(times))
    begin, samples, rate = heard(out)
    assert abs(begin - times[0]) < 0.1 and abs(samples.shape[1] / rate - 3) < 0.15
    with av.open(str(out)) as container:
        assert container.duration is not None and abs(container.duration / av.time_base - 3) < 0.15
    copied(source, tmp_path / f"cut{output}", start=1.4, end=2.4, codec=None if output == ".webm" else "h264")
    assert len(frame_times(tmp_path / f"cut{output}")) in (24, 25)  # a joint may lie in it, at which sound runs longer


def test_sound_that_begins_behind_a_joint_stands_beside_the_pictures(tmp_path: Path) -> None:
    silent = tmp_path / "silent.ts"
    with av.open(str(recording(tmp_path / "a.ts", ("stereo",), origin=1000))) as one, av.open(str(silent), "w") as two:
        film = two.add_stream_from_template(one.streams.video[0])
        for packet in one.demux(one.streams.video[0]):
            if packet.size:
                packet.stream = film
                two.mux(packet)
    second = recording(tmp_path / "b.ts", ("stereo",), origin=50)
    source = tmp_path / "in.ts"
    source.write_bytes(silent.read_bytes() + second.read_bytes())
    times: dict[str, list[Fraction]] = {"video": [], "audio": []}
    with av.open(str(source)) as container:
        for packet in continuous(source, container.demux()):
            if packet.size:
                times[packet.stream.type].append(packet.pts * packet.time_base)
    assert all(abs(b - a - Fraction(1, 25)) < 0.03 for a, b in itertools.pairwise(times["video"]))
    assert len(times["video"]) == 50 and abs(times["audio"][0] - times["video"][25]) < 0.2


def full(path: Path) -> Path:
    """Two videos, the second of which is the one to show, two named languages, a forced subtitle, a font."""
    (path.parent / "words.srt").write_text(
        "1\n00:00:00,100 --> 00:00:00,900\nEarly\n\n2\n00:00:01,000 --> 00:00:01,900\nLate\n\n"
    )
    with av.open(str(path), "w") as container, av.open(str(path.parent / "words.srt")) as words:
        films = []
        for _ in range(2):
            film = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
            film.width, film.height, film.pix_fmt = 64, 48, "yuv420p"
            films.append(film)
        films[0].disposition, films[1].disposition = 0, 1
        voices = [container.add_stream("aac", rate=48000, layout="stereo") for _ in range(2)]
        for voice, language, title, purpose in zip(voices, ("deu", "fra"), ("Film", "Commentary"), (1, 8), strict=True):
            voice.metadata.update(language=language, title=title)
            voice.disposition = purpose
        text = container.add_stream_from_template(words.streams[0])
        text.metadata["language"], text.disposition = "eng", 64
        container.add_attachment("font.ttf", "application/x-truetype-font", b"not really a font")
        container.metadata["SHOW"] = "The series"
        for film, turn in zip(films, (1, -1), strict=True):
            for i in range(50):
                container.mux(film.encode(av.VideoFrame.from_ndarray(picture(i)[::turn].copy(), format="rgb24")))
            container.mux(film.encode(None))
        for voice in voices:
            sing(container, voice, tone(2, 48000, 2))
        for packet in words.demux():
            if packet.size:
                packet.stream = text
                container.mux(packet)
    return path


@pytest.mark.parametrize("output", [".mkv", ".mp4", ".webm"])
def test_names_purposes_and_attachments(output: str, tmp_path: Path) -> None:
    source, out = full(tmp_path / "in.mkv"), tmp_path / f"out{output}"
    told = copied(source, out, codec="h264" if output != ".webm" else None)
    lost = "another video" if output == ".mkv" else "another video, the file font.ttf"
    assert f"left out: {lost}" in told
    with av.open(str(out)) as container:
        assert [s.metadata["language"] for s in container.streams.audio] == ["deu", "fra"]
        if output == ".mkv":
            assert [s.metadata["title"] for s in container.streams.audio] == ["Film", "Commentary"]
            assert [int(s.disposition) for s in container.streams.audio] == [1, 8]
            assert int(container.streams.subtitles[0].disposition) & 64
            assert container.streams.attachments[0].data == b"not really a font"
            assert container.metadata["SHOW"] == "The series"
        shown = next(container.decode(video=0)).to_ndarray(format="rgb24")
    square = picture(0)[::-1].astype(float)
    assert np.abs(shown - square).mean() < np.abs(shown - square[::-1]).mean()  # the one that players show


def test_a_subtitle_on_screen_at_a_cut_is_shown_in_part(tmp_path: Path) -> None:
    copied(full(tmp_path / "in.mkv"), tmp_path / "out.mkv", start=0.5, end=1.5)
    with av.open(str(tmp_path / "out.mkv")) as container:
        base = container.streams.subtitles[0].time_base
        shown = [
            (float(p.pts * base), float(p.duration * base), bytes(p))
            for p in container.demux(container.streams.subtitles[0]) if p.size
        ]  # fmt: skip
    assert shown == [(0.0, 0.4, b"Early"), (0.5, 0.5, b"Late")]


def test_a_cover_picture_is_no_video(tmp_path: Path) -> None:
    def covered(path: Path, film: Path | None) -> Path:
        with av.open(str(path), "w") as container:
            first = av.open(str(film)) if film is not None else None
            stream = container.add_stream_from_template(first.streams.video[0]) if first is not None else None
            voice = container.add_stream("aac", rate=48000, layout="mono")
            cover = container.add_stream("mjpeg", rate=1)
            cover.width, cover.height, cover.pix_fmt, cover.disposition = 32, 32, "yuvj420p", 1024
            container.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")))
            container.mux(cover.encode(None))
            for packet in first.demux(first.streams.video[0]) if first is not None else ():
                if packet.size:
                    packet.stream = stream
                    container.mux(packet)
            sing(container, voice, tone(1, 48000, 1))
            if first is not None:
                first.close()
        return path

    with pytest.raises(Exception, match="has no video stream"):
        VideoReader(covered(tmp_path / "song.mp4", None))
    film = covered(tmp_path / "film.mp4", make(tmp_path / "plain.mp4", Variant()))
    assert copied(film, tmp_path / "out.mp4") == ["left out: a cover picture"]
    assert len(frame_times(tmp_path / "out.mp4")) == 10


@pytest.mark.parametrize("codec", ["h264", "h265", "vp9"])
def test_mkv_says_the_frame_rate(codec: str, tmp_path: Path) -> None:
    copied(make(tmp_path / "in.mp4", Variant(base=Fraction(1, 12800), pts=[512 * i for i in range(10)])),
           tmp_path / "out.mkv", codec=codec)  # fmt: skip
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert container.streams.video[0].average_rate == 25
    assert VideoReader(tmp_path / "out.mkv").info.frame_rate == 25


def test_sound_that_fails_in_the_end_does_not_lose_the_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A damaged track may pass every trial and still not be written: the pictures are not lost for that."""
    source = with_sound(tmp_path / "in.mkv", "pcm_s16le")
    monkeypatch.setattr("stylize.encode.tracks.Tracks._holds", lambda *_: True)
    (line,) = copied(source, tmp_path / "out.mp4")
    assert line.endswith("(Invalid argument): once more, with the sound converted")
    assert len(frame_times(tmp_path / "out.mp4")) == 25 and abs(lag(*heard(tmp_path / "out.mp4")[1:], 0)) < 0.003

    def broken(tracks: Any) -> Any:
        if tracks._others == "dropped":
            return iter(())
        raise av.InvalidDataError(1094995529, "Invalid data")

    monkeypatch.setattr("stylize.encode.tracks.Tracks.packets", broken)
    told = copied(source, tmp_path / "alone.mp4")
    ways = ["once more, with the sound converted", "once more, with the pictures alone"]
    assert [line.rpartition(": ")[2] for line in told] == ways
    assert len(frame_times(tmp_path / "alone.mp4")) == 25
