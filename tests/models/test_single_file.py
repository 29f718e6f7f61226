"""Checkpoints in one file."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from stylize import ModelError
from stylize.models import single_file
from stylize.models.loading import load_networks
from stylize.models.parts import Extras
from stylize.models.single_file import clip_tokenizer, load_single_file

Folder = Callable[[str], Path]


def test_clips_tokenizer() -> None:
    """Token numbers as every CLIP of SD 1.5 has them."""
    tokenizer = clip_tokenizer("<|endoftext|>")
    assert len(tokenizer) == 49408
    assert tokenizer("a photo of a cat").input_ids == [49406, 320, 1125, 539, 320, 2368, 49407]
    padded = clip_tokenizer("!")("ink", padding="max_length", max_length=6).input_ids
    assert padded[-1] == 0 and padded[2] == 49407


def to_single_file(folder: Path, path: Path) -> Path:
    """A diffusers folder's weights under the names that Stability's own code gave them."""
    from ldm_names import single_file_tensors

    save_file(single_file_tensors(folder), path)
    return path


def test_a_checkpoint_in_one_file(family_folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same frames as the folder that it was made of."""
    folder = family_folder("sd15")
    path = to_single_file(folder, tmp_path / "mine.safetensors")
    monkeypatch.setattr(single_file, "_write_configs", lambda *_: folder)
    nets = {name: folder / net for name, net in (("depth", "controlnet"), ("canny", "controlnet_1"))}
    one = load_networks(path, device="cpu", dtype=torch.float32, extras=Extras(controlnets=nets))
    other = load_networks(folder, device="cpu", dtype=torch.float32)
    for name, parameter in other.unet.named_parameters():
        assert torch.equal(parameter, one.unet.get_parameter(name)), name
    for name, parameter in other.vae.named_parameters():
        assert torch.equal(parameter, one.vae.get_parameter(name)), name
    for name, parameter in other.pipe.text_encoder.named_parameters():
        assert torch.equal(parameter, one.pipe.text_encoder.get_parameter(name)), name


@pytest.mark.parametrize("kind", ["v1", "v2", "xl_base"])
def test_the_families_configurations_are_whole(kind: str, tmp_path: Path) -> None:
    """Each part is made from them without a word about unknown or missing fields."""
    import diffusers
    import transformers

    folder = single_file._write_configs(tmp_path, kind)
    with torch.device("meta"):
        unet = diffusers.UNet2DConditionModel.from_config(json.loads((folder / "unet" / "config.json").read_text()))
        vae = diffusers.AutoencoderKL.from_config(json.loads((folder / "vae" / "config.json").read_text()))
        text = transformers.CLIPTextModel(transformers.CLIPTextConfig.from_pretrained(folder / "text_encoder"))
    millions = {"v1": (859.5, 83.7, 123.1), "v2": (865.9, 83.7, 340.4), "xl_base": (2567.5, 83.7, 123.1)}[kind]
    for network, count in zip((unet, vae, text), millions, strict=True):
        assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(count, abs=0.1)


@pytest.mark.parametrize("content", ["lora", "empty", "garbage"])
def test_a_file_that_is_no_checkpoint(content: str, tmp_path: Path) -> None:
    path = tmp_path / "thing.safetensors"
    if content == "garbage":
        path.write_bytes(os.urandom(100))
    else:
        save_file({"lora_unet_x.lora_up.weight": torch.zeros(2)} if content == "lora" else {}, path)
    message = "is not a .safetensors file" if content == "garbage" else "is not a checkpoint of SD 1.5, SD 2.1 or SDXL"
    with pytest.raises(ModelError, match=message):
        load_single_file(path, torch.float32)


def as_file(
    folder: Path, path: Path, *left_out: str, dtype: torch.dtype = torch.float32, **added: torch.Tensor
) -> Path:
    from ldm_names import single_file_tensors

    tensors = {k: v.to(dtype) for k, v in single_file_tensors(folder).items() if not k.startswith(left_out)}
    save_file(tensors | added, path)
    return path


def test_a_checkpoint_without_a_part(family_folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = family_folder("sd15")
    monkeypatch.setattr(single_file, "_write_configs", lambda *_: folder)
    nets = {"depth": folder / "controlnet"}
    path = as_file(folder, tmp_path / "a.safetensors", "cond_stage_model.")
    with pytest.raises(ModelError, match="has no text encoder"):
        load_networks(path, device="cpu", extras=Extras(controlnets=nets))
    path = as_file(folder, tmp_path / "b.safetensors", "first_stage_model.")
    with pytest.raises(ModelError, match="has no VAE: add one with --vae"):
        load_networks(path, device="cpu", extras=Extras(controlnets=nets))
    one = load_networks(path, device="cpu", dtype=torch.float32, extras=Extras(controlnets=nets, vae=folder / "vae"))
    other = load_networks(folder, device="cpu", dtype=torch.float32)
    for name, parameter in other.pipe.vae.named_parameters():
        assert torch.equal(parameter, one.pipe.vae.get_parameter(name)), name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e4m3fn])
def test_checkpoints_in_short_numbers(
    family_folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    folder = family_folder("sd15")
    monkeypatch.setattr(single_file, "_write_configs", lambda *_: folder)
    path, nets = as_file(folder, tmp_path / "short.safetensors", dtype=dtype), {"depth": folder / "controlnet"}
    one = load_networks(path, device="cpu", dtype=torch.float32, extras=Extras(controlnets=nets))
    for name, parameter in load_networks(folder, device="cpu", dtype=torch.float32).unet.named_parameters():
        assert torch.equal(parameter.to(dtype).float(), one.unet.get_parameter(name).float()), name


@pytest.mark.parametrize(
    ("markers", "expected"),
    [
        ((), ("epsilon", False)),
        (("v_pred",), ("v_prediction", False)),
        (("v_pred", "ztsnr"), ("v_prediction", True)),
    ],
)
def test_markers_of_velocity(
    family_folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, markers: tuple[str, ...],
    expected: tuple[str, bool],
) -> None:  # fmt: skip
    folder = family_folder("sd15")
    monkeypatch.setattr(single_file, "_write_configs", lambda *_: folder)
    path = as_file(folder, tmp_path / "v.safetensors", **{name: torch.zeros(0) for name in markers})
    nets = {"depth": folder / "controlnet"}
    config = load_networks(path, device="cpu", extras=Extras(controlnets=nets)).scheduler.config
    assert (config.prediction_type, config.get("rescale_betas_zero_snr", False)) == expected


@pytest.mark.parametrize(("steps", "expected"), [(875000, "epsilon"), (110000, "v_prediction"), (None, "v_prediction")])
def test_the_base_model_of_sd_2_predicts_noise(
    family_folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int | None, expected: str
) -> None:
    """Both models of SD 2.1 have the same weights' names; the number of training steps tells them apart."""
    folder, configs = family_folder("sd15"), tmp_path / "configs"
    shutil.copytree(folder, configs)
    scheduler = configs / "scheduler" / "scheduler_config.json"
    scheduler.write_text(json.dumps(json.loads(scheduler.read_text()) | {"prediction_type": "v_prediction"}))
    monkeypatch.setattr(single_file, "_write_configs", lambda *_: configs)
    monkeypatch.setattr(single_file, "infer_diffusers_model_type", lambda _: "v2")
    markers = {} if steps is None else {"global_step": torch.tensor(steps)}
    path = as_file(folder, tmp_path / "v2.safetensors", **markers)
    networks = load_networks(path, device="cpu", extras=Extras(controlnets={"depth": folder / "controlnet"}))
    assert networks.scheduler.config.prediction_type == expected
