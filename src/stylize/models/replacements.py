"""Loads ControlNets and VAEs that replace a model's own or add to it: from folders, and from the files people have."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from stylize.errors import ModelError, Say, explained
from stylize.models.hub import BROKEN_FILES, Place
from stylize.models.registry import KNOWN_VAES
from stylize.networks import ControlNet, patches
from stylize.networks.controlnets import UnionControlNet
from stylize.networks.family import architecture, family

CONTROLNETS = {
    "ControlNetUnionModel": diffusers.ControlNetUnionModel, "ChangeControlNet": patches.ChangeControlNet
}  # fmt: skip
"""Classes of ControlNets by the name in their configuration; the others are diffusers' own."""
OTHER_NETWORKS = {
    "lora_controlnet": "a Control-LoRA", "lllite": "a ControlLLLite", "adapter.": "a T2I-Adapter",
    "body.0.": "a T2I-Adapter", "lora_": "a LoRA", "model.diffusion_model.": "a whole checkpoint",
}  # fmt: skip
"""What parts of the names of weights say of a file that is no ControlNet."""


def load_controlnets(locations: Mapping[str, Place], unet: Any, dtype: torch.dtype) -> dict[str, ControlNet]:
    """Loads ControlNets by control name; controls of one ControlNet-Union share its network."""
    nets: dict[str, ControlNet] = {}
    unions: dict[Path, UnionControlNet] = {}
    for name, location in locations.items():
        shared = unions.get(location.path)
        network = shared.network if shared else _load_controlnet(location, unet, dtype)
        if isinstance(network, diffusers.ControlNetUnionModel):
            nets[name] = union = UnionControlNet(network, name, shared)
            unions[location.path] = shared or union
        else:
            nets[name] = ControlNet(network)
    return nets


def _load_controlnet(location: Place, unet: Any, dtype: torch.dtype) -> Any:
    what = f"{location.text}: is not a ControlNet that can be loaded"
    path, advice = location.path, "name its folder in diffusers format, its file, or a hub id"
    if path.is_dir() and not (path / "config.json").is_file():
        files = sorted(path.glob("*.safetensors"))
        if len(files) != 1:
            raise ModelError(what, "it must hold config.json and weights")
        path = files[0]
    with explained(ModelError, what, advice, BROKEN_FILES):
        if path.is_file():
            net = _read_controlnet(location.text, path, unet, dtype)
        else:
            kind = diffusers.ControlNetModel.load_config(path).get("_class_name")
            net = CONTROLNETS.get(kind, diffusers.ControlNetModel).from_pretrained(
                path, dtype=dtype, use_safetensors=True, local_files_only=True, **choose_variant(path)
            )
    for ours, theirs in zip(architecture(net), architecture(unet), strict=True):
        if ours != theirs:
            made_for, given = family(net), family(unet)
            what = f"{location.text}: is a ControlNet for {made_for}, the model is of {given}"
            raise ModelError(what, "use one that was made for the model's family")
    return net


def _read_controlnet(text: str, path: Path, unet: Any, dtype: torch.dtype) -> Any:
    """Reads a ControlNet's file, in diffusers' names or in the original ones, as one of the model's family."""
    names = names_in(path)
    for part, kind in OTHER_NETWORKS.items():
        if any(part in name for name in names):
            raise ModelError(f"{text}: is {kind}, not a ControlNet", "use a ControlNet for the model's family")
    if (path.parent / "config.json").is_file() and any(name.startswith("controlnet_cond_embedding") for name in names):
        return diffusers.ControlNetModel.from_pretrained(
            path.parent, dtype=dtype, use_safetensors=True, local_files_only=True, **choose_variant(path.parent)
        )
    options = {}
    if "controlnet_cond_embedding.conv_in.weight" in names:
        layers = ("conv_in", *(f"blocks.{i}" for i in range(1, len(names), 2)))
        stored = load_file(path)
        weights = (stored.get(f"controlnet_cond_embedding.{layer}.weight") for layer in layers)
        options["conditioning_embedding_out_channels"] = tuple(len(w) for w in weights if w is not None)
    net = diffusers.ControlNetModel.from_unet(unet, load_weights_from_unet=False, **options)
    return _read_file(net, path, "controlnet_cond_embedding", dtype)


def _read_file(network: Any, path: Path, own: str, dtype: torch.dtype) -> Any:
    """Reads a file's weights into a network of that shape.

    Args:
        own: beginning of names of weights in diffusers' layout; others are converted from the original layout.
    """
    if any(name.startswith(own) for name in names_in(path)):
        network.load_state_dict(load_file(path))
        return network.to(dtype)
    with tempfile.TemporaryDirectory() as folder:
        network.save_config(folder)
        return type(network).from_single_file(str(path), config=folder, dtype=dtype, local_files_only=True)


def names_in(path: Path) -> tuple[str, ...]:
    """Returns the names of the weights in a .safetensors file."""
    with safe_open(path, "pt") as stored:
        return tuple(stored.keys())


def find_vae(name: str, family_name: str, say: Say | None) -> str:
    """Returns the hub id of a VAE that has a name, and says what it costs and brings; anything else as it is.

    Raises:
        ModelError: the name is for other families.
    """
    if not any(name in vaes for vaes in KNOWN_VAES.values()):
        return name
    if name not in KNOWN_VAES.get(family_name, {}):
        raise ModelError(f"there is no {name} for {family_name}", f"{name} is for {', '.join(KNOWN_VAES)}")
    if say is not None:
        say(f"vae {name}: a small approximation of the model's own; far quicker and lighter, with less fine detail")
    return KNOWN_VAES[family_name][name]


def load_vae(location: Place, own: Any, dtype: torch.dtype) -> Any:
    """Loads an AutoencoderKL, or an AutoencoderTiny such as TAESD; a file as one like the model's `own`."""
    what, path = f"{location.text}: is not a VAE that can be loaded", location.path
    with explained(ModelError, what, "name a folder in diffusers format, or a file", BROKEN_FILES):
        if path.is_file() and not (path.parent / "config.json").is_file():
            return _read_file(diffusers.AutoencoderKL.from_config(own.config), path, "encoder.down_blocks", dtype)
        folder = path.parent if path.is_file() else path
        vae_class = getattr(diffusers, diffusers.AutoencoderKL.load_config(folder)["_class_name"])
        if vae_class not in (diffusers.AutoencoderKL, diffusers.AutoencoderTiny):
            raise ValueError(vae_class)
        return vae_class.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, local_files_only=True, **choose_variant(folder)
        )


def choose_variant(folder: Path) -> dict[str, str]:
    """Returns the options that select half-precision weights if the folder has no others."""
    full_precision = [p for p in folder.glob("*.safetensors*") if ".fp16." not in p.name]
    return {"variant": "fp16"} if not full_precision and any(folder.glob("*.fp16.safetensors")) else {}
