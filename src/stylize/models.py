"""From names to networks: the built-in model, folders in diffusers format, and the hub."""

from __future__ import annotations

import json
import platform
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from stylize import attention
from stylize.errors import ModelError
from stylize.networks import ControlNet, Defaults, Networks
from stylize.reference import ImagePrompt
from stylize.registry import MODELS, ModelCard
from stylize.structure import MIDAS_REPOSITORY, DepthEstimator, MidasDepth, PocketDepth
from stylize.vocabulary import Vocabulary

COMPONENTS = ("tokenizer", "text_encoder", "vae", "unet", "scheduler")
LIBRARIES = {"diffusers": diffusers, "transformers": transformers}
SETTINGS = "stylize.json"
MIDAS = "midas"


@dataclass(frozen=True)
class Source:
    """Where a model's parts are: folders or hub ids."""

    name: str
    base: str
    controlnets: Mapping[str, tuple[str, str | None]]
    """By control: folder or hub id, and the subfolder in it."""
    depth: str
    """Folder of a built-in style depth network, or "midas"."""
    defaults: Defaults
    vocabulary: Vocabulary | None = None
    image_prompt: str | None = None
    """Subfolder of the image-prompt adapter, if the folder has one."""


def load_networks(
    model: str | Path,
    *,
    device: str | None = None,
    dtype: torch.dtype | None = None,
    controlnets: Mapping[str, str | Path] | None = None,
) -> Networks:
    """Loads a model by name, folder or hub id; one code path for all.

    Args:
        device: "cpu", "cuda", "mps", ...; the best one here when `None`.
        dtype: what the device does well when `None` (`default_dtype`).
        controlnets: ControlNets by control name, folders or hub ids, in place of the model's own.

    Raises:
        ModelError: unknown name, not a model folder, a part missing, not on disk and offline.
    """
    place = _device(device)
    kind = default_dtype(place) if dtype is None else dtype
    source = _source(str(model), controlnets)
    with _quiet():
        index = _index(source)
        parts = {name: _component(source.base, name, index.get(name), kind) for name in COMPONENTS}
        nets = {n: ControlNet(_controlnet(*where, kind)).to(place) for n, where in source.controlnets.items()}
    for name in ("text_encoder", "vae", "unet"):
        parts[name] = parts[name].to(place).eval().requires_grad_(False)
    attention.install(parts["unet"])
    adapter = source.image_prompt
    return Networks(
        name=source.name,
        controlnets=nets,
        estimate_depth=LazyDepth(source.depth, place),
        device=place,
        dtype=kind,
        defaults=source.defaults,
        vocabulary=source.vocabulary,
        image_prompt=ImagePrompt.load(Path(source.base), adapter, place, kind) if adapter else None,
        **parts,
    )


class LazyDepth:
    """A depth estimator that is loaded when the first map is asked of it: without the depth control it never is."""

    def __init__(self, source: str, device: torch.device) -> None:
        self._source, self._device = source, device
        self._estimator: DepthEstimator | None = None

    def __call__(self, picture: Any) -> Any:
        if self._estimator is None:
            with _quiet():
                if self._source == MIDAS:
                    self._estimator = MidasDepth(MIDAS_REPOSITORY, self._device)
                else:
                    self._estimator = PocketDepth(self._source, self._device)
        return self._estimator(picture)


def default_dtype(device: torch.device) -> torch.dtype:
    """float16 on GPUs; on CPUs bfloat16 where it is faster than float32, which the instruction set alone does not tell.

    Measured (docs/performance.md): AMX and AMD's AVX512-BF16 gain; Intel's AVX512-BF16 without AMX loses a third.
    """
    if device.type in ("cuda", "mps", "xpu"):
        return torch.float16
    amx = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)()
    bf16 = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    return torch.bfloat16 if amx or (bf16 and _is_amd()) else torch.float32


def _is_amd() -> bool:
    try:
        return "AuthenticAMD" in Path("/proc/cpuinfo").read_text(errors="replace")[:4096]
    except OSError:
        return "AMD" in platform.processor()


def _device(name: str | None) -> torch.device:
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"device '{name}' is not available", "use cpu, or install a torch that supports it") from error
    return device


def _source(model: str, controlnets: Mapping[str, str | Path] | None) -> Source:
    """Finds out what `model` names, without loading weights."""
    card = MODELS.get(model)
    folder = Path(card.folder if card is not None and card.folder else model).expanduser()
    if card is not None and not card.folder:
        source = _from_card(card)
    elif folder.is_dir():
        source = _from_folder(folder, model)
    elif folder.exists():
        raise ModelError(f"{model}: is a file, not a model folder", "name a folder in diffusers format")
    elif model.count("/") == 1 and not model.startswith((".", "/", "~")):
        source = Source(model, model, {}, MIDAS, Defaults())
    else:
        raise ModelError(f"unknown model '{model}'", f"use {', '.join(MODELS)}, or a folder in diffusers format")
    if controlnets is None:
        return source
    named = {name: (str(where), None) for name, where in controlnets.items()}
    return replace(source, controlnets=named)


def _from_card(card: ModelCard) -> Source:
    controls: dict[str, tuple[str, str | None]] = {name: (where, None) for name, where in card.controlnets.items()}
    return Source(card.name, card.base, controls, MIDAS, Defaults())


def _from_folder(folder: Path, name: str) -> Source:
    if not (folder / "model_index.json").is_file():
        raise ModelError(f"{folder}: is not a model folder", "it must hold model_index.json, as diffusers saves it")
    settings: dict[str, Any] = {}
    if (folder / SETTINGS).is_file():
        try:
            settings = json.loads((folder / SETTINGS).read_text())
        except ValueError as error:
            raise ModelError(f"{folder / SETTINGS}: is not JSON", "repair it") from error
    nets = settings.get("controlnets")
    if nets is None:
        nets = {p.name.removeprefix("controlnet_"): p.name for p in sorted(folder.glob("controlnet_[a-z]*"))}
    depth = settings.get("depth_estimator", MIDAS)
    return Source(
        name=name,
        base=str(folder),
        controlnets={control: (str(folder), subfolder) for control, subfolder in nets.items()},
        depth=MIDAS if depth == MIDAS else str(folder / depth),
        defaults=Defaults(**settings.get("defaults", {})),
        vocabulary=_vocabulary(settings),
        image_prompt=settings.get("image_prompt"),
    )


def _vocabulary(settings: Mapping[str, Any]) -> Vocabulary | None:
    if "words" not in settings:
        return None
    looks, tones = ({name: tuple(p) for name, p in settings.get(kind, {}).items()} for kind in ("looks", "tones"))
    return Vocabulary(looks, tones, frozenset(settings["words"]))


def _index(source: Source) -> dict[str, Any]:
    try:
        return dict(diffusers.DiffusionPipeline.load_config(source.base))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{source.base}: not on disk and not on the hub", "check the name, or go online once"
        ) from error


def _component(base: str, name: str, entry: Any, dtype: torch.dtype) -> Any:
    """One part, by the class that model_index.json names; only diffusers' and transformers' own classes are taken."""
    library, class_name = entry if isinstance(entry, (list, tuple)) and len(entry) == 2 else (None, None)
    kind = getattr(LIBRARIES.get(library or ""), class_name or "", None)
    if kind is None:
        raise ModelError(f"{base}: names no usable {name} ({class_name})", "use a Stable Diffusion class model")
    if Path(base).is_dir() and not (Path(base) / name).is_dir():  # a tokenizer without files would load as an empty one
        raise ModelError(f"{base}: has no {name}", "the model folder is incomplete: copy it again")
    options: dict[str, Any] = {"subfolder": name, **_local_only(base)}
    if issubclass(kind, torch.nn.Module):
        options |= {"dtype": dtype, "use_safetensors": True}
    try:
        return kind.from_pretrained(base, **options)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{base}: its {name} cannot be loaded", "the folder lacks a file, or has no .safetensors weights"
        ) from error


def _controlnet(base: str, subfolder: str | None, dtype: torch.dtype) -> Any:
    where = _local_only(base) | ({"subfolder": subfolder} if subfolder else {})
    try:
        return diffusers.ControlNetModel.from_pretrained(base, dtype=dtype, use_safetensors=True, **where)
    except (OSError, ValueError) as error:
        place = f"{base}/{subfolder}" if subfolder else base
        raise ModelError(
            f"{place}: is no ControlNet that can be loaded", "check the name, or go online once"
        ) from error


def _local_only(base: str) -> dict[str, Any]:
    """A part missing in a folder must not become a hub request for a repository of that name."""
    return {"local_files_only": True} if Path(base).is_dir() else {}


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences the libraries' progress bars, notices and warnings while they load; errors still come as exceptions."""
    before = diffusers_logging.get_verbosity(), transformers_logging.get_verbosity()
    diffusers_logging.set_verbosity_error()
    transformers_logging.set_verbosity_error()
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        diffusers_logging.set_verbosity(before[0])
        transformers_logging.set_verbosity(before[1])
        diffusers_logging.enable_progress_bar()
        transformers_logging.enable_progress_bar()
