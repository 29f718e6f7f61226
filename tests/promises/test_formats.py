"""Every kind of video through the whole command, with a restyler that changes nothing: what went in comes out."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from media import sound_packets
from oracle import Variant, frame_of, make, matte, number_of, patches_of, pattern, read
from stylize import Clip, Stylizer
from stylize.cli import app
from stylize.frames import Image as Floats
from stylize.frames import StructureMaps, to_floats
from stylize.networks import Networks
from stylize.restyle import Conditions, ImageRestyler, Memory

VARIABLE = [0, 900, 2100, 2400, 5000, 5700, 6100, 9000, 9900, 12000]
LOSSLESS_VP9 = {"lossless": "1", "deadline": "realtime", "cpu-used": "8"}
TEN_BIT = {"crf": "4", "preset": "ultrafast", "x265-params": "log-level=error"}
VARIANTS: dict[str, Variant] = {
    "h264": Variant(),
    "h264 BT.601": Variant(matrix=6, primaries=6, transfer=6),
    "h264 PAL": Variant(matrix=5, primaries=5, transfer=6, size=(128, 96)),
    "h264 full range": Variant(full_range=True),
    "h264 BT.2020 matrix": Variant(matrix=9, primaries=9, transfer=14),
    "h264 untagged": Variant(tagged=False, matrix=6),
    "h264 untagged HD": Variant(tagged=False, matrix=1, size=(1280, 720), count=3),
    "h264 B-frames": Variant(count=80, options={"crf": "2", "preset": "fast", "bf": "3", "g": "25"}),
    "NTSC": Variant(rate=Fraction(30000, 1001), sound=("aac",)),
    "film": Variant(rate=Fraction(24000, 1001)),
    "fast": Variant(rate=Fraction(120)),
    "variable rate": Variant(base=Fraction(1, 90000), pts=VARIABLE, sound=("aac",)),
    "variable rate mkv": Variant(suffix=".mkv", base=Fraction(1, 1000), pts=[p // 10 for p in VARIABLE]),
    "late start": Variant(pts=[25 + i for i in range(10)]),
    "sound": Variant(sound=("aac",)),
    "two sounds": Variant(sound=("aac", "aac"), count=25),
    "ALAC sound": Variant(sound=("alac",), suffix=".mov"),
    "odd size": Variant(size=(121, 93), pixel_format="yuv444p"),
    "4:2:2": Variant(pixel_format="yuv422p"),
    "one frame": Variant(count=1),
    "anamorphic": Variant(aspect=Fraction(4, 3)),
    "rotated 90": Variant(rotation=90),
    "rotated 180": Variant(rotation=180),
    "rotated 270": Variant(rotation=-90),
    "mkv": Variant(suffix=".mkv", sound=("flac",)),
    "MPEG-TS": Variant(suffix=".ts", sound=("aac",), base=Fraction(1, 90000), pts=[3600 * i for i in range(10)]),
    "avi": Variant(
        suffix=".avi", codec="mpeg4", options={"qscale": "1"}, matrix=6, tagged=False, sound=("libmp3lame",)
    ),
    "hevc": Variant(codec="libx265", options=TEN_BIT),
    "hevc 10 bit": Variant(codec="libx265", pixel_format="yuv420p10le", options=TEN_BIT),
    "vp9": Variant(suffix=".webm", codec="libvpx-vp9", options=LOSSLESS_VP9, sound=("libopus",)),
    "av1": Variant(codec="libsvtav1", options={"crf": "5", "preset": "10"}, size=(256, 192)),
    "ProRes 422": Variant(suffix=".mov", codec="prores_ks", pixel_format="yuv422p10le", options={"profile": "3"}),
    "FFV1": Variant(suffix=".mkv", codec="ffv1", options={"level": "3"}, sound=("pcm_s16le",)),
    "ProRes 4444 with a matte": Variant(
        suffix=".mov", codec="prores_ks", pixel_format="yuva444p10le", options={"profile": "4"}
    ),
    "vp9 with a matte": Variant(
        suffix=".webm", codec="libvpx-vp9", pixel_format="yuva420p", options={"crf": "2", "b": "0"}
    ),
}  # fmt: skip
LOOSE = {"av1", "avi"}
"""Encoders that are not exact on flat patches here, at any setting."""


class Identity(ImageRestyler):
    """Restyles nothing."""

    def restyle(
        self, start: Clip, maps: StructureMaps, memory: Memory, conditions: Conditions
    ) -> tuple[Sequence[Floats], Memory]:
        return [to_floats(picture) for picture in start.frames], memory


@pytest.fixture(autouse=True)
def identity(tiny: Networks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stylize.runs.convert.make_restyler", Identity)
    monkeypatch.setattr("stylize.runs.stylizer.load_stylizer", lambda *_, **__: Stylizer(tiny))


def run(source: Path | str, output: Path, *more: str) -> str:
    arguments = ["run", str(source), "-o", str(output), "--prompt", "nothing", "--temporal", "0", *more]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def payloads(path: Path) -> list[bytes]:
    """Every sound packet's bytes; MPEG-TS puts a header of its own before each (ADTS)."""
    with av.open(str(path)) as container:
        packets = [bytes(p) for p in container.demux(container.streams.audio) if p.size]
    return [p[7:] if p[:1] == b"\xff" and p[1] & 0xF0 == 0xF0 and path.suffix == ".ts" else p for p in packets]


def upright(picture: np.ndarray, rotation: int) -> np.ndarray:
    """The oracle's picture as a player shows it."""
    return np.rot90(picture, rotation // 90)


@pytest.mark.parametrize("name", VARIANTS)
def test_what_goes_in_comes_out(name: str, tmp_path: Path) -> None:
    variant = VARIANTS[name]
    source = make(tmp_path / f"in{variant.suffix}", variant)
    output = tmp_path / ("out.mov" if variant.alpha else "out.mp4")
    told = run(source, output, *([] if variant.alpha else ["--crf", "4"]))
    before, after = read(source), read(output)
    assert len(after.pictures) == variant.count
    assert after.times == before.times
    # a matte that moves, and colours that are those of the pattern
    expected = [upright(pattern(i, variant.size), variant.rotation) for i in range(variant.count)]
    assert after.pictures[0].shape == expected[0].shape
    straight = [upright(picture, -variant.rotation) for picture in after.pictures]
    assert [number_of(picture) for picture in straight] == list(range(variant.count))
    error = np.abs(patches_of(straight[0]) - patches_of(pattern(0, variant.size))).mean()
    assert error <= (2.0 if name in LOOSE else 1.0)
    if variant.tagged:
        tags = (variant.matrix, variant.primaries, variant.transfer, variant.full_range)
        assert (after.matrix, after.primaries, after.transfer, after.full_range) == tags
    else:
        usual = 1 if variant.size[1] >= 720 else 6
        assert (after.matrix, after.primaries, after.full_range) == (usual, usual, False)
    aspect = 1 / variant.aspect if variant.rotation in (90, -90) else variant.aspect
    assert after.aspect == aspect
    if variant.sound and "becomes" not in told:
        assert payloads(output) == payloads(source) != []
    if variant.alpha:
        for i, opacity in enumerate(after.mattes):
            assert np.abs(opacity - matte(i, variant.size)).mean() < 1.5
        assert len(after.mattes) == variant.count


OUTPUTS = {
    "out.mp4": ("h264", []), "h265.mp4": ("hevc", ["--codec", "h265"]), "av1.mp4": ("libdav1d", ["--codec", "av1"]),
    "out.mov": ("prores", []), "h264.mov": ("h264", ["--codec", "h264"]), "out.mkv": ("ffv1", []),
    "vp9.mkv": ("vp9", ["--codec", "vp9"]), "out.webm": ("vp9", []),
}  # fmt: skip


@pytest.mark.parametrize("name", OUTPUTS)
def test_every_kind_of_output(name: str, tmp_path: Path) -> None:
    codec, options = OUTPUTS[name]
    variant = Variant(sound=("aac",), size=(256, 192), count=70, metadata={"title": "A film"})
    source = make(tmp_path / "in.mp4", variant)
    told = run(source, tmp_path / name, *options)
    after = read(tmp_path / name)
    assert after.codec == codec or (codec == "libdav1d" and after.codec in ("av1", "libdav1d"))
    assert [number_of(picture) for picture in after.pictures] == list(range(70))
    error = np.abs(patches_of(after.pictures[0]) - patches_of(read(source).pictures[0])).mean()
    assert error < (2.0 if codec == "libdav1d" else 1.3)
    shifts = [b - a for a, b in zip(read(source).times, after.times, strict=True)]
    assert max(shifts) - min(shifts) <= Fraction(1, 1000)
    assert after.metadata.get("title", after.metadata.get("TITLE")) == "A film"
    assert len(sound_packets(tmp_path / name)) > 0
    assert ("becomes opus" in told) == name.endswith(".webm")
    with av.open(str(tmp_path / name)) as container:
        assert name != "h265.mp4" or container.streams.video[0].codec_context.codec_tag == "hvc1"
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_gif_and_numbered_pictures(tmp_path: Path) -> None:
    source = make(tmp_path / "in.mp4", Variant(sound=("aac",)))
    assert ".gif holds no sound: it is left out" in run(source, tmp_path / "out.gif")
    after = read(tmp_path / "out.gif")
    assert [number_of(p) for p in after.pictures] == list(range(10))
    assert after.times == [Fraction(4 * i, 100) for i in range(10)]
    (tmp_path / "frames").mkdir()
    assert ".png holds no sound: it is left out" in run(source, tmp_path / "frames" / "f-%03d.png")
    names = sorted(p.name for p in (tmp_path / "frames").iterdir())
    assert names == [f"f-{i:03d}.png" for i in range(1, 11)]
    pictures = [np.asarray(Image.open(tmp_path / "frames" / n)).astype(np.float64) for n in names]
    assert [number_of(p) for p in pictures] == list(range(10))


def test_pictures_as_a_source(tmp_path: Path) -> None:
    folder = tmp_path / "shots"
    folder.mkdir()
    for i in range(12):  # shot2 comes before shot10
        Image.fromarray(pattern(i, (128, 96)).astype(np.uint8)).save(folder / f"shot{i}.png")
    for source in (folder, f"{folder}/shot*.png"):
        run(source, tmp_path / "out.mkv", "--fps", "30000/1001", "--force")
        after = read(tmp_path / "out.mkv")
        assert [number_of(p) for p in after.pictures] == list(range(12))
        assert abs(after.times[-1] - 11 * Fraction(1001, 30000)) <= Fraction(1, 1000)


def test_an_animated_webp_with_transparency(tmp_path: Path) -> None:
    pictures = []
    for i in range(5):
        rgba = np.dstack([pattern(i, (128, 96)).astype(np.uint8), matte(i, (128, 96))])
        pictures.append(Image.fromarray(rgba))
    path = tmp_path / "in.webp"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=[40, 80, 40, 120, 40], lossless=True)
    run(path, tmp_path / "out.mov")
    after = read(tmp_path / "out.mov")
    assert after.times == [Fraction(t, 1000) for t in (0, 40, 120, 160, 280)]
    assert [number_of(p) for p in after.pictures] == list(range(5))
    assert np.abs(after.mattes[3] - matte(3, (128, 96))).mean() < 1.5


def test_high_dynamic_range_is_brought_down_and_said(tmp_path: Path) -> None:
    variant = Variant(
        codec="libx265", pixel_format="yuv420p10le", options=TEN_BIT, matrix=9, primaries=9, transfer=16, count=3
    )
    source = make(tmp_path / "in.mp4", variant)
    assert "high dynamic range" in run(source, tmp_path / "out.mp4")
    after = read(tmp_path / "out.mp4")
    assert (after.matrix, after.primaries, after.transfer) == (1, 1, 1)
    grey = patches_of(after.pictures[0])[6]
    assert np.ptp(grey) < 4 and 60 < grey.mean() < 200


def test_chapters_subtitles_and_tags(tmp_path: Path) -> None:
    source = make(tmp_path / "in.mkv", Variant(suffix=".mkv", count=50, metadata={"title": "A film", "date": "2024"}))
    with_more = tmp_path / "more.mkv"
    with av.open(str(source)) as one, av.open(str(with_more), "w") as two:
        stream = two.add_stream_from_template(one.streams.video[0])
        two.metadata.update(one.metadata)
        second = {"time_base": Fraction(1, 1000)}
        two.set_chapters([
            {"id": i, "start": 1000 * i, "end": 1000 * (i + 1), "metadata": {"title": name}} | second
            for i, name in enumerate(("Begin", "End"))
        ])  # fmt: skip
        for packet in one.demux():
            if packet.size:
                packet.stream = stream
                two.mux(packet)
    run(with_more, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as after:
        chapters = after.chapters()
        assert [c["metadata"]["title"] for c in chapters] == ["Begin", "End"]
        assert [c["start"] * Fraction(c["time_base"]) for c in chapters] == [0, 1]
        assert after.metadata["title"] == "A film" and after.metadata["date"].startswith("2024")


def with_subtitles(folder: Path, name: str) -> Path:
    """A video with a subtitle track, made of an .srt file."""
    (folder / "words.srt").write_text("1\n00:00:00,200 --> 00:00:01,000\nHello\n\n")
    pictures = make(folder / "pictures.mp4", Variant(count=50))
    path = folder / name
    with av.open(str(pictures)) as one, av.open(str(folder / "words.srt")) as words, av.open(str(path), "w") as both:
        pairs = [(c, both.add_stream_from_template(c.streams[0])) for c in (one, words)]
        for container, stream in pairs:
            for packet in container.demux():
                if packet.size:
                    packet.stream = stream
                    both.mux(packet)
    return path


def test_subtitles_are_kept_or_said_to_be_lost(tmp_path: Path) -> None:
    source = with_subtitles(tmp_path, "in.mkv")
    assert "cannot hold" not in run(source, tmp_path / "out.mkv")
    with av.open(str(tmp_path / "out.mkv")) as after:
        (stream,) = after.streams.subtitles
        packets = [bytes(p) for p in after.demux(stream) if p.size]
    assert packets == [b"Hello"]
    assert "subtitles: they are left out" in run(source, tmp_path / "out.mp4")


def test_an_animated_png_and_a_gif_as_sources(tmp_path: Path) -> None:
    pictures = [Image.fromarray(pattern(i, (128, 96)).astype(np.uint8)) for i in range(6)]
    for name in ("in.png", "in.gif"):
        path = tmp_path / name
        pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=80)
        run(path, tmp_path / "out.mkv", "--force")
        after = read(tmp_path / "out.mkv")
        assert [number_of(p) for p in after.pictures] == list(range(6))
        assert after.times == [Fraction(8 * i, 100) for i in range(6)]


def test_the_networks_may_work_at_another_size(tmp_path: Path) -> None:
    source = make(tmp_path / "in.mp4", Variant(size=(256, 192)))
    run(source, tmp_path / "out.mp4", "--fit", "128")
    after = read(tmp_path / "out.mp4")
    assert after.pictures[0].shape == (192, 256, 3)
    assert [number_of(p) for p in after.pictures] == list(range(10))


def fading(path: Path, codec: str, pixel_format: str) -> Path:
    """A title that is opaque at first and then shines through."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixel_format
        for i in range(6):
            pixels = np.full((48, 64, 4), (200, 80, 40, 255 if i == 0 else 60), np.uint8)
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgba").reformat(format=pixel_format))
            )
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("in.mov", "qtrle", "argb"),
        ("in.mov", "png", "rgba"),
        ("in.apng", "apng", "rgba"),
        ("in.apng", "apng", "rgba64be"),
        ("in.mkv", "ffv1", "bgra"),
    ],
)
def test_transparency_that_begins_later(name: str, codec: str, pixel_format: str, tmp_path: Path) -> None:
    run(fading(tmp_path / name, codec, pixel_format), tmp_path / "out.mov")
    mattes = [matte.mean() for matte in read(tmp_path / "out.mov").mattes]
    assert np.allclose(mattes, [255, 60, 60, 60, 60, 60], atol=1.5)


def test_transparency_of_later_pictures(tmp_path: Path) -> None:
    (tmp_path / "shots").mkdir()
    for i in range(4):
        colour = (200, 80, 40) if i < 2 else (200, 80, 40, 60)
        Image.new("RGB" if i < 2 else "RGBA", (64, 48), colour).save(tmp_path / "shots" / f"{i}.png")
    run(tmp_path / "shots", tmp_path / "out-%d.png")
    assert [Image.open(tmp_path / f"out-{i}.png").getpixel((5, 5))[3] for i in range(1, 5)] == [255, 255, 60, 60]  # type: ignore[index]


def test_sixteen_bits_of_grey(tmp_path: Path) -> None:
    (tmp_path / "shots").mkdir()
    ramp = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (48, 1))
    Image.fromarray(ramp).save(tmp_path / "shots" / "0.png")
    run(tmp_path / "shots", tmp_path / "out-%d.png")
    made = np.asarray(Image.open(tmp_path / "out-1.png"), np.float64)
    assert np.abs(made - ramp[..., None] / 257).max() <= 0.51


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize(("across", "down"), [(True, False), (False, True), (True, True)])
def test_mirrored_videos(rotation: int, across: bool, down: bool, tmp_path: Path) -> None:
    """The display matrix may turn the picture over; FFmpeg flips before it turns (its `av_display_matrix_flip`)."""
    source = tmp_path / "in.mp4"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "2", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        stream.codec_context.colorspace = stream.codec_context.color_range = 1
        stream.set_display_rotation(rotation, hflip=across, vflip=down)
        variant = Variant()
        for i in range(3):
            frame = frame_of(i, variant)
            frame.time_base, frame.pts = Fraction(1, 25), i
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(str(source)) as container:
        data = {d.type.name: bytes(d) for d in next(container.decode(video=0)).side_data}
    identity = np.array([1, 0, 0, 0, 1], np.int32) * 65536  # what a file without a matrix means
    a, b, _, c, d = np.frombuffer(data.get("DISPLAYMATRIX", identity.tobytes()), np.int32)[:5] // 65536
    run(source, tmp_path / "out.mp4")
    shown = read(tmp_path / "out.mp4").pictures[2]
    stored = pattern(2, (128, 96))
    # every stored pixel (x, y) is shown at (a x + c y, b x + d y), moved into the picture (ISO/IEC 14496-12, 6.2.2)
    y, x = np.mgrid[:96, :128]
    to_x, to_y = a * x + c * y, b * x + d * y
    wanted = np.zeros((int(np.ptp(to_y)) + 1, int(np.ptp(to_x)) + 1, 3))
    wanted[to_y - to_y.min(), to_x - to_x.min()] = stored
    assert shown.shape == wanted.shape and np.abs(shown - wanted).mean() < 3


@pytest.mark.parametrize(("loop", "pauses"), [(3, [200, 500, 1500]), (0, [40, 40, 40]), (None, [100, 100, 700])])
def test_gif_to_gif_keeps_pauses_and_rounds(loop: int | None, pauses: list[int], tmp_path: Path) -> None:
    pictures = [Image.fromarray(pattern(i, (128, 96)).astype(np.uint8)) for i in range(3)]
    more = {} if loop is None else {"loop": loop}
    pictures[0].save(tmp_path / "in.gif", save_all=True, append_images=pictures[1:], duration=pauses, **more)
    run(tmp_path / "in.gif", tmp_path / "out.gif")
    found = []
    with Image.open(tmp_path / "out.gif") as animation:
        assert animation.info.get("loop") == loop
        for i in range(animation.n_frames):  # type: ignore[attr-defined]
            animation.seek(i)
            found.append(animation.info["duration"])
    assert found == pauses


def test_sound_that_an_edit_list_hides_stays_hidden(tmp_path: Path) -> None:
    """A trimmed phone clip: what was cut away must not come back in a container without edit lists."""
    whole = make(tmp_path / "whole.mp4", Variant(count=50, sound=("aac",)))
    trimmed = tmp_path / "trimmed.mp4"
    with av.open(str(whole)) as one, av.open(str(trimmed), "w") as two:
        streams = {s.index: two.add_stream_from_template(s) for s in one.streams}
        for packet in one.demux():
            if packet.size:
                early = round(Fraction(4, 5) / packet.time_base)
                packet.pts, packet.dts = packet.pts - early, packet.dts - early  # type: ignore[operator]
                packet.stream = streams[packet.stream.index]
                two.mux(packet)
    run(trimmed, tmp_path / "out.mkv")
    lengths = []
    for path in (trimmed, tmp_path / "out.mkv"):
        with av.open(str(path)) as container:
            lengths.append(sum(f.samples for f in container.decode(container.streams.audio[0])) / 48000)
    with av.open(str(trimmed)) as container:
        shown = sum(1 for _ in container.decode(video=0))
    assert 29 <= shown <= 31 and abs(lengths[0] - 1.2) < 0.1
    assert lengths[1] - lengths[0] < 0.12
