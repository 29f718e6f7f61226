"""Inpainting checkpoints: held to diffusers' own pipeline, and used where there is something to paint."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import diffusers
import numpy as np
import pytest
import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from PIL import Image

from clips import make_clip
from command import run
from media import frames, make_video
from stylize import ModelError, Style, Stylizer
from stylize.models.loading import load_networks
from stylize.networks import Networks
from stylize.networks.devices import memory_format
from stylize.networks.prompts import stack
from stylize.restyle import Memory, conditions_for
from stylize.restyle.denoise import denoise
from stylize.runs.expand import CanvasJob, expand
from tiny_models import wake

SEED = 11


@pytest.fixture(scope="module")
def folder(family_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with a UNet that sees a mask and a masked picture, and without ControlNets."""
    made = tmp_path_factory.mktemp("models") / "inpaint"
    shutil.copytree(family_folder("sd15"), made)
    for net in made.glob("controlnet*"):
        shutil.rmtree(net)
    config = diffusers.UNet2DConditionModel.load_config(made / "unet")
    shutil.rmtree(made / "unet")
    torch.manual_seed(3)
    unet = diffusers.UNet2DConditionModel.from_config({**config, "in_channels": 9})
    wake(unet, [], 4.0)
    unet.save_pretrained(made / "unet")
    settings = made / "stylize.json"
    settings.write_text('{"depth_estimator": "depth", "controlnets": {}}')
    return made


@pytest.fixture(scope="module")
def networks(folder: Path) -> Networks:
    return load_networks(folder, device="cpu", dtype=torch.float32)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of diffusers, about the scheduler
@pytest.mark.parametrize("guidance", [1.0, 5.0])
def test_it_is_what_diffusers_makes(
    networks: Networks, folder: Path, guidance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    # both draw their latents, but in another order
    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mean)
    clip = make_clip(1)
    width, height = clip.size
    known = torch.zeros(1, 1, height, width)
    known[..., : width // 2] = 1
    style = Style("a waterfall", steps=4, strength=0.75, guidance_scale=guidance, temporal=0.0)
    conditions, generators = conditions_for(networks, style), [torch.Generator().manual_seed(SEED)]
    assert not conditions.controls
    pixels = torch.from_numpy(clip.frames).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        source = networks.encode(pixels, generators)
        shown = networks.show(pixels, known, generators)
        prompt = stack([conditions.prompts.at(time) for time in clip.times])
        ours, _ = denoise(networks, conditions, source, {}, prompt, Memory(), generators, shown=shown)
    pipe = diffusers.StableDiffusionInpaintPipeline.from_pretrained(
        folder, safety_checker=None, requires_safety_checker=False, local_files_only=True
    )
    pipe.scheduler = type(networks.scheduler).from_config(networks.scheduler.config)
    for module in (pipe.unet, pipe.vae):
        module.to(memory_format=memory_format(torch.device("cpu")))
    pipe.set_progress_bar_config(disable=True)
    theirs = pipe(
        prompt="a waterfall", image=(pixels + 1) / 2, mask_image=1 - known, height=height, width=width, strength=0.75,
        num_inference_steps=4, guidance_scale=guidance, generator=torch.Generator().manual_seed(SEED),
        output_type="latent",
    ).images  # fmt: skip
    assert ((ours - theirs).abs() < 1e-4 * theirs.abs().clamp(min=1)).all()
    assert (theirs - source).abs().max() > 0.1


def test_it_fills_a_canvas(networks: Networks, tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mkv", 5, codec="ffv1", pixel_format="bgr0", options={}, tagged=False)
    for name, prompt in (("one", "a waterfall"), ("two", "a desert")):
        job = CanvasJob(source=str(source), output=tmp_path / f"{name}.mkv", canvas="96x64")
        expand(Stylizer(networks, batch=2), job, Style(prompt, steps=2, guidance_scale=5.0))
    one, two = frames(tmp_path / "one.mkv"), frames(tmp_path / "two.mkv")
    assert np.array_equal(one[:, 8:56, 16:80], frames(source))
    assert np.abs(one.astype(int) - two).max() > 0


def test_it_does_not_restyle(networks: Networks, folder: Path, tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", 2)
    with pytest.raises(ModelError, match="is an inpainting model, which paints only what a mask leaves open"):
        Stylizer(networks).convert(source, tmp_path / "out.mp4", Style("ink"))
    with pytest.raises(ModelError, match="use it with stylize expand"):
        next(Stylizer(networks).stream([make_clip(1)], Style("ink")))
    Image.new("RGB", (64, 48)).save(tmp_path / "still.png")
    film = ("generate", "--image", tmp_path / "still.png", "-o", tmp_path / "out.mp4", "--prompt", "ink")
    code, _, err = run(*film, "--model", folder, "--device", "cpu")
    assert code == 1 and "is an inpainting model" in err


def test_it_is_refused_wherever_nothing_is_open(folder: Path, tmp_path: Path) -> None:
    clip = make_video(tmp_path / "in.mp4", 4)
    Image.fromarray(frames(clip)[0]).save(tmp_path / "still.png")
    model = ("--model", folder, "--prompt", "ink", "--device", "cpu")
    for arguments in (
        ("preview", clip, "-o", tmp_path / "sheet.png"),
        ("generate", "--image", tmp_path / "still.png", "-o", tmp_path / "out.mp4", "--preview", tmp_path / "s.png"),
        ("generate", "-o", tmp_path / "out.mp4", "--size", "64x48"),
    ):
        code, _, err = run(*arguments, *model)
        assert code == 1 and "is an inpainting model" in err, arguments


def test_evaluations_are_counted_once(networks: Networks, tmp_path: Path) -> None:
    clip = make_video(tmp_path / "in.mp4", 4)
    job = CanvasJob(source=str(clip), output=tmp_path / "out.mkv", canvas="96x64")
    report = expand(Stylizer(networks), job, Style("ink", steps=4, strength=1.0, guidance_scale=1.0))
    assert report.unet_evals_per_frame == 4.0
