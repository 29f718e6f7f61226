"""Videos that change as they go on: other sizes in the middle, pauses that nobody shows as written."""

from __future__ import annotations

import warnings
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from media import make_video, picture
from stylize import VideoReader, VideoWriter
from stylize.errors import VideoWarning


def make_changing(path: Path, codec: str, sizes: list[tuple[int, int]], each: int = 6) -> Path:
    """Writes a stream whose pictures change their size, as browsers' recordings and broadcasts do."""
    base, number = Fraction(1, 25), 0
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = *sizes[0], "yuv420p"
        stream.time_base = base
        stream.codec_context.colorspace = 1  # BT.709, which decord would read
        stream.codec_context.color_primaries = stream.codec_context.color_trc = 1
        for width, height in sizes:
            encoder = av.CodecContext.create(codec, "w")
            encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
            encoder.time_base, encoder.framerate = base, Fraction(25)
            if codec == "libx264":
                encoder.options = {"tune": "zerolatency", "crf": "8", "x264-params": "repeat-headers=1"}
            packets = []
            for _ in range(each):
                frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), 180, np.uint8), format="rgb24")
                frame.pts, frame.time_base, number = number, base, number + 1
                packets += encoder.encode(frame.reformat(format="yuv420p"))
            for packet in packets + encoder.encode(None):
                packet.stream, packet.time_base = stream, base
                container.mux(packet)
    return path


@pytest.mark.parametrize(("codec", "suffix"), [("libvpx", ".webm"), ("libx264", ".ts"), ("libx264", ".mkv")])
@pytest.mark.parametrize("backend", ["auto", "decord"])
def test_a_size_that_changes_is_said_and_keeps_shapes(tmp_path: Path, codec: str, suffix: str, backend: Any) -> None:
    path = make_changing(tmp_path / f"in{suffix}", codec, [(96, 64), (64, 96)])
    with (
        pytest.warns(VideoWarning, match=r"changes from 96x64 to 64x96 at 0\.24 s"),
        VideoReader(path, backend=backend) as reader,
    ):
        frames = np.concatenate([clip.frames for clip in reader.clips()])
    assert frames.shape == (12, 64, 96, 3)
    grey = frames[-1].mean(-1)
    assert (np.abs(grey[:, 30:66] - 180) < 8).all()  # 43 columns wide, as tall as the first pictures
    assert (grey[:, :24] < 8).all() and (grey[:, 72:] < 8).all()


def test_pixels_of_another_width_are_no_other_shape(tmp_path: Path) -> None:
    path = make_changing(tmp_path / "in.ts", "libx264", [(96, 64), (64, 64)])
    with pytest.warns(VideoWarning, match="its size changes"), VideoReader(path) as reader:
        frames = np.concatenate([clip.frames for clip in reader.clips()])
    assert (np.abs(frames[-1].astype(int) - 180) < 8).all()


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
@pytest.mark.parametrize(
    ("pauses", "shown"),
    [([0, 0, 0], [100, 100, 100]), ([10, 10, 50], [100, 100, 50]), ([20, 30, 10], [20, 30, 100])],
)
def test_pauses_last_as_browsers_show_them(tmp_path: Path, suffix: str, pauses: list[int], shown: list[int]) -> None:
    path = tmp_path / f"in{suffix}"
    pictures = [Image.fromarray(picture(i)) for i in range(3)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=pauses)
    with VideoReader(path) as reader:
        clips = list(reader.clips(1))
        parts = list(VideoReader(path, start=(shown[0] + 1) / 1000).clips(1))
    assert [1000 * clip.durations[0] for clip in clips] == shown
    assert [1000 * clip.times[0] for clip in clips] == [0, shown[0], shown[0] + shown[1]]
    assert reader.info.duration == Fraction(sum(shown), 1000)
    assert [clip.times for clip in parts] == [clip.times for clip in clips[2:]]


def test_a_gif_of_sixty_frames_a_second_plays_at_its_speed(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", 60, rate=Fraction(60))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with VideoReader(source) as reader, VideoWriter(tmp_path / "out.gif", reader.info, reader.size) as writer:
            for clip in reader.clips():
                writer.write(clip)
    assert any("a GIF shows up to 50 frames a second" in str(line.message) for line in said)
    with Image.open(tmp_path / "out.gif") as animation:
        pauses = []
        for i in range(animation.n_frames):  # type: ignore[attr-defined]
            animation.seek(i)
            pauses.append(animation.info["duration"])
    assert min(pauses) >= 20 and abs(sum(pauses) - 1000) <= 20
