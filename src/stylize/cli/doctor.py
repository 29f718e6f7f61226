"""Looks the installation over: versions, devices, what is installed twice or broken, which models are on disk."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from stylize.models import known_models
from stylize.models.hub import hub_cache
from stylize.models.registry import models_file

PACKAGES = (
    "stylize", "torch", "torchvision", "diffusers", "transformers", "controlnet-aux", "peft", "compel", "av", "decord",
    "opencv-python-headless", "numpy", "gradio", "OpenEXR",
)  # fmt: skip
OPTIONAL = {
    "decord": "PyAV reads every video instead",
    "gradio": "pip install 'stylize[ui]' for the page",
    "OpenEXR": "pip install 'stylize[exr]' for a renderer's depth",
}
MODULES = ("torch", "torchvision", "cv2", "av", "diffusers", "transformers", "peft", "compel")
ENCODERS = ("libx264", "libx265", "libvpx-vp9", "libsvtav1", "prores_ks", "ffv1")


@dataclass
class Findings:
    """What was found, as lines, and what is wrong."""

    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def examine() -> Findings:
    """Everything; it takes some seconds, for the libraries are really imported."""
    found = Findings()
    found.lines.append(f"Python {platform.python_version()} on {platform.platform()}, {os.cpu_count()} cores")
    _versions(found)
    _twice(found)
    _imports(found)
    _devices(found)
    _encoders(found)
    _models(found)
    return found


def _versions(found: Findings) -> None:
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            if name not in OPTIONAL:
                found.problems.append(f"{name} is not installed: pip install --upgrade stylize")
            else:
                versions[name] = f"none ({OPTIONAL[name]})"
    found.lines += [f"{name} {version}" for name, version in versions.items()]


def _twice(found: Findings) -> None:
    """Several builds of OpenCV write over each other's files."""
    names = {str(d.metadata["Name"]).lower() for d in metadata.distributions() if d.metadata["Name"]}
    if len(opencv := sorted(name for name in names if name.startswith("opencv-"))) > 1:
        others = " ".join(name for name in opencv if name != "opencv-python-headless")
        found.problems.append(
            f"OpenCV is installed {len(opencv)} times ({', '.join(opencv)}): pip uninstall {others}, then "
            "pip install --force-reinstall opencv-python-headless"
        )


def _imports(found: Findings) -> None:
    for name in MODULES:
        try:
            importlib.import_module(name)
        except Exception as error:
            reason = " ".join(str(error).split())[:120]
            found.problems.append(f"{name} cannot be imported ({reason}): install it again")


def _devices(found: Findings) -> None:
    import torch

    from stylize.networks import choose_device
    from stylize.networks.devices import default_dtype, free_bytes

    best = choose_device(None)
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    found.lines.append(f"GPUs: {', '.join(names) or ('Apple' if best.type == 'mps' else 'none')}")
    free = free_bytes(best)
    memory = "" if free is None else f", {free / 1e9:.1f} GB free"
    found.lines.append(f"runs on {best} in {str(default_dtype(best)).removeprefix('torch.')}{memory}")
    if shutil.which("nvidia-smi") and not names:
        found.problems.append("there is an NVIDIA driver, but this torch sees no GPU: install torch with CUDA")


def _encoders(found: Findings) -> None:
    import av

    missing = [name for name in ENCODERS if name not in av.codecs_available]
    found.lines.append(f"encoders: {', '.join(name for name in ENCODERS if name not in missing)}")
    if "libx264" in missing:
        found.problems.append("this build of PyAV cannot write H.264: pip install --force-reinstall av")


def _models(found: Findings) -> None:
    cards = known_models()
    here = [name for name, card in cards.items() if card.on_disk]
    found.lines.append(f"models on disk: {', '.join(here) or 'none'}; known: {', '.join(cards)}")
    own = models_file()
    found.lines.append(f"own names: {own}{'' if own.is_file() else ' (not there)'}")
    cache = hub_cache()
    place = next(p for p in (cache, *cache.parents) if p.exists())
    found.lines.append(f"hub cache: {cache}, {shutil.disk_usage(place).free / 1e9:.0f} GB free")
    if "pocket" not in here:
        found.problems.append("the built-in model is missing: install the package again")
    if half := sorted(Path(cache).glob("models--*/blobs/*.incomplete")):
        found.problems.append(f"{len(half)} downloads broke off in {cache}: run again, they go on where they were")
