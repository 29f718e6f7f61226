"""Pictures that go with a source, one a frame."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from media import make_video, picture
from stylize import VideoError
from stylize.decode import PerFrame


def test_any_order_gives_each_frame_its_own(tmp_path: Path) -> None:
    film = PerFrame(
        make_video(tmp_path / "a.mkv", 6, codec="ffv1", pixel_format="bgr0", tagged=False, options={"level": "3"}),
        "mattes",
    )
    for index in (0, 1, 4, 2, 2, 5, 0):
        assert np.array_equal(film.at(index).frames[0], picture(index))


def test_too_few_are_counted(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", 4)
    for index in (4, 9):
        with pytest.raises(VideoError, match="has 4 mattes, the video has more frames: give one for each frame"):
            PerFrame(path, "mattes").at(index)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="open files are counted in /proc")
def test_steps_back_leave_no_file_open(tmp_path: Path) -> None:
    film = PerFrame(make_video(tmp_path / "a.mp4", 4), "mattes")

    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    film.at(2)
    film.at(0)
    film.at(2)  # read on from the beginning, as in every round
    before = open_files()
    for _ in range(5):
        film.at(0)
        film.at(2)
    assert open_files() <= before  # files of earlier tests may be closed meanwhile
