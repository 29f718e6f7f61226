"""Checks the installation: versions, devices, packages installed twice or broken, and which models are on disk."""

from __future__ import annotations

import importlib
import importlib.util
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
    "opencv-python-headless", "numpy", "gradio", "uvicorn", "OpenEXR", "ray",
)  # fmt: skip
OPTIONAL = {
    "decord": "PyAV reads every video instead",
    "gradio": "pip install 'gradio>=6' for the page",
    "uvicorn": "pip install starlette uvicorn for the page of a live picture",
    "ray": "pip install 'ray[client]' for runs on many cards and machines",
    "OpenEXR": "pip install OpenEXR for a renderer's depth",
}
MODULES = ("torch", "torchvision", "cv2", "av", "diffusers", "transformers", "peft", "compel")
ENCODERS = ("libx264", "libx265", "libvpx-vp9", "libsvtav1", "prores_ks", "ffv1")


@dataclass
class Findings:
    """Facts about the installation as lines, and its problems."""

    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def examine() -> Findings:
    """Checks everything; this takes some seconds, because the libraries are really imported."""
    findings = Findings()
    findings.lines.append(f"Python {platform.python_version()} on {platform.platform()}, {os.cpu_count()} cores")
    _check_versions(findings)
    _check_duplicates(findings)
    _check_imports(findings)
    _check_devices(findings)
    _check_encoders(findings)
    _check_models(findings)
    return findings


def _check_versions(findings: Findings) -> None:
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            if name not in OPTIONAL:
                findings.problems.append(f"{name} is not installed: pip install {name}")
            else:
                versions[name] = f"none ({OPTIONAL[name]})"
    findings.lines += [f"{name} {version}" for name, version in versions.items()]


def _check_duplicates(findings: Findings) -> None:
    """Reports several builds of OpenCV, because they overwrite each other's files."""
    names = {str(d.metadata["Name"]).lower() for d in metadata.distributions() if d.metadata["Name"]}
    if len(opencv := sorted(name for name in names if name.startswith("opencv-"))) > 1:
        others = " ".join(name for name in opencv if name != "opencv-python-headless")
        findings.problems.append(
            f"OpenCV is installed {len(opencv)} times ({', '.join(opencv)}): pip uninstall {others}, then "
            "pip install --force-reinstall opencv-python-headless"
        )


def _check_imports(findings: Findings) -> None:
    for name in MODULES:
        try:
            importlib.import_module(name)
        except Exception as error:
            reason = " ".join(str(error).split())[:120]
            findings.problems.append(f"{name} cannot be imported ({reason}): install it again")


def _check_devices(findings: Findings) -> None:
    import torch

    from stylize.networks import choose_device
    from stylize.networks.devices import default_dtype, free_bytes

    best = choose_device(None)
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    workers = f"--workers up to {len(names) or os.cpu_count()} on this machine"
    findings.lines.append(workers if importlib.util.find_spec("ray") else "one worker, without ray")
    findings.lines.append(f"GPUs: {', '.join(names) or ('Apple' if best.type == 'mps' else 'none')}")
    free = free_bytes(best)
    memory = "" if free is None else f", {free / 1e9:.1f} GB free"
    findings.lines.append(f"runs on {best} in {str(default_dtype(best)).removeprefix('torch.')}{memory}")
    if shutil.which("nvidia-smi") and not names:
        findings.problems.append("there is an NVIDIA driver, but this torch sees no GPU: install torch with CUDA")


def _check_encoders(findings: Findings) -> None:
    import av

    missing = [name for name in ENCODERS if name not in av.codecs_available]
    findings.lines.append(f"encoders: {', '.join(name for name in ENCODERS if name not in missing)}")
    if "libx264" in missing:
        findings.problems.append("this build of PyAV cannot write H.264: pip install --force-reinstall av")


def _check_models(findings: Findings) -> None:
    cards = known_models()
    here = [name for name, card in cards.items() if card.on_disk]
    findings.lines.append(f"models on disk: {', '.join(here) or 'none'}; known: {', '.join(cards)}")
    names_file = models_file()
    findings.lines.append(f"own names: {names_file}{'' if names_file.is_file() else ' (not there)'}")
    cache = hub_cache()
    existing = next(p for p in (cache, *cache.parents) if p.exists())
    findings.lines.append(f"hub cache: {cache}, {shutil.disk_usage(existing).free / 1e9:.0f} GB free")
    if "pocket" not in here:
        findings.problems.append("the built-in model is missing: install the package again")
    if broken := sorted(Path(cache).glob("models--*/blobs/*.incomplete")):
        findings.problems.append(f"{len(broken)} downloads broke off in {cache}: run again, they go on where they were")
