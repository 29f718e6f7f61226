"""Encoders keep to the usual priority, also where root encodes AV1."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from media import make_video
from stylize.decode import VideoReader
from stylize.encode import VideoWriter, choose_encoding
from stylize.encode.priority import THREADS


@pytest.mark.skipif(not THREADS.is_dir() or os.geteuid() != 0, reason="real-time threads need Linux, and root")
def test_av1_is_encoded_at_the_usual_priority(tmp_path: Path) -> None:
    def count_real_time() -> int:
        return sum(os.sched_getscheduler(int(thread)) != os.SCHED_OTHER for thread in os.listdir(THREADS))

    before = count_real_time()
    source, result = make_video(tmp_path / "in.mp4", 4, width=128, height=96), tmp_path / "out.mp4"
    encoding = choose_encoding(result, (128, 96), codec="av1")
    with VideoReader(source) as reader, VideoWriter(result, reader.info, reader.size, encoding=encoding) as writer:
        writer.write(next(reader.clips(4)))
        assert count_real_time() == before
    assert count_real_time() == before
