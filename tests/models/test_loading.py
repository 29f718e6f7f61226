"""Loading models: the layouts that exist, and what is said when something is missing."""

from __future__ import annotations

import json
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from clips import restyled
from media import picture
from stylize import Clip, ModelError, Style, Stylizer, load_stylizer
from stylize.models.loading import load_networks
from stylize.networks import Networks
from stylize.networks.image_networks import ControlNet


def test_a_folder_loads_twice_alike(tiny: Networks, tiny_model: Path) -> None:
    assert np.array_equal(restyled(tiny), restyled(load_networks(tiny_model, device="cpu", dtype=torch.float32)))


def test_the_hubs_layout_with_controlnets_of_their_own(tiny_model: Path, tmp_path: Path) -> None:
    """A plain SD 1.5 repository and two ControlNet repositories, each a folder as the hub has it."""
    base = tmp_path / "stable-diffusion-v1-5"
    shutil.copytree(tiny_model, base, ignore=shutil.ignore_patterns("controlnet*", "stylize.json", "depth"))
    index = json.loads((base / "model_index.json").read_text())
    index.pop("controlnet")
    index["_class_name"] = "StableDiffusionPipeline"
    (base / "model_index.json").write_text(json.dumps(index))
    canny = shutil.copytree(tiny_model / "controlnet_1", tmp_path / "control_v11p_sd15_canny")
    networks = load_stylizer(base, device="cpu", dtype=torch.float32, controlnets={"canny": canny}).networks
    assert list(networks.controlnets) == ["canny"] and networks.defaults.steps == 20
    clip = Clip(picture(0)[None], (Fraction(0),), (Fraction(1, 25),))
    out = next(Stylizer(networks).stream([clip], Style(prompt="ink", controls={"canny": 1.0}, steps=2, strength=0.5)))
    assert out.frames.shape == clip.frames.shape


def test_controlnets_named_by_their_folders(tiny_model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    (folder / "stylize.json").unlink()
    for old, new in (("controlnet", "controlnet_depth"), ("controlnet_1", "controlnet_canny")):
        (folder / old).rename(folder / new)
    assert set(load_networks(folder, device="cpu").controlnets) == {"depth", "canny"}


def test_bgr_controlnets_see_what_diffusers_shows_them(tiny_model: Path) -> None:
    import diffusers

    def load() -> diffusers.ControlNetModel:
        net = diffusers.ControlNetModel.from_pretrained(tiny_model / "controlnet", local_files_only=True)
        net.register_to_config(controlnet_conditioning_channel_order="bgr")
        return net.eval()

    torch.manual_seed(0)
    latents, text, control = torch.randn(1, 4, 6, 8), torch.randn(1, 77, 32), torch.rand(1, 3, 48, 64)
    arguments = {"timestep": torch.tensor(500), "encoder_hidden_states": text, "return_dict": False}
    with torch.inference_mode():
        expected = load()(latents, controlnet_cond=control, **arguments)[1]
        ours = ControlNet(load()).to(torch.device("cpu"))
        got = ours.network(latents, controlnet_cond=ours.embed(control), **arguments)[1]
    assert torch.allclose(got, expected, atol=1e-6)


def test_unknown_name() -> None:
    with pytest.raises(ModelError) as error:
        load_networks("poket")
    assert str(error.value) == (
        "unknown model 'poket': use pocket, sd15, sd15-lcm, sdxl, sdxl-lightning, sd15-inpaint, animatediff, wan-vace, "
        "or a folder in diffusers format"
    )


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is not a model folder: it must hold model_index\.json"):
        load_networks(tmp_path)


def test_a_file_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.touch()
    with pytest.raises(ModelError, match=r"is not a \.safetensors file: it is damaged"):
        load_networks(path)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "tokenizer", "scheduler", "controlnet_1"])
def test_a_missing_part_is_named_at_once(tiny_model: Path, tmp_path: Path, part: str) -> None:
    """And never becomes a request to the hub for a repository of that name."""
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    shutil.rmtree(folder / part)
    with pytest.raises(ModelError, match=part):
        load_networks(folder, device="cpu")


def test_pickled_weights_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(ModelError, match=r"its unet cannot be loaded: .* no \.safetensors weights"):
        load_networks(folder, device="cpu")


def test_a_foreign_class_is_not_taken(tiny_model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    index = json.loads((folder / "model_index.json").read_text())
    index["unet"] = ["os", "system"]
    (folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match=r"names no usable unet \(system\)"):
        load_networks(folder, device="cpu")


def test_a_broken_settings_file(tiny_model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    (folder / "stylize.json").write_text("{")
    with pytest.raises(ModelError, match=r"stylize\.json: is not JSON"):
        load_networks(folder, device="cpu")


def test_a_hub_model_that_is_not_on_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="not on disk, and offline: go online once, or name a folder that has it"):
        load_networks("nobody/nothing", device="cpu")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_other_dtypes_run(tiny_model: Path, dtype: torch.dtype) -> None:
    networks = load_networks(tiny_model, device="cpu", dtype=dtype)
    assert {p.dtype for p in networks.unet.parameters()} == {dtype}
    assert restyled(networks).std() > 0


@pytest.mark.gpu
def test_gpu_and_cpu_agree(tiny_model: Path) -> None:
    cpu = restyled(load_networks(tiny_model, device="cpu", dtype=torch.float32)).astype(int)
    gpu = restyled(load_networks(tiny_model, device="cuda", dtype=torch.float32)).astype(int)
    assert np.abs(cpu - gpu).mean() < 1
