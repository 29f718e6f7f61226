"""Image-to-video models of the Wan family: one window is diffusers' own result; windows hand on latents."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import WanImageToVideoPipeline
from PIL import Image

from command import run
from media import frames, make_video, picture
from stylize import ModelError, Style, Stylizer
from stylize.frames import Clip, StructureMaps
from stylize.models.loading import load_model
from stylize.networks import VideoNetworks
from stylize.restyle.memory import Memory
from stylize.restyle.seeds import seed_of_shot
from stylize.restyle.video_restyler import VideoRestyler
from stylize.runs.generate import SceneJob, generate
from stylize.scenes import Shot
from stylize.style.camera import CameraPath
from tiny_models import build_tiny_video_model

SIZE = (64, 48)
KINDS = ("picture", "experts", "tokens")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("models")
    return {kind: build_tiny_video_model(base / kind, kind=kind) for kind in KINDS}


@pytest.fixture(scope="module")
def models(folders: dict[str, Path]) -> dict[str, VideoNetworks]:
    loaded = {kind: load_model(folder, device="cpu", dtype=torch.float32) for kind, folder in folders.items()}
    return {kind: networks for kind, networks in loaded.items() if isinstance(networks, VideoNetworks)}


def still_clip(count: int, known: tuple[int, ...] = (0,)) -> Clip:
    """Frames of which some are known."""
    shown = np.full((count, SIZE[1], SIZE[0], 3), 128, np.uint8)
    flags = np.zeros((count, SIZE[1], SIZE[0]), np.bool_)
    for i in known:
        shown[i], flags[i] = picture(i, *SIZE), True
    times = tuple(Fraction(i, 16) for i in range(count))
    return Clip(shown, times, (Fraction(1, 16),) * count, starts_shot=True, known=flags)


@pytest.mark.parametrize("guidance", [1.0, 4.0])
@pytest.mark.parametrize("kind", KINDS)
def test_one_window_is_what_diffusers_makes(
    models: dict[str, VideoNetworks], folders: dict[str, Path], kind: str, guidance: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """With the same noise: a video of a picture that is one frame longer, of which ours leaves the first out."""
    monkeypatch.setattr("diffusers.pipelines.wan.pipeline_wan_i2v.prompt_clean", lambda text: text)
    networks, count = models[kind], 8
    restyler = VideoRestyler(networks)
    conditions = restyler.prepare(Style("it moves", steps=4, guidance_scale=guidance, strength=1.0, seed=5), None)
    ours, memory = restyler.restyle(still_clip(count), StructureMaps({}), Memory().cut(), conditions)
    noise = torch.randn(1, 16, 3, 6, 8, generator=torch.Generator("cpu").manual_seed(seed_of_shot(5, 0)))
    pipe = WanImageToVideoPipeline.from_pretrained(
        folders[kind],
        local_files_only=True,
        **({"image_encoder": None, "image_processor": None} if kind == "tokens" else {}),
    )
    pipe.set_progress_bar_config(disable=True)
    theirs = pipe(
        image=Image.fromarray(picture(0, *SIZE)), prompt="it moves", negative_prompt="", height=SIZE[1], width=SIZE[0],
        num_frames=1 + count, num_inference_steps=4, guidance_scale=guidance, latents=noise, output_type="np",
    ).frames[0]  # fmt: skip
    made = np.stack(list(ours))
    assert np.abs(made - theirs[1:]).max() < 1e-4 and made.std() > 0.01
    assert ("picture" in memory.window) == (kind == "picture")


@pytest.mark.parametrize("kind", KINDS)
def test_the_picture_counts(models: dict[str, VideoNetworks], kind: str) -> None:
    restyler = VideoRestyler(models[kind])
    conditions = restyler.prepare(Style("it moves", steps=2, strength=1.0), None)
    one = still_clip(4)
    other = Clip(255 - one.frames, one.times, one.durations, starts_shot=True, known=one.known)
    made = [np.stack(list(restyler.restyle(c, StructureMaps({}), Memory().cut(), conditions)[0])) for c in (one, other)]
    assert np.abs(made[0] - made[1]).mean() > 1e-4


def test_both_experts_work(models: dict[str, VideoNetworks], monkeypatch: pytest.MonkeyPatch) -> None:
    networks, called = models["experts"], list[str]()
    for name in ("transformer", "transformer_2"):
        module = getattr(networks.pipe, name)
        monkeypatch.setattr(module, "forward", lambda *a, n=name, f=module.forward, **k: called.append(n) or f(*a, **k))
    restyler = VideoRestyler(networks)
    conditions = restyler.prepare(Style("it moves", steps=4, guidance_scale=1.0, strength=1.0), None)
    restyler.restyle(still_clip(4), StructureMaps({}), Memory().cut(), conditions)
    timesteps = [float(t) for t in conditions.schedule[1]]
    assert called == ["transformer" if t >= 900 else "transformer_2" for t in timesteps]
    assert len(set(called)) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_windows_hand_on_latents(models: dict[str, VideoNetworks], kind: str) -> None:
    """Later windows go on from the latents before, whatever their frames show; the memory does not grow."""
    restyler = VideoRestyler(models[kind], window=2, overlap=2)
    conditions, sizes = restyler.prepare(Style("it moves", steps=2, strength=1.0), None), list[int]()
    _, memory = restyler.restyle(still_clip(8), StructureMaps({}), Memory().cut(), conditions)
    for _ in range(3):
        before = memory
        images, memory = restyler.restyle(still_clip(8, ()), StructureMaps({}), memory, conditions)
        assert len(list(images)) == 8
        sizes.append(memory.nbytes)
    assert len(set(sizes)) == 1
    changed = {name: value * 0 if name == "latents" else value for name, value in before.window.items()}
    from dataclasses import replace

    other, _ = restyler.restyle(still_clip(8, ()), StructureMaps({}), replace(before, window=changed), conditions)
    again, _ = restyler.restyle(still_clip(8, ()), StructureMaps({}), before, conditions)
    assert np.abs(np.stack(list(other)) - np.stack(list(again))).mean() > 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_a_video_of_a_still(
    models: dict[str, VideoNetworks], tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several windows, and the same if it was cut off on the way."""
    monkeypatch.setattr(VideoRestyler.__init__, "__defaults__", (2, 1))
    monkeypatch.setattr("stylize.encode.writer.LENGTH", 4)
    Image.fromarray(picture(3)).save(tmp_path / "still.png")
    shot, stylizer = Shot(CameraPath("", ()), 1.25, Fraction(16)), Stylizer(models[kind])
    job = SceneJob(source=str(tmp_path / "still.png"), output=tmp_path / "whole.mkv", shot=shot, size=SIZE)
    style = Style("it moves", steps=2)
    assert generate(stylizer, job, style).frames == 20

    def stop(done: int, _: int | None) -> None:
        if done == 11:
            raise KeyboardInterrupt

    from dataclasses import replace

    cut = replace(job, output=tmp_path / "out.mkv")
    with pytest.raises(KeyboardInterrupt):
        generate(stylizer, cut, style, stop)
    assert generate(stylizer, replace(cut, resume=True), style).resumed_from > 0
    assert np.array_equal(frames(tmp_path / "out.mkv"), frames(tmp_path / "whole.mkv"))


def test_what_they_do_not_do(models: dict[str, VideoNetworks], tmp_path: Path) -> None:
    film = make_video(tmp_path / "in.mkv", 8, codec="ffv1", pixel_format="bgr0", options={}, tagged=False)
    restyler = VideoRestyler(models["picture"])
    conditions = restyler.prepare(Style("it moves", steps=2, strength=1.0), None)
    for kind in ("picture", "experts"):
        with pytest.raises(ModelError, match="makes a video of a picture, and restyles none: use it with"):
            Stylizer(models[kind]).convert(film, tmp_path / "out.mkv", Style("ink", steps=2))
    partly = still_clip(4)
    assert partly.known is not None
    partly.known[0, :, 10:] = False
    with pytest.raises(ModelError, match="paints whole frames, not beside a picture"):
        restyler.restyle(partly, StructureMaps({}), Memory().cut(), conditions)
    shot = Shot(CameraPath("", ()), 0.5, Fraction(16))
    words = SceneJob(source="", output=tmp_path / "words.mkv", shot=shot, size=SIZE)
    with pytest.raises(ModelError, match="makes a video of a picture"):
        generate(Stylizer(models["picture"]), words, Style("it moves", steps=2))
    assert generate(Stylizer(models["tokens"]), words, Style("it moves", steps=2)).frames == 8
    assert not (tmp_path / "out.mkv").exists()


def test_a_missing_expert_is_named(folders: dict[str, Path], tmp_path: Path) -> None:
    import json
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(folders["experts"], broken)
    shutil.rmtree(broken / "transformer_2")
    index: dict[str, Any] = json.loads((broken / "model_index.json").read_text())
    index["transformer_2"] = [None, None]
    (broken / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match="the folder is incomplete"):
        load_model(broken, device="cpu", dtype=torch.float32)


def test_on_the_command_line(folders: dict[str, Path], tmp_path: Path) -> None:
    Image.fromarray(picture(3)).save(tmp_path / "still.png")
    code, _, err = run(
        "generate", "--image", tmp_path / "still.png", "-o", tmp_path / "out.mkv", "--prompt", "it moves", "--seconds",
        0.5, "--fps", 16, "--steps", 2, "--size", "64x48", "--model", folders["experts"], "--device", "cpu",
    )  # fmt: skip
    assert code == 0, err
    assert len(frames(tmp_path / "out.mkv")) == 8
