"""Odd but healthy files, drawn at random: each is read whole, is not called damaged, and can be copied."""

from __future__ import annotations

import tempfile
import warnings
from fractions import Fraction
from pathlib import Path

import av
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oracle import Variant, make, number_of
from stylize import VideoReader, VideoWriter
from stylize.errors import VideoWarning

KINDS = {
    ".mp4": ("libx264", "libx265"), ".mov": ("libx264", "mjpeg"), ".mkv": ("libx264", "ffv1"), ".ts": ("libx264",),
    ".avi": ("mpeg4", "mjpeg"),
}  # fmt: skip
OPTIONS = {
    "libx264": {"crf": "2"},
    "libx265": {"x265-params": "log-level=none:frame-threads=1", "crf": "2"},
    "mjpeg": {"q": "2"},
}
FORMATS = {"mjpeg": "yuvj420p", "ffv1": "yuv420p"}
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=("Cs", "Cc")), max_size=12)
NAMES = WORDS.map(lambda text: text.replace("/", "-").strip(". ")[:40] or "in")


@st.composite
def variants(draw: st.DrawFn) -> Variant:
    suffix = draw(st.sampled_from(sorted(KINDS)))
    codec = draw(st.sampled_from(KINDS[suffix]))
    count = draw(st.integers(8 if suffix == ".ts" else 1, 14))  # FFmpeg knows a .ts by some packets
    base, pts = None, None
    if suffix in (".mp4", ".mov", ".mkv") and codec != "mjpeg":  # uneven times, with a still of up to two seconds
        base = Fraction(1, 1000)
        steps = draw(st.lists(st.sampled_from([17, 33, 34, 40, 100, 2000]), min_size=count, max_size=count))
        pts = [sum(steps[:i]) for i in range(count)]
    return Variant(
        suffix=suffix, codec=codec, count=count, base=base, pts=pts,
        pixel_format=FORMATS.get(codec, "yuv420p"), full_range=codec == "mjpeg",
        rate=draw(st.sampled_from([Fraction(24000, 1001), Fraction(25), Fraction(30), Fraction(15)])),
        tagged=draw(st.booleans()), aspect=draw(st.sampled_from([Fraction(1), Fraction(64, 45), Fraction(8, 9)])),
        sound=draw(st.sampled_from([(), ("mp2",), ("ac3", "mp2")])) if suffix != ".mov" and count > 3 else (),
        metadata=draw(st.dictionaries(st.sampled_from(["title", "comment", "location", "artist"]), WORDS, max_size=2)),
        options=OPTIONS.get(codec, {}),
    )  # fmt: skip


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(variant=variants(), name=NAMES)
def test_healthy_files_are_read_whole_and_copied(variant: Variant, name: str) -> None:
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("error", VideoWarning)
        path, output = make(Path(place) / f"{name}{variant.suffix}", variant), Path(place) / "copy.mkv"
        with VideoReader(path, strict=True) as reader:
            clips = list(reader.clips())
        numbers = [number_of(frame) for clip in clips for frame in clip.frames]
        assert numbers == list(range(variant.count))
        warnings.simplefilter("ignore", VideoWarning)
        with VideoWriter(output, reader.info, reader.size) as writer:
            for clip in clips:
                writer.write(clip)
        with av.open(str(output)) as container:
            assert sum(1 for _ in container.decode(video=0)) == variant.count
            assert len(container.streams.audio) == len(variant.sound)
