"""Where a model's parts are, and its defaults."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from clips import restyled
from stylize.errors import ModelError
from stylize.models.loading import load_networks
from stylize.models.parts import Extras, find_source
from stylize.models.registry import KNOWN_CONTROLNETS


def test_half_precision_files_alone(tiny_model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_model, tmp_path / "fp16")
    for path in folder.rglob("*.safetensors"):
        if path.parent.name in ("unet", "vae", "text_encoder", "controlnet", "controlnet_1"):
            save_file({k: v.half() for k, v in load_file(path).items()}, path.with_suffix(".fp16.safetensors"))
            path.unlink()
    assert restyled(load_networks(folder, device="cpu", dtype=torch.float32)).std() > 0


def test_a_folder_on_the_way_is_no_recipe(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "turbo").mkdir()
    folder = shutil.copytree(tiny_model, tmp_path / "turbo" / "plain")
    assert find_source(str(folder), Extras(loras={tmp_path / "lcm" / "ink.safetensors": 1.0})).recipe is None


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


def test_controls_that_a_run_asks_for(tiny_model: Path) -> None:
    """Only their ControlNets are loaded; published ones of the family are known by their short names."""
    extras = Extras(controls=["canny"])
    assert list(load_networks(tiny_model, device="cpu", extras=extras).controlnets) == ["canny"]
    assert set(KNOWN_CONTROLNETS["SD 1.5"]) >= {
        "depth", "canny", "softedge", "lineart", "lineart_anime", "openpose", "normal", "mlsd", "tile", "shuffle",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("cells", {"mosaic": "bricks"}),
        ("cells", {"mosaik": "stones"}),
        ("cells", ["mosaic"]),
        ("pixels", {"mosaic": 0}),
        ("pixels", {"mosaic": "many"}),
        ("grades", {"night": {"shine": 1}}),
    ],
)
def test_settings_that_mean_nothing_are_one_error(tiny_model: Path, tmp_path: Path, key: str, value: object) -> None:
    folder = shutil.copytree(tiny_model, tmp_path / "odd")
    settings = {"words": ["mosaic"], "looks": {"mosaic": ["mosaic"]}, key: value}
    (folder / "stylize.json").write_text(json.dumps(json.loads((folder / "stylize.json").read_text()) | settings))
    with pytest.raises(ModelError, match=r"mean nothing.*stones.*screen"):
        load_networks(folder, device="cpu")
