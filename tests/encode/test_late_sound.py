"""Sound that begins late in a recording, behind what FFmpeg reads of a file before it opens it."""

from __future__ import annotations

import warnings
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from media import sound_packets
from stylize import VideoReader, VideoWriter

SECONDS = (1.6, 2.0)


def late(path: Path, codec: str, sound: str, options: dict[str, str]) -> Path:
    """Two seconds of noise, which take 10 MB, and sound in the last 0.4 of them."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (576, 720, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        pictures = container.add_stream(codec, rate=25, options=options)
        pictures.width, pictures.height, pictures.pix_fmt = 720, 576, "yuv420p"
        voice = container.add_stream(sound, rate=48000, layout="stereo")
        packets = []
        for i in range(50):
            packets += pictures.encode(av.VideoFrame.from_ndarray(np.roll(noise, 7 * i, axis=1), format="rgb24"))
        packets += pictures.encode(None)
        size = voice.codec_context.frame_size or 1152
        begin, end = (int(s * 48000) for s in SECONDS)
        kind = voice.codec_context.format.name
        for at in range(begin, end, size):
            shape = (2, size) if kind.endswith("p") else (1, 2 * size)
            values = np.zeros(shape, np.float32 if kind.startswith("flt") else np.int16)
            frame = av.AudioFrame.from_ndarray(values, format=kind, layout="stereo")
            frame.rate, frame.pts, frame.time_base = 48000, at, Fraction(1, 48000)
            packets += voice.encode(frame)
        packets += voice.encode(None)
        for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
            container.mux(packet)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "codec", "sound", "options"),
    [(".ts", "libx264", "mp2", {"qp": "0", "preset": "ultrafast"}), (".vob", "mpeg2video", "ac3", {"b": "60M"})],
)
def test_it_is_kept_at_its_time(tmp_path: Path, suffix: str, codec: str, sound: str, options: dict[str, str]) -> None:
    path, output = late(tmp_path / f"in{suffix}", codec, sound, options), tmp_path / "out.mkv"
    with warnings.catch_warnings(), VideoReader(path, size=(64, 48)) as reader:
        warnings.simplefilter("error")
        with VideoWriter(output, reader.info, (64, 48)) as writer:
            for clip in reader.clips():
                writer.write(clip)
    kept = sound_packets(output)
    assert len(kept) >= 12 and float(kept[0][1]) == pytest.approx(SECONDS[0], abs=0.1)
