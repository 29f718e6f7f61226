"""Where models come from: paths, the hub's cache, one file, the registry and a user's own names."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_models import restyled

from stylize import ModelError, single_file
from stylize.models import load_networks
from stylize.places import fetched, parse_place
from stylize.recipes import recipe_for
from stylize.registry import KNOWN_CONTROLNETS, MODELS, known_models
from stylize.single_file import clip_tokenizer, load_single_file
from stylize.sources import Extras, find_source

Folder = Callable[[str], Path]


def to_cache(cache: Path, repository: str, source: Path) -> Path:
    """A repository as the hub's own cache has it."""
    root = cache / f"models--{repository.replace('/', '--')}"
    snapshot = root / "snapshots" / "0123456789abcdef0123456789abcdef01234567"
    shutil.copytree(source, snapshot)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(snapshot.name)
    return snapshot


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache, offline."""
    folder = tmp_path / "hub"
    folder.mkdir()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_CACHE", str(folder))
    return folder


def test_places(tmp_path: Path) -> None:
    file = tmp_path / "ink.safetensors"
    file.touch()
    assert parse_place(file).path == file and parse_place(tmp_path).path == tmp_path
    place = parse_place("owner/repo/sub/deep/ink.safetensors")
    assert (place.repository, place.subfolder, place.file) == ("owner/repo", "sub/deep", "ink.safetensors")
    place = parse_place("owner/repo")
    assert (place.repository, place.subfolder, place.file, place.folder) == ("owner/repo", "", "", None)


@pytest.mark.parametrize("name", ["nothing", "./nothing", "/no/such/file.safetensors", "~/none", "owner//repo"])
def test_what_is_no_place(name: str) -> None:
    with pytest.raises(ModelError, match="is neither on disk nor a hub id: check the name"):
        parse_place(name)


@pytest.mark.parametrize("suffix", [".ckpt", ".pt", ".pth", ".bin", ".PKL"])
def test_pickles_are_refused(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"model{suffix}"
    file.touch()
    with pytest.raises(ModelError, match=r"is a pickle, which can run code: convert it to \.safetensors"):
        load_networks(file)


def test_a_model_in_the_hubs_cache(cache: Path, tiny_model: Path) -> None:
    to_cache(cache, "someone/tiny", tiny_model)
    networks = load_networks("someone/tiny", device="cpu", dtype=torch.float32)
    assert restyled(networks).std() > 0
    assert set(networks.controlnets) == {"depth", "canny"}


def test_a_file_in_the_hubs_cache(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "repo" / "loras").mkdir(parents=True)
    save_file({"x": torch.zeros(1)}, tmp_path / "repo" / "loras" / "ink.safetensors")
    snapshot = to_cache(cache, "someone/loras", tmp_path / "repo")
    place = fetched(parse_place("someone/loras/loras/ink.safetensors"), ["*.safetensors"])
    assert place.path == snapshot / "loras" / "ink.safetensors"


def test_not_on_disk_and_offline(cache: Path) -> None:
    with pytest.raises(ModelError, match=r"someone/else: not on disk, and offline: go online once, or name a folder"):
        load_networks("someone/else")


def test_offline_asks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: Any, local_files_only: bool = False, **__: Any) -> str:
        from huggingface_hub.errors import LocalEntryNotFoundError

        assert local_files_only, "the hub was asked"
        raise LocalEntryNotFoundError("not here")

    monkeypatch.setattr("huggingface_hub.snapshot_download", asked)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with pytest.raises(ModelError, match="not on disk, and offline"):
        load_networks("someone/else", offline=True)


def test_a_download_says_its_size_first(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And asks for no pickle, no second copy in another format."""
    from types import SimpleNamespace

    from huggingface_hub.errors import LocalEntryNotFoundError

    asked: list[list[str]] = []

    def download(_: str, *, allow_patterns: list[str], local_files_only: bool = False) -> str:
        if local_files_only:
            raise LocalEntryNotFoundError("not here")
        asked.append(allow_patterns)
        return str(tiny_model)

    files = {"unet/diffusion_pytorch_model.safetensors": 3_000_000_000, "unet/diffusion_pytorch_model.bin": 9**12}
    siblings = [SimpleNamespace(rfilename=name, size=size) for name, size in files.items()]
    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda *_, **__: SimpleNamespace(siblings=siblings))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    said: list[str] = []
    find_source("someone/tiny", Extras(), say=said.append)
    assert said == ["someone/tiny: 3.0 GB come from the hub, once"]
    assert not any(pattern.endswith((".bin", ".ckpt", ".pt")) for pattern in asked[0])


def test_a_download_that_breaks_off(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub.errors import LocalEntryNotFoundError

    def download(*_: Any, **__: Any) -> str:
        raise LocalEntryNotFoundError("connection lost")

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with pytest.raises(ModelError, match="not on disk and not on the hub: check the name, or go online once; what has"):
        find_source("someone/tiny", Extras())


def test_half_of_a_model_in_the_cache(cache: Path, tiny_model: Path) -> None:
    snapshot = to_cache(cache, "someone/half", tiny_model)
    (snapshot / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ModelError, match="its unet cannot be loaded: the folder lacks a file"):
        load_networks("someone/half")


def test_half_precision_files_alone(tiny_model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_model, tmp_path / "fp16")
    for path in folder.rglob("*.safetensors"):
        if path.parent.name in ("unet", "vae", "text_encoder", "controlnet", "controlnet_1"):
            save_file({k: v.half() for k, v in load_file(path).items()}, path.with_suffix(".fp16.safetensors"))
            path.unlink()
    assert restyled(load_networks(folder, device="cpu", dtype=torch.float32)).std() > 0


@pytest.mark.parametrize(
    ("name", "scheduler", "steps"),
    [
        ("lcm-lora-sdv1-5", "LCMScheduler", 4), ("LCM_Dreamshaper_v7", "LCMScheduler", 4),
        ("sdxl-turbo", "EulerAncestralDiscreteScheduler", 4), ("sdxl_lightning_8step", "EulerDiscreteScheduler", 8),
        ("Hyper-SD15-2steps-lora", "DDIMScheduler", 2), ("Hyper-SDXL-1step-lora", "TCDScheduler", 1),
        ("TCD-SD15-LoRA", "TCDScheduler", 4),
    ],
)  # fmt: skip
def test_few_step_forms_are_told_by_their_names(name: str, scheduler: str, steps: int) -> None:
    recipe = recipe_for(["plain", name])
    assert recipe is not None and (recipe.scheduler, recipe.steps, recipe.guidance_scale) == (scheduler, steps, 1.0)


@pytest.mark.parametrize("name", ["hyperrealism_v3", "stable-diffusion-v1-5", "turbocharged", "dreamshaper_8", "welcm"])
def test_plain_names_have_no_recipe(name: str) -> None:
    assert recipe_for([name]) is None


def test_a_folder_on_the_way_is_no_recipe(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "turbo").mkdir()
    folder = shutil.copytree(tiny_model, tmp_path / "turbo" / "plain")
    assert find_source(str(folder), Extras(loras={tmp_path / "lcm" / "ink.safetensors": 1.0})).recipe is None


def test_a_download_that_broke_off_is_completed(cache: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in the cache is no reason not to ask for the rest."""
    snapshot = to_cache(cache, "someone/half", tiny_model)
    weights = snapshot / "unet" / "diffusion_pytorch_model.safetensors"
    weights.unlink()

    def download(_: str, *, allow_patterns: list[str], local_files_only: bool = False) -> str:
        if not local_files_only:
            shutil.copy(tiny_model / "unet" / weights.name, weights)
        return str(snapshot)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    assert restyled(load_networks("someone/half", device="cpu")).std() > 0


def test_a_few_step_folder_is_sampled_as_it_was_made(tiny_model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_model, tmp_path / "tiny-lightning-4step")
    settings = json.loads((folder / "stylize.json").read_text())
    settings.pop("defaults")
    (folder / "stylize.json").write_text(json.dumps(settings))
    networks = load_networks(folder, device="cpu")
    assert type(networks.scheduler).__name__ == "EulerDiscreteScheduler"
    assert networks.scheduler.config.timestep_spacing == "trailing"
    assert (networks.defaults.steps, networks.defaults.guidance_scale) == (4, 1.0)
    plain = shutil.copytree(folder, tmp_path / "plain")
    assert load_networks(plain, device="cpu").defaults.steps == 20


def test_own_names(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "models.toml"
    canny = tiny_model / "controlnet_1"
    file.write_text(f'[mine]\nbase = "{tiny_model}"\npurpose = "tests"\ncontrolnets = {{ canny = "{canny}" }}\n')
    monkeypatch.setenv("STYLIZE_MODELS", str(file))
    card = known_models()["mine"]
    assert card.on_disk and card.purpose == "tests" and set(known_models()) == {*MODELS, "mine"}
    networks = load_networks("mine", device="cpu")
    assert networks.name == "mine" and list(networks.controlnets) == ["canny"]


@pytest.mark.parametrize("text", ["[mine", "[mine]\nbase = 'x'\ncolour = 'red'", "mine = 3", "[mine]\npurpose = 'x'"])
def test_a_broken_list_of_own_names(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "models.toml"
    file.write_text(text)
    monkeypatch.setenv("STYLIZE_MODELS", str(file))
    with pytest.raises(ModelError, match=r"models\.toml: is no list of models .*: give each a table with its base"):
        known_models()


def test_controls_that_a_run_asks_for(tiny_model: Path) -> None:
    """Only their ControlNets are loaded; published ones of the family are known by their short names."""
    extras = Extras(controls=["canny"])
    assert list(load_networks(tiny_model, device="cpu", extras=extras).controlnets) == ["canny"]
    assert set(KNOWN_CONTROLNETS["SD 1.5"]) >= {
        "depth", "canny", "softedge", "lineart", "lineart_anime", "openpose", "normal", "mlsd", "tile", "shuffle",
    }  # fmt: skip


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
    message = "is no .safetensors file" if content == "garbage" else "is no checkpoint of SD 1.5, SD 2.1 or SDXL"
    with pytest.raises(ModelError, match=message):
        load_single_file(path, torch.float32)
