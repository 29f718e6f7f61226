"""Every stage of the built-in model's training runs from its command, and what comes out loads as a model."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from media import picture
from stylize import Clip, Style, Stylizer
from stylize.models.loading import load_networks

ROOT = Path(__file__).parents[2]
TRAINING = ROOT / "training"
PAINTINGS = ("gcompris_GreatWave", "opencv_starry_night", "wordpress_garden-at-bougival", "held_out")
pytestmark = pytest.mark.slow


def run(script: str, *arguments: object) -> str:
    command = [sys.executable, TRAINING / script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder as the training expects it, with drawn pictures."""
    folder = tmp_path_factory.mktemp("data")
    for name, count in (("photos", 4), ("paintings", 0), ("clips", 0)):
        (folder / name).mkdir()
        for i in range(count):
            cv2.imwrite(str(folder / name / f"{i}.jpg"), picture(5 * i, 480, 400))
    for i, name in enumerate(sorted(PAINTINGS)):
        cv2.imwrite(str(folder / "paintings" / f"{name}.jpg"), picture(40 + i, 300, 260))
    shutil.copy(ROOT / "examples" / "cockatoo.mp4", folder / "clips" / "a.mp4")
    for part, first in (("stills", 0), ("stills_fast", 2998)):
        (folder / "depth" / part).mkdir(parents=True)
        for i in range(first, first + 4):
            cv2.imwrite(str(folder / "depth" / part / f"{i:05}.jpg"), picture(i % 50, 128, 128))
            ramp = np.tile(np.arange(128, dtype=np.uint8), (128, 1))
            cv2.imwrite(str(folder / "depth" / part / f"{i:05}_d.png"), ramp)
    with (folder / "depth" / "stills" / "index.csv").open("w", newline="") as file:
        rows = [(f"{i:05}.jpg", "dtow"[i]) for i in range(4)]  # scene "d" is held out
        csv.writer(file).writerows([("frame", "scene"), *rows])
    return folder


def test_from_pictures_to_a_model(data: Path, tmp_path: Path) -> None:
    work, out = tmp_path / "work", tmp_path / "model"
    run("pack.py", "--data", data, "--out", tmp_path / "pack")
    assert len(list((tmp_path / "pack" / "frames").iterdir())) == 10  # five pairs of the one clip
    for folder in ("photos", "paintings"):  # the same are held out
        names = [[p.stem for p in sorted((place / folder).iterdir())] for place in (data, tmp_path / "pack")]
        assert names[0] == names[1]
    run("renditions.py", "--data", tmp_path / "pack", "--out", work)
    run("train_depth.py", "--data", data, "--work", work, "--minutes", 0.05, "--batch", 2)
    run("train_vae.py", "--work", work, "--minutes", 0.05)
    assert "others" in run("train_image.py", "--work", work, "--minutes", 0.05, "--batch", 4)
    told = run("train_unet.py", "--work", work, "--minutes", 0.1, "--batch", 2)
    assert "unet" in told
    again = run("train_unet.py", "--work", work, "--minutes", 0.05, "--batch", 2, "--resume")
    assert "unet: 339 of 339 tensors of the last run" in again
    run("assemble.py", "--work", work, "--out", out)
    run("assemble.py", "--back", "--work", tmp_path / "again", "--out", out)
    assert {p.name for p in (tmp_path / "again").iterdir()} >= {"unet", "vae", "controlnet_canny", "depth"}
    networks = load_networks(out, device="cpu", dtype=torch.float32)
    clip = Clip(picture(0)[None], (Fraction(0),), (Fraction(1, 25),))
    reference = next((data / "paintings").iterdir())
    frames = next(Stylizer(networks).stream([clip], Style(prompt="watercolour", reference=reference))).frames
    assert frames.shape == clip.frames.shape and frames.std() > 1


def test_the_teacher_paints_alike_in_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TRAINING))
    from teacher import transfer_engine
    from transfer import Transfer

    photo, style = picture(3, 384, 384), picture(41, 256, 256)
    teacher = Transfer(torch.device("cpu"))
    (mine,) = teacher.paint(photo, teacher.describe(style[None]))
    theirs = transfer_engine()(photo, style)
    error = float(((mine.astype(np.float32) - theirs) ** 2).mean())
    assert 10 * np.log10(255**2 / error) > 24  # they round to eight bits between layers
    other = teacher.describe(picture(7, 256, 256)[None])
    both = teacher.paint(photo, torch.cat([other, teacher.describe(style[None])]))
    assert np.abs(both[1].astype(int) - mine).max() <= 2 and np.abs(both[0].astype(int) - mine).mean() > 2


def test_a_lost_training_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TRAINING))
    from data import check_finite

    check_finite({"error": [torch.tensor(0.3)]})
    with pytest.raises(SystemExit, match="'pixels' is no number"):
        check_finite({"error": [torch.tensor(0.3)], "pixels": [torch.tensor(0.2), torch.tensor(torch.nan)]})
