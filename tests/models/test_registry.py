"""Named models."""

from __future__ import annotations

from pathlib import Path

import pytest

from stylize import ModelError
from stylize.models import known_models
from stylize.models.loading import load_networks
from stylize.models.registry import MODELS


def test_registry_is_plain_and_true() -> None:
    assert next(iter(MODELS)) == "pocket"
    for card in MODELS.values():
        assert card.licence and card.purpose and card.size_mb > 0


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
    with pytest.raises(ModelError, match=r"models\.toml: is not a list of models .*: give each a table with its base"):
        known_models()


def test_an_own_model_in_a_folder(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models.toml").write_text(f'[mine]\nbase = "mine"\nfolder = "{tiny_model}"\n')
    monkeypatch.setenv("STYLIZE_MODELS", str(tmp_path / "models.toml"))
    card = known_models()["mine"]
    assert card.on_disk and card.looks == () and card.facts()["on_disk"]
    assert load_networks("mine", device="cpu").name == "mine"
