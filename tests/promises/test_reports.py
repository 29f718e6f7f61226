"""Healthy but odd videos that people reported elsewhere: read right, or said in one line; nothing is lost unsaid."""

from __future__ import annotations

import io
import struct
import warnings
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from media import frames as oracle_frames
from media import make_video, picture
from mp4_boxes import add_to_entry, box
from oracle import Variant, make, number_of
from stylize import Style, StyleError, VideoError, VideoReader, VideoWriter
from stylize.decode import probe
from stylize.encode import Target, choose_encoding
from stylize.encode.labels import move_timecode
from stylize.errors import VideoWarning
from stylize.networks import Networks
from stylize.runs.identity import identity_of


def read(path: Path, **options: Any) -> tuple[list[np.ndarray], list[str], VideoReader]:
    """All frames, every line that was said, and the reader."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", VideoWarning)
        with VideoReader(path, **options) as reader:
            frames = [frame for clip in reader.clips() for frame in clip.frames]
    return frames, [str(line.message) for line in said], reader


def copy(path: Path, output: Path, **options: Any) -> list[str]:
    """Copies a video through reader and writer; every line that was said."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", VideoWarning)
        with VideoReader(path, **options) as reader:
            start = reader.part[0] if "start" in options else None
            with VideoWriter(output, reader.info, reader.size, start=start) as writer:
                for clip in reader.clips():
                    writer.write(clip)
    return [str(line.message) for line in said]


def shifted(path: Path, output: Path, seconds: Fraction) -> Path:
    """The same packets earlier, as `ffmpeg -ss -c copy` and a phone's trim do."""
    with av.open(str(path)) as source, av.open(str(output), "w") as target:
        copies = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                ticks = round(seconds / packet.time_base)
                packet.pts, packet.dts, packet.stream = (
                    packet.pts - ticks,
                    packet.dts - ticks,
                    copies[packet.stream.index],
                )
                target.mux(packet)
    return output


def photo(index: int, orientation: int | None = None) -> bytes:
    exif, file = Image.Exif(), io.BytesIO()
    exif[271] = "a maker"
    if orientation is not None:
        exif[274] = orientation
    Image.fromarray(picture(index)).save(file, "JPEG", exif=exif)
    return file.getvalue()


@pytest.mark.parametrize("suffix", [".avi", ".mov", ".mkv"])
@pytest.mark.parametrize("orientation", [None, 1, 6])
def test_frames_with_exif(tmp_path: Path, suffix: str, orientation: int | None) -> None:
    path = tmp_path / f"in{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=15)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for i in range(6):
            packet = av.Packet(photo(i, orientation))
            packet.pts = packet.dts = i
            packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, 15), stream, True
            container.mux(packet)
    frames, said, _ = read(path)
    assert len(frames) == 6 and frames[0].shape == ((64, 48, 3) if orientation == 6 else (48, 64, 3))
    assert bool(said) == (orientation == 6)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp", ".bmp"])
def test_a_still_with_exif(tmp_path: Path, suffix: str) -> None:
    path, exif = tmp_path / f"in{suffix}", Image.Exif()
    exif[271], exif[274] = "a maker", 6
    Image.fromarray(picture(0)).save(path, **({} if suffix == ".bmp" else {"exif": exif}))
    frames, _, _ = read(path)
    assert len(frames) == 1 and frames[0].shape == ((48, 64, 3) if suffix == ".bmp" else (64, 48, 3))


def test_a_lossless_trim_is_whole(tmp_path: Path) -> None:
    options = {"crf": "2", "preset": "ultrafast", "g": "10"}
    source = make(tmp_path / "long.mp4", Variant(count=100, sound=("aac",), options=options))
    frames, said, reader = read(shifted(source, tmp_path / "in.mp4", Fraction(133, 100)), strict=True)
    assert said == [] and reader.frame_count == len(frames) == 66
    assert [number_of(frame) for frame in frames] == list(range(34, 100))
    assert VideoReader(tmp_path / "in.mp4").frame_count == 66


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_one_long_still_is_no_gap(tmp_path: Path, suffix: str) -> None:
    times = [*range(20), *range(70, 90)]
    path = make(tmp_path / f"in{suffix}", Variant(suffix=suffix, pts=times, count=len(times)))
    if suffix == ".mkv":  # the muxer gives no durations there: written once more with them
        written, path = path, tmp_path / "with.mkv"
        with av.open(str(written)) as source, av.open(str(path), "w") as target:
            stream = target.add_stream_from_template(source.streams.video[0])
            packets = [p for p in source.demux(video=0) if p.dts is not None]
            ends = sorted(p.pts for p in packets)
            for packet in packets:
                later = [end for end in ends if end > packet.pts]
                packet.duration, packet.stream = (later[0] - packet.pts if later else 40), stream
                target.mux(packet)
    frames, said, _ = read(path, strict=True)
    assert len(frames) == 40 and said == []


def test_a_clock_is_no_rate(tmp_path: Path) -> None:
    """Browsers' recordings: a live webm whose rate is its clock's, and no length."""
    steps = [33, 34, 17, 50, 33, 100, 16, 33, 34, 33, 17, 53]
    times = np.cumsum([0, *(steps * 5)]).tolist()
    path = make_video(
        tmp_path / "in.webm", len(times), codec="libvpx", rate=Fraction(1000), pts=times, time_base=Fraction(1, 1000),
        options={"deadline": "realtime"}, container_options={"live": "1"},
    )  # fmt: skip
    reader = VideoReader(path)
    assert float(reader.info.frame_rate) == pytest.approx(60 / (times[-1] / 1000), rel=0.02)
    assert reader.frame_count == len(times) and float(reader.info.duration or 0) == pytest.approx(2.3, abs=0.1)
    copy(path, tmp_path / "out.mkv")
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert container.streams.video[0].average_rate < 60


def test_three_hundred_frames_a_second_are_a_rate(tmp_path: Path) -> None:
    assert probe(make_video(tmp_path / "in.mp4", 30, rate=Fraction(300))).frame_rate == 300


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
def test_transparency_of_vp8_and_vp9(tmp_path: Path, codec: str) -> None:
    variant = Variant(
        suffix=".webm", codec=codec, pixel_format="yuva420p", count=5, options={"auto-alt-ref": "0", "crf": "4"}
    )
    path = make(tmp_path / "in.webm", variant)
    with VideoReader(path) as reader:
        (clip,) = reader.clips(8)
    assert clip.alpha is not None and abs(int(clip.alpha[0, 40, 20]) - 60) < 4


@pytest.mark.parametrize("transfer", [16, 18])
def test_transparency_of_high_dynamic_range(tmp_path: Path, transfer: int) -> None:
    variant = Variant(
        suffix=".mov", codec="prores_ks", pixel_format="yuva444p10le", count=3, matrix=9, primaries=9,
        transfer=transfer, options={"profile": "4"},
    )  # fmt: skip
    path = make(tmp_path / "in.mov", variant)
    with pytest.warns(VideoWarning, match="high dynamic range"), VideoReader(path) as reader:
        (clip,) = reader.clips(8)
    assert clip.alpha is not None and abs(int(clip.alpha[0, 40, 20]) - 60) < 4 and clip.alpha[0, 40, 100] == 255


def combed(index: int) -> np.ndarray:
    moving = np.full((96, 128, 3), 40, np.uint8)
    moving[::2, 10 + 8 * index : 18 + 8 * index] = 220
    moving[1::2, 14 + 8 * index : 22 + 8 * index] = 220
    return moving


def interlaced(path: Path, first: str) -> Path:
    options = {"flags": "+ildct+ilme", "x264-params": first, "crf": "5"}
    return make_video(path, width=128, height=96, pictures=[combed(i) for i in range(8)], options=options)


@pytest.mark.parametrize("first", ["tff=1", "bff=1"])
def test_interlaced_pictures_are_made_whole(tmp_path: Path, first: str) -> None:
    path = interlaced(tmp_path / "in.mp4", first)
    frames, said, _ = read(path)
    assert len(frames) == 8 and "is interlaced" in said[0]
    kept, unsaid, _ = read(path, fields="keep")
    combs = [np.abs(np.diff(np.stack(some).astype(int), axis=1)).mean() for some in (frames, kept)]
    assert combs[0] < 0.3 * combs[1] and unsaid == []
    assert np.array_equal(np.stack(read(path, start=0.1)[0]), np.stack(frames[3:]))


def test_a_run_goes_on_with_the_same_fields(tiny: Networks, tmp_path: Path) -> None:
    """Frames with and without combs are never joined."""
    path, identities = interlaced(tmp_path / "in.mp4", "tff=1"), []
    for fields in ("deinterlace", "keep"):
        reader = VideoReader(path, fields=fields)
        target = Target(tmp_path / "out.mp4", reader.info, reader.size, choose_encoding("out.mp4", reader.size))
        identities.append(identity_of(tiny, Style(prompt="ink"), reader, target, (None, None)))
    assert {name for name in identities[0] if identities[0][name] != identities[1][name]} >= {"deinterlaced"}


def test_fps_is_for_pictures(tmp_path: Path) -> None:
    with pytest.raises(StyleError, match="--fps is for pictures"):
        VideoReader(make_video(tmp_path / "in.mp4"), fps=Fraction(12))


def test_the_crop_of_the_container(tmp_path: Path) -> None:
    whole = make(tmp_path / "in.mp4", Variant(count=5))
    expected = oracle_frames(whole, accurate=True)[:, 16:80, 16:112]
    path = add_to_entry(whole, "avc1", box("clap", struct.pack(">8I", 96, 1, 64, 1, 0, 1, 0, 1)))
    frames, _, reader = read(path)
    assert reader.size == (96, 64) and np.abs(np.stack(frames).astype(int) - expected).max() <= 3


def test_marks_that_are_lost_are_said(tmp_path: Path) -> None:
    sphere = box("svhd", b"\0\0\0\0x\0") + box("proj", box("prhd", bytes(16)) + box("equi", bytes(20)))
    boxes = box("st3d", b"\0\0\0\0\1"), box("sv3d", sphere)
    path = add_to_entry(make(tmp_path / "in.mp4", Variant(count=5)), "avc1", *boxes)
    (line,) = [line for line in copy(path, tmp_path / "out.mp4") if line.startswith("left out")]
    assert "360-degree" in line and "3-D" in line


def test_two_views_stay_marked_in_matroska(tmp_path: Path) -> None:
    path = tmp_path / "in.mkv"
    with av.open(str(make(tmp_path / "in.mp4", Variant(count=5)))) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        stream.metadata["stereo_mode"] = "left_right"
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    assert copy(path, tmp_path / "out.mkv") == []
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert container.streams.video[0].metadata["stereo_mode"] == "left_right"
    assert any("3-D" in line for line in copy(path, tmp_path / "out.mp4"))


@pytest.mark.parametrize(("profile", "compatible", "refused"), [(5, 0, True), (8, 1, False), (8, 4, False)])
def test_dolby_vision(tmp_path: Path, profile: int, compatible: int, refused: bool) -> None:
    record = bytes([1, 0, profile << 1, 0x35, compatible << 4]) + bytes(19)
    variant = Variant(count=3, codec="libx265", options={"x265-params": "log-level=none"})
    path = add_to_entry(make(tmp_path / "in.mp4", variant), "hev1", box("dvcC" if profile < 8 else "dvvC", record))
    if refused:
        with pytest.raises(VideoError, match="Dolby Vision profile 5"):
            VideoReader(path)
    else:
        assert len(read(path)[0]) == 3


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_closed_captions_are_named(tmp_path: Path, suffix: str) -> None:
    captions = bytes.fromhex("06040eB50031474139340341FFFC94A0FF80")
    path = tmp_path / f"in{suffix}"
    with av.open(str(make(tmp_path / "plain.mp4", Variant(count=5)))) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                new = av.Packet(struct.pack(">I", len(captions)) + captions + bytes(packet))
                new.pts, new.dts, new.duration, new.time_base = (
                    packet.pts,
                    packet.dts,
                    packet.duration,
                    packet.time_base,
                )
                new.is_keyframe, new.stream = packet.is_keyframe, stream
                target.mux(new)
    assert any("closed captions" in line for line in copy(path, tmp_path / "out.mp4"))


def stamped(path: Path, code: str = "01:02:03:04") -> Path:
    with (
        av.open(str(make(path.with_name("plain.mp4"), Variant(count=30)))) as source,
        av.open(str(path), "w") as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        stream.metadata.update({"timecode": code, "language": "fra", "title": "Camera A"})
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_timecode_and_titles_are_kept(tmp_path: Path, suffix: str) -> None:
    path = stamped(tmp_path / "in.mov")
    for start, expected in ((None, "01:02:03:04"), (0.4, "01:02:03:14")):
        output = tmp_path / f"out{start}{suffix}"
        said = copy(path, output, **({} if start is None else {"start": start}))
        assert not any("left out" in line for line in said)
        with av.open(str(output)) as container:
            tags = container.streams.video[0].metadata
        assert {key.lower(): value for key, value in tags.items()}["timecode"] == expected
        assert tags["language"] == "fra"


def test_timecodes_move_on() -> None:
    ntsc = Fraction(30000, 1001)
    assert move_timecode("00:00:59;29", ntsc, 1 / ntsc) == "00:01:00;02"
    assert move_timecode("00:09:59;29", ntsc, 1 / ntsc) == "00:10:00;00"
    assert move_timecode("23:59:59:24", Fraction(25), Fraction(1, 25)) == "00:00:00:00"
    assert move_timecode("01:00:00:00", Fraction(24), Fraction(90)) == "01:01:30:00"


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_tags_of_phones_are_kept_and_a_place_is_said(tmp_path: Path, suffix: str) -> None:
    tags = {
        "com.apple.quicktime.make": "A maker", "com.apple.quicktime.model": "A phone",
        "com.apple.quicktime.creationdate": "2026-05-01T10:00:00+0200",
        "com.apple.quicktime.location.ISO6709": "+52.5200+013.4050/", "title": "Holiday",
    }  # fmt: skip
    options = {"movflags": "use_metadata_tags"}
    path = make(tmp_path / "in.mov", Variant(suffix=".mov", metadata=tags, count=5, container_options=options))
    said = copy(path, tmp_path / f"out{suffix}")
    assert any("where the video was filmed" in line for line in said)
    with av.open(str(tmp_path / f"out{suffix}")) as container:
        kept = {key.lower(): value for key, value in container.metadata.items()}
    assert all(kept.get(key.lower()) == value for key, value in tags.items())


def test_frames_that_an_avi_drops_stay_as_long_as_they_should(tmp_path: Path) -> None:
    """Capture cards write an empty chunk where nothing changed: the frame before is shown for longer."""
    whole, path = make_video(tmp_path / "whole.avi", 12, codec="mpeg4", options={"g": "1", "qscale": "2"}), tmp_path
    path = tmp_path / "dropped.avi"
    content = bytearray(whole.read_bytes())
    start, chunks = content.index(b"movi") + 4, []
    while content[start : start + 4] == b"00dc":
        chunks.append(start)
        start += 8 + (struct.unpack_from("<I", content, start + 4)[0] + 1) // 2 * 2
    assert len(chunks) == 12
    emptied = {4, 5, 9}
    index = content.index(b"idx1")
    for number in sorted(emptied, reverse=True):  # the size in the index, and the chunk without what was in it
        struct.pack_into("<I", content, index + 8 + 16 * number + 12, 0)
    body = b"".join(
        struct.pack("<4sI", b"00dc", 0) if number in emptied else bytes(content[begin:end])
        for number, (begin, end) in enumerate(zip(chunks, [*chunks[1:], start], strict=True))
    )
    shorter = start - chunks[0] - len(body)
    entries = bytearray(content[index : index + 8 + 16 * 12])
    offset = 4
    for number in range(12):
        size = struct.unpack_from("<I", entries, 8 + 16 * number + 12)[0]
        struct.pack_into("<I", entries, 8 + 16 * number + 8, offset)
        offset += 8 + (size + 1) // 2 * 2
    lists = content.index(b"movi") - 4
    struct.pack_into("<I", content, lists, struct.unpack_from("<I", content, lists)[0] - shorter)
    made = bytes(content[: chunks[0]]) + body + bytes(entries)
    path.write_bytes(made[:4] + struct.pack("<I", len(made) - 8) + made[8:])
    frames, said, _ = read(path, strict=True)
    assert not said and len(frames) == 9
    with VideoReader(path) as again:
        durations = [duration for clip in again.clips() for duration in clip.durations]
    assert [25 * duration for duration in durations] == [1, 1, 1, 3, 1, 1, 2, 1, 1]
