"""Where models come from: paths, the hub's cache, one file, the registry and a user's own names."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from clips import restyled
from stylize import ModelError
from stylize.models.hub import fetch, parse_place
from stylize.models.loading import load_networks
from stylize.models.parts import Extras, find_source


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
    place = fetch(parse_place("someone/loras/loras/ink.safetensors"), ["*.safetensors"])
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
