"""LTX-Video: one window is diffusers' own result; a still in motion, words alone, and restyling, window by window."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import LTXConditionPipeline
from diffusers.pipelines.ltx.pipeline_ltx_condition import LTXVideoCondition, linear_quadratic_schedule
from PIL import Image

from media import frames, make_video, picture
from stylize import ModelError, Style, Stylizer
from stylize.frames import Clip, StructureMaps
from stylize.models.loading import load_model
from stylize.networks.ltx_networks import LtxNetworks
from stylize.restyle.memory import Memory
from stylize.restyle.seeds import seed_of_shot
from stylize.restyle.video_restyler import VideoRestyler
from stylize.runs.generate import SceneJob, generate
from stylize.scenes import Shot
from stylize.style.camera import CameraPath
from tiny_models import build_tiny_ltx

SIZE = (64, 32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_ltx(tmp_path_factory.mktemp("models") / "ltx")


@pytest.fixture(scope="module")
def networks(folder: Path) -> LtxNetworks:
    loaded = load_model(folder, device="cpu", dtype=torch.float32)
    assert isinstance(loaded, LtxNetworks)
    return loaded


def make_clip(count: int, *, known: tuple[int, ...] | None = None) -> Clip:
    shown = np.stack([picture(i, *SIZE) for i in range(count)])
    flags = None
    if known is not None:
        flags = np.zeros((count, SIZE[1], SIZE[0]), np.bool_)
        flags[list(known)] = True
    times = tuple(Fraction(i, 20) for i in range(count))
    return Clip(shown, times, (Fraction(1, 20),) * count, starts_shot=True, known=flags)


@pytest.mark.parametrize("steps", [1, 2, 3, 8, 30])
def test_the_timesteps_are_those_of_diffusers(networks: LtxNetworks, steps: int) -> None:
    ours = networks.list_timesteps(steps)
    assert np.allclose(ours, 1000 * linear_quadratic_schedule(steps), atol=1e-4)


@pytest.mark.parametrize("guidance", [1.0, 3.0])
@pytest.mark.parametrize("case", ["still", "words", "video"])
def test_one_window_is_what_diffusers_makes(
    networks: LtxNetworks, folder: Path, case: str, guidance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same noise, and none on known latents, as both draw it otherwise."""
    monkeypatch.setattr("stylize.networks.ltx_networks.KNOWN_NOISE", 0.0)
    count, strength = 8, 0.6 if case == "video" else 1.0
    known = {"still": (0,), "words": (), "video": None}[case]
    clip, restyler = make_clip(count, known=known), VideoRestyler(networks)
    conditions = restyler.prepare(Style("it moves", steps=5, guidance_scale=guidance, strength=strength, seed=5), None)
    ours, _ = restyler.restyle(clip, StructureMaps({}), Memory().cut(), conditions)
    made = np.stack(list(ours))
    noise = torch.randn(1, 8, 3, 8, 16, generator=torch.Generator("cpu").manual_seed(seed_of_shot(5, 0)))
    monkeypatch.setattr("diffusers.pipelines.ltx.pipeline_ltx_condition.randn_tensor", lambda *_, **__: noise.clone())
    monkeypatch.setattr(
        "diffusers.pipelines.ltx.pipeline_ltx_condition.retrieve_latents", lambda x, **__: x.latent_dist.mode()
    )
    pipe = LTXConditionPipeline.from_pretrained(folder, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    still = LTXVideoCondition(image=Image.fromarray(picture(0, *SIZE)))
    latents = None
    if case == "video":
        signed = (
            torch.from_numpy(np.stack([clip.frames[0], *clip.frames])).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
        )
        latents = networks.encode(signed)
    theirs = pipe(
        conditions=[still] if case == "still" else None, prompt="it moves", negative_prompt="", height=SIZE[1],
        width=SIZE[0], num_frames=1 + count, frame_rate=20, num_inference_steps=5, guidance_scale=guidance,
        image_cond_noise_scale=0.0, denoise_strength=strength, latents=latents, output_type="np",
    ).frames[0]  # fmt: skip
    assert np.abs(made - theirs[1:]).max() < 1e-4 and made.std() > 0.01


def test_known_latents_get_a_little_noise(networks: LtxNetworks) -> None:
    known, generator = torch.zeros(1, 8, 1, 12, 16), torch.Generator().manual_seed(1)
    deviations = [float(networks.soften(known, torch.tensor(t), generator).std()) for t in (1000.0, 500.0, 0.0)]
    assert deviations == pytest.approx([0.15, 0.0375, 0.0], abs=0.01)


def test_windows_hand_on_latents(networks: LtxNetworks) -> None:
    restyler = VideoRestyler(networks, window=2, overlap=2)
    conditions, sizes = restyler.prepare(Style("it moves", steps=2, strength=1.0), None), list[int]()
    _, memory = restyler.restyle(make_clip(8, known=(0,)), StructureMaps({}), Memory().cut(), conditions)
    for _ in range(3):
        images, memory = restyler.restyle(make_clip(8, known=()), StructureMaps({}), memory, conditions)
        assert len(list(images)) == 8 and set(memory.window) == {"latents", "mean", "deviation"}
        sizes.append(memory.nbytes)
    assert len(set(sizes)) == 1 and memory.frames_in_shot == 32


def test_the_decoder_that_takes_the_last_noise(tmp_path: Path) -> None:
    networks = load_model(build_tiny_ltx(tmp_path / "ltx", takes_last_noise=True), device="cpu", dtype=torch.float32)
    assert isinstance(networks, LtxNetworks)
    latents = torch.randn(1, 8, 3, 8, 16)
    pixels = networks.decode(latents)
    assert pixels.shape == (1, 3, 9, 32, 64) and torch.equal(pixels, networks.decode(latents))


def test_stills_words_and_videos(networks: LtxNetworks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VideoRestyler.__init__, "__defaults__", (2, 1))
    Image.fromarray(picture(3, *SIZE)).save(tmp_path / "still.png")
    stylizer, shot = Stylizer(networks), Shot(CameraPath("", ()), 1.0, Fraction(20))
    still = SceneJob(source=str(tmp_path / "still.png"), output=tmp_path / "still.mkv", shot=shot, size=SIZE)
    assert generate(stylizer, still, Style("it moves", steps=2)).frames == 20
    words = SceneJob(source="", output=tmp_path / "words.mkv", shot=shot, size=SIZE)
    assert generate(stylizer, words, Style("it moves", steps=2)).frames == 20
    film = make_video(tmp_path / "in.mkv", 20, height=32, codec="ffv1", pixel_format="bgr0", options={}, tagged=False)
    assert stylizer.convert(film, tmp_path / "out.mkv", Style("ink", steps=4)).frames == 20
    for name in ("still", "words", "out"):
        assert frames(tmp_path / f"{name}.mkv").shape == (20, 32, 64, 3)
    with pytest.raises(ModelError, match="takes no controls"):
        VideoRestyler(networks).prepare(Style("ink", controls={"depth": 1}), None)
    with pytest.raises(ModelError, match="knows the first picture alone"):
        restyler = VideoRestyler(networks)
        conditions = restyler.prepare(Style("it moves", steps=2, strength=1.0), None)
        restyler.restyle(make_clip(4, known=(0, 3)), StructureMaps({}), Memory().cut(), conditions)
