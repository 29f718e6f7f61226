"""AnimateDiff's motion modules in a Stable Diffusion model: held to diffusers' own pipeline, and in batches."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
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
from stylize import ModelError, Style, StyleError, Stylizer, load_stylizer
from stylize.frames import Clip, StructureMaps
from stylize.models.loading import load_networks
from stylize.models.parts import Extras
from stylize.networks import Networks, choose_batch
from stylize.networks.budget import MemoryLoad
from stylize.networks.compiling import choose_compile
from stylize.networks.devices import memory_format
from stylize.networks.motion_modules import OVERLAP, WINDOW
from stylize.networks.prompts import stack
from stylize.restyle import ImageRestyler, Memory, conditions_for
from stylize.restyle.denoise import denoise
from stylize.restyle.looking_back import count_before
from tiny_models import build_ip_adapter

COUNT = 6
STYLE = Style("a woodcut", steps=4, strength=0.75, guidance_scale=5.0, controls={"depth": 0.8, "canny": 0.6})


def make_adapter(folder: Path, channels: tuple[int, ...] = (32, 64)) -> Path:
    """A random motion adapter for the tiny model, as diffusers saves it; its last layers are zero where training
    begins, and are drawn here, so that frames look at one another."""
    torch.manual_seed(5)
    adapter = diffusers.MotionAdapter(
        block_out_channels=channels, motion_layers_per_block=1, motion_num_attention_heads=4, motion_norm_num_groups=8,
        motion_max_seq_length=24, use_motion_mid_block=False,
    )  # fmt: skip
    for module in adapter.modules():
        if isinstance(module, torch.nn.Linear) and module.weight.abs().max() == 0:
            torch.nn.init.normal_(module.weight, std=0.2)
    for name, parameter in adapter.named_parameters():
        if "to_q" in name or "to_k" in name or "to_out" in name:
            parameter.data *= 4
    adapter.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_adapter(tmp_path_factory.mktemp("models") / "motion_adapter")


@pytest.fixture(scope="module")
def networks(family_folder: Callable[[str], Path], adapter: Path) -> Networks:
    return load_networks(
        family_folder("sd15"), device="cpu", dtype=torch.float32, extras=Extras(motion_adapter=adapter)
    )


def noise_like(latents: torch.Tensor, seeds: range) -> torch.Tensor:
    one = (1, *latents.shape[1:])
    return torch.cat([torch.randn(one, generator=torch.Generator().manual_seed(seed)) for seed in seeds])


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of diffusers, about the scheduler
@pytest.mark.parametrize("guidance", [1.0, 5.0])
def test_one_batch_is_what_diffusers_makes(
    family_folder: Callable[[str], Path],
    adapter: Path,
    guidance: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    # float64: guidance and weights that are scaled up enlarge the last bits of float32
    folder, extras = family_folder("sd15"), Extras(motion_adapter=adapter)
    networks = load_networks(folder, device="cpu", dtype=torch.float64, extras=extras)
    # both draw their latents, but in another order
    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mean)
    clip = make_clip(COUNT)
    width, height = clip.size
    conditions = conditions_for(networks, replace(STYLE, guidance_scale=guidance))
    pixels = torch.from_numpy(clip.frames).permute(0, 3, 1, 2).float() / 127.5 - 1
    maps = {name: torch.rand(COUNT, 3, height, width, generator=torch.Generator().manual_seed(i))
            for i, name in enumerate(("depth", "canny"))}  # fmt: skip
    generators = [torch.Generator().manual_seed(seed) for seed in range(COUNT)]
    with torch.inference_mode():
        source = networks.encode(pixels, generators)
        prompt = stack([conditions.prompts.at(time) for time in clip.times])
        controls = {name: networks.embed_control(name, control) for name, control in maps.items()}
        ours, memory = denoise(networks, conditions, source, controls, prompt, Memory(), generators)
    assert count_before(memory) == OVERLAP

    plain = diffusers.StableDiffusionPipeline.from_pretrained(folder, safety_checker=None, local_files_only=True)
    nets = [diffusers.ControlNetModel.from_pretrained(folder / name) for name in ("controlnet", "controlnet_1")]
    pipe = diffusers.AnimateDiffVideoToVideoControlNetPipeline(
        vae=plain.vae, text_encoder=plain.text_encoder, tokenizer=plain.tokenizer, unet=plain.unet,
        motion_adapter=diffusers.MotionAdapter.from_pretrained(adapter), controlnet=nets,
        scheduler=type(networks.scheduler).from_config(networks.scheduler.config),
    )  # fmt: skip
    for module in (pipe.unet, pipe.vae):
        module.to(memory_format=memory_format(torch.device("cpu")))
    pipe.to(dtype=torch.float64)
    pipe.set_progress_bar_config(disable=True)
    scheduler, timesteps = conditions.schedule
    noisy = scheduler.add_noise(source, noise_like(source, range(COUNT)), timesteps[:1])
    theirs = pipe(
        prompt="a woodcut", height=height, width=width, num_inference_steps=4,
        strength=0.75, guidance_scale=guidance, latents=noisy.transpose(0, 1)[None],
        conditioning_frames=[list(control) for control in maps.values()], controlnet_conditioning_scale=[0.8, 0.6],
        output_type="latent",
    ).frames  # fmt: skip
    torch.testing.assert_close(ours, theirs[0].transpose(0, 1), atol=1e-4, rtol=0)


def restyle(networks: Networks, clip: Clip, sizes: list[int], style: Style = STYLE) -> tuple[np.ndarray, Memory]:
    """Restyles consecutive batches of these sizes."""
    restyler = ImageRestyler(networks, max(sizes))
    conditions, memory = restyler.prepare(style, None), Memory().cut()
    height, width = clip.frames.shape[1:3]
    done, results = 0, []
    for size in sizes:
        cut = clip.part(done, done + size, starts_shot=done == 0)
        maps = StructureMaps({name: cut.frames[..., :1].transpose(0, 3, 1, 2).astype(np.float32) / 255
                              for name in ("depth", "canny")})  # fmt: skip
        images, memory = restyler.restyle(cut, maps, memory, conditions)
        results += list(images)
        done += size
    assert results[0].shape == (height, width, 3)
    return np.stack(results), memory


def test_frames_look_at_one_another(networks: Networks) -> None:
    clip = make_clip(COUNT)
    changed = make_clip(COUNT)
    changed.frames[COUNT - 1] = 255 - changed.frames[COUNT - 1]
    before, after = restyle(networks, clip, [COUNT])[0], restyle(networks, changed, [COUNT])[0]
    assert np.abs(before[0] - after[0]).max() > 1e-3, "the first frame knows nothing of the last"


def test_a_batch_looks_back_to_the_last_frames_of_the_one_before(networks: Networks) -> None:
    clip = make_clip(COUNT)
    changed = make_clip(COUNT)
    changed.frames[0] = 255 - changed.frames[0]  # reaches the second batch only through the first one's latents
    before, after = restyle(networks, clip, [4, 2])[0], restyle(networks, changed, [4, 2])[0]
    assert np.abs(before[4:] - after[4:]).max() > 1e-3
    assert np.abs(before[4:] - restyle(networks, clip.part(4, 6, starts_shot=True), [2])[0]).max() > 1e-3


def test_it_reads_pictures_beside_an_ip_adapter(
    family_folder: Callable[[str], Path], adapter: Path, tmp_path: Path
) -> None:
    folder = family_folder("sd15")
    extras = Extras(motion_adapter=adapter, ip_adapter=build_ip_adapter(tmp_path / "models", folder))
    both = load_networks(folder, device="cpu", dtype=torch.float32, extras=extras)
    results = []
    for value in (20, 220):
        restyler, reference = ImageRestyler(both, COUNT), Image.new("RGB", (32, 32), (value, 90, 40))
        conditions = restyler.prepare(replace(STYLE, controls={}), reference)
        images, _ = restyler.restyle(make_clip(COUNT), StructureMaps({}), Memory().cut(), conditions)
        results.append(np.stack(list(images)))
    assert np.abs(results[0] - results[1]).mean() > 1e-3


def test_memory_stays_small(networks: Networks) -> None:
    sizes = [restyle(networks, make_clip(4 * n), [4] * n)[1].nbytes for n in (1, 3)]
    assert sizes[0] == sizes[1]


def test_a_cut_forgets(networks: Networks) -> None:
    _, memory = restyle(networks, make_clip(4), [4])
    assert count_before(memory) == OVERLAP
    assert count_before(memory.cut()) == 0


def test_batches_and_compiling_are_what_motion_modules_take(networks: Networks) -> None:
    size = (64, 48)
    assert choose_batch(networks, size) == WINDOW - OVERLAP
    assert choose_batch(networks, size, 20) == 20
    with pytest.raises(StyleError, match="sees 20 new frames at once, not 21"):
        choose_batch(networks, size, 21)
    assert not choose_compile(networks, "auto", size, 10**9, MemoryLoad())


def test_their_betas_are_used(networks: Networks) -> None:
    assert isinstance(networks.scheduler, diffusers.DDIMScheduler)
    assert networks.scheduler.config.beta_schedule == "linear"


def test_a_run_goes_on_bit_by_bit(networks: Networks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stylize.encode.writer.LENGTH", 4)
    source = make_video(
        tmp_path / "in.mkv", 18, codec="ffv1", pixel_format="bgr0", options={}, tagged=False, sound=True
    )
    stylizer, style = Stylizer(networks, batch=5), replace(STYLE, mode="full")
    assert stylizer.convert(source, tmp_path / "whole.mkv", style).frames == 18

    def stop(done: int, _: int | None) -> None:
        if done == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stylizer.convert(source, tmp_path / "out.mkv", style, progress=stop)
    assert stylizer.convert(source, tmp_path / "out.mkv", style, resume=True).resumed_from > 0
    assert np.array_equal(frames(tmp_path / "out.mkv"), frames(tmp_path / "whole.mkv"))


def test_on_the_command_line(family_folder: Callable[[str], Path], adapter: Path, tmp_path: Path) -> None:
    clip = make_video(tmp_path / "clip.mp4", 6)
    code, _, error = run(
        "run", str(clip), "-o", str(tmp_path / "out.mp4"), "--model", str(family_folder("sd15")), "--motion-adapter",
        str(adapter), "--prompt", "oil", "--steps", "2", "--device", "cpu",
    )  # fmt: skip
    assert code == 0 and len(frames(tmp_path / "out.mp4")) == 6, error


def test_what_does_not_fit_is_refused(family_folder: Callable[[str], Path], adapter: Path, tmp_path: Path) -> None:
    def load(path: Path, family: str = "sd15") -> None:
        load_networks(family_folder(family), device="cpu", dtype=torch.float32, extras=Extras(motion_adapter=path))

    with pytest.raises(ModelError, match="is not a motion adapter that fits"):
        load(make_adapter(tmp_path / "wide", (32, 96)))
    with pytest.raises(ModelError, match="is not a motion adapter"):
        load(family_folder("sd15") / "controlnet")
    with pytest.raises(ModelError, match="is a file, and a motion adapter is a folder"):
        load(adapter / "diffusion_pytorch_model.safetensors")
    whole = shutil.copytree(family_folder("sd15"), tmp_path / "pipeline")
    index = whole / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"_class_name": "AnimateDiffPipeline"}))
    with pytest.raises(ModelError, match="use its Stable Diffusion model"):
        load_stylizer(whole)
