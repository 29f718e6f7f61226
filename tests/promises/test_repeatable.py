"""The same frames become the same file, whatever lay in memory before."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from media import frames, make_video, picture
from stylize import Clip, VideoWriter
from stylize.decode import probe

SIZE, COUNT = (64, 48), 6
HELPERS = Path(__file__).parents[1] / "helpers"


def write(path: Path) -> str:
    """A digest of what comes out of an mp4 of smooth pictures that move, which is what x264 looks ahead for."""
    info = probe(make_video(path.with_name("clock.mp4"), 2))
    with VideoWriter(path, info, SIZE) as writer:
        for i in range(COUNT):
            writer.write(Clip(picture(i)[None], (Fraction(i, 25),), (Fraction(1, 25),), i))
    return hashlib.sha256(frames(path).tobytes()).hexdigest()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can fill fresh memory")
def test_h264_does_not_read_memory_that_nobody_wrote(tmp_path: Path) -> None:
    digests = set()
    for filling in ("0", "1", "165"):
        folder = tmp_path / filling
        folder.mkdir()
        tunables = {"MALLOC_PERTURB_": filling, "GLIBC_TUNABLES": f"glibc.malloc.perturb={filling}"}
        done = subprocess.run(
            [sys.executable, __file__, str(folder / "out.mp4")], capture_output=True, text=True, check=True,
            env=os.environ | tunables | {"PYTHONPATH": str(HELPERS)},
        )  # fmt: skip
        digests.add(done.stdout.strip())
    assert len(digests) == 1


if __name__ == "__main__":
    print(write(Path(sys.argv[1])))
