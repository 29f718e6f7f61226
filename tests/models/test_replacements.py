"""ControlNets and VAEs as the files that people have."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import ControlNetModel
from safetensors.torch import load_file, save_file

from ldm_names import controlnet_tensors, single_file_tensors
from stylize import ModelError
from stylize.models.loading import load_networks
from stylize.models.parts import Extras

Folder = Callable[[str], Path]
WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.mark.parametrize("kind", ["beside its config", "alone", "alone in a folder"])
def test_a_controlnet_as_a_file(family_folder: Folder, tmp_path: Path, kind: str) -> None:
    folder = family_folder("sd15")
    path = folder / "controlnet" / WEIGHTS
    if kind != "beside its config":
        path = Path(shutil.copy(path, tmp_path / "depth.safetensors"))
    place = tmp_path if kind == "alone in a folder" else path
    networks = load_networks(folder, device="cpu", dtype=torch.float32, extras=Extras(controlnets={"depth": place}))
    own = load_networks(folder, device="cpu", dtype=torch.float32)
    control = torch.rand(1, 3, 64, 48)
    assert torch.equal(networks.embed_control("depth", control), own.embed_control("depth", control))
    loaded = dict(networks.controlnets["depth"].network.named_parameters())
    for name, value in own.controlnets["depth"].network.named_parameters():
        assert torch.equal(loaded[name], value), name


@pytest.mark.parametrize("prefix", ["control_model.", ""])
def test_a_controlnet_under_its_original_names(family_folder: Folder, tmp_path: Path, prefix: str) -> None:
    """As lllyasviel's repositories hold them, whose hint always goes through these numbers of channels."""
    folder = family_folder("sd15")
    unet = load_networks(folder, device="cpu", dtype=torch.float32).unet
    net = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(16, 32, 96, 256))
    net.save_pretrained(tmp_path / "net")
    path = tmp_path / "control_v11f1p_sd15_depth.safetensors"
    tensors = controlnet_tensors(tmp_path / "net")
    save_file({prefix + name.removeprefix("control_model."): value for name, value in tensors.items()}, path)
    networks = load_networks(folder, device="cpu", dtype=torch.float32, extras=Extras(controlnets={"depth": path}))
    control = torch.rand(1, 3, 64, 48)
    assert torch.equal(networks.embed_control("depth", control), net.controlnet_cond_embedding(control))
    loaded = dict(networks.controlnets["depth"].network.named_parameters())
    for name, value in net.named_parameters():
        assert name.startswith("controlnet_cond_embedding.") or torch.equal(loaded[name], value), name


@pytest.mark.parametrize(
    ("name", "kind"),
    [("lora_controlnet", "a Control-LoRA"), ("lllite_unet_x.up.0.weight", "a ControlLLLite"),
     ("adapter.body.0.weight", "a T2I-Adapter"), ("lora_unet_x.lora_up.weight", "a LoRA")],
)  # fmt: skip
def test_files_that_only_look_like_controlnets(family_folder: Folder, tmp_path: Path, name: str, kind: str) -> None:
    save_file({name: torch.zeros(2)}, tmp_path / "thing.safetensors")
    extras = Extras(controlnets={"depth": tmp_path / "thing.safetensors"})
    with pytest.raises(ModelError, match=f"is {kind}, not a ControlNet"):
        load_networks(family_folder("sd15"), device="cpu", extras=extras)


@pytest.mark.parametrize("layout", ["diffusers", "original", "beside its config"])
def test_a_vae_as_a_file(family_folder: Folder, tmp_path: Path, layout: str) -> None:
    folder, path = family_folder("sd15"), tmp_path / "vae.safetensors"
    stored = folder / "vae" / WEIGHTS
    if layout == "original":
        names = "first_stage_model."
        tensors = single_file_tensors(folder)
        save_file({k.removeprefix(names): v for k, v in tensors.items() if k.startswith(names)}, path)
    elif layout == "diffusers":
        shutil.copy(stored, path)
    else:
        path = stored
    networks = load_networks(folder, device="cpu", dtype=torch.float32, extras=Extras(vae=path))
    for name, value in load_file(stored).items():
        assert torch.equal(networks.pipe.vae.get_parameter(name), value), name
