"""From names to networks: the built-in model, folders in diffusers format, single files, and the hub."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers.models.embeddings import ImageProjection
from diffusers.utils import logging as diffusers_logging
from safetensors.torch import load_file
from transformers.utils import logging as transformers_logging

from stylize.errors import ModelError, Say, explained
from stylize.frames import DepthEstimator
from stylize.models import adapters
from stylize.models.hub import BROKEN_FILES, PART_FILES, Place, fetch, parse_place
from stylize.models.parts import MIDAS, Extras, Source, find_source
from stylize.models.recipes import Recipe
from stylize.models.registry import KNOWN_CONTROLNETS
from stylize.models.single_file import load_single_file
from stylize.networks import ControlNet, Networks, attention, choose_device
from stylize.networks.controlnets import UnionControlNet
from stylize.networks.devices import default_dtype, memory_format
from stylize.networks.family import architecture, family
from stylize.networks.image_networks import embeds_guidance
from stylize.networks.image_prompt import ImagePrompt
from stylize.structure.depth import LazyDepth, MidasDepth, PocketDepth, TransformersDepth
from stylize.structure.detectors import annotators

LIBRARIES = {"diffusers": diffusers, "transformers": transformers}
PARTS = ("tokenizer", "text_encoder", "vae", "unet", "scheduler")
IMAGE_PROMPT = "ip-adapter.safetensors"
SECOND = ("tokenizer_2", "text_encoder_2")
"""What SDXL has beside them."""


def load_networks(
    model: str | Path,
    *,
    device: str | None = None,
    dtype: torch.dtype | None = None,
    extras: Extras | None = None,
    offline: bool = False,
    say: Say | None = None,
) -> Networks:
    """Loads a model by name, folder, file or hub id; one code path for all.

    Args:
        device: "cpu", "cuda", "mps", ...; the best one here when `None`.
        dtype: what the device does well when `None` (`default_dtype`).
        extras: ControlNets, LoRAs and other parts that are added or put in place of the model's own.
        offline: never ask the hub.
        say: gets a line before each download.

    Raises:
        ModelError: unknown name, not a model folder, a part missing or of another family, not on disk and offline.
    """
    place = choose_device(device)
    kind = default_dtype(place) if dtype is None else dtype
    with quiet():
        source = find_source(str(model), extras or Extras(), offline=offline, say=say)

        def here(part: str | Path) -> Place:
            return fetch(parse_place(part), PART_FILES, offline=offline, say=say)

        pipe, own = _pipeline(source, kind)
        places = {name: here(where) for name, where in _wanted(source, family(pipe.unet)).items()}
        nets = _controlnets(places, pipe.unet, kind)
        if source.extras.vae is not None:
            pipe.register_modules(vae=_vae(here(source.extras.vae), kind))
        adapters.add(pipe, source.extras, here)
        image_prompt = _image_prompt(source, place, kind)
    scheduler = _scheduler(own, source.recipe)
    for part in (pipe.text_encoder, getattr(pipe, "text_encoder_2", None), pipe.image_encoder, pipe.unet, pipe.vae):
        if part is not None:
            part.to(place).eval().requires_grad_(False)
    for part in (pipe.unet, pipe.vae):
        part.to(memory_format=memory_format(place))
    if kind == torch.float16 and getattr(pipe.vae.config, "force_upcast", False):
        pipe.vae.to(torch.float32)  # SDXL's own overflows in half precision
    attention.install(pipe.unet)
    return Networks(
        name=source.name + adapters.describe(source.extras),
        pipe=pipe,
        controlnets={name: net.to(place) for name, net in nets.items()},
        scheduler=scheduler,
        estimate_depth=LazyDepth(lambda: _depth(source, place, offline=offline)),
        device=place,
        dtype=kind,
        defaults=source.defaults(type(scheduler).__name__, embeds_guidance=embeds_guidance(pipe.unet)),
        vocabulary=source.vocabulary,
        image_prompt=image_prompt,
    )


def _pipeline(source: Source, dtype: torch.dtype) -> tuple[Any, Any]:
    """diffusers' text-to-image pipeline with the model's parts, and the model's scheduler."""
    if source.base.file:
        pipe = load_single_file(source.base.path, dtype)
        return pipe, pipe.scheduler
    folder = source.base.path
    index = dict(diffusers.DiffusionPipeline.load_config(folder))
    second = SECOND if index.get("text_encoder_2", [None])[0] else ()
    parts = {name: _part(folder, name, index.get(name), dtype) for name in (*PARTS, *second)}
    scheduler = parts["scheduler"]
    # a copy of it: the pipeline changes what it holds to what its own call expects
    parts["scheduler"] = type(scheduler).from_config(scheduler.config)
    if second:
        zeros = index.get("force_zeros_for_empty_prompt", True)
        xl = diffusers.StableDiffusionXLPipeline
        return xl(**parts, force_zeros_for_empty_prompt=zeros, add_watermarker=False), scheduler
    plain = diffusers.StableDiffusionPipeline
    return plain(**parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False), scheduler


def _part(folder: Path, name: str, entry: Any, dtype: torch.dtype) -> Any:
    """One part, by the class that model_index.json names; only diffusers' and transformers' own classes are taken."""
    library, class_name = entry if isinstance(entry, (list, tuple)) and len(entry) == 2 else (None, None)
    kind = getattr(LIBRARIES.get(library or ""), class_name or "", None)
    if kind is None:
        what = f"{folder}: names no usable {name} ({class_name})"
        raise ModelError(what, "use a model of the SD 1.5, SD 2.1 or SDXL family")
    if not (folder / name).is_dir():  # a tokenizer without files would load as an empty one
        raise ModelError(f"{folder}: has no {name}", "the model folder is incomplete: copy or download it again")
    options: dict[str, Any] = {"subfolder": name, "local_files_only": True}
    if issubclass(kind, torch.nn.Module):
        options |= {"dtype": dtype, "use_safetensors": True} | _variant(folder / name)
    what, advice = f"{folder}: its {name} cannot be loaded", "the folder lacks a file, or has no .safetensors weights"
    with explained(ModelError, what, advice, BROKEN_FILES):
        return kind.from_pretrained(folder, **options)


def _variant(folder: Path) -> dict[str, str]:
    """Half-precision files where there are no others."""
    whole = [p for p in folder.glob("*.safetensors*") if ".fp16." not in p.name]
    return {"variant": "fp16"} if not whole and any(folder.glob("*.fp16.safetensors")) else {}


def _wanted(source: Source, family_name: str) -> Mapping[str, str | Path]:
    """The ControlNets to load: the model's, or those that a run asks for by name, known ones from the hub."""
    own = source.extras.controlnets or {}
    if not source.extras.controls:
        return own
    there: dict[str, str | Path] = {**KNOWN_CONTROLNETS.get(family_name, {}), **own}
    if missing := [name for name in source.extras.controls if name not in there]:
        has = ", ".join(there) or "none of a known name"
        raise ModelError(f"{source.name} has no ControlNet '{missing[0]}'", f"name one with --controlnet; it has {has}")
    return {name: there[name] for name in source.extras.controls}


def _controlnets(places: Mapping[str, Place], unet: Any, dtype: torch.dtype) -> dict[str, ControlNet]:
    """By control name; controls of one ControlNet-Union share its network."""
    nets: dict[str, ControlNet] = {}
    unions: dict[Path, UnionControlNet] = {}
    for name, place in places.items():
        shared = unions.get(place.path)
        network = shared.network if shared else _controlnet(place, unet, dtype)
        if isinstance(network, diffusers.ControlNetUnionModel):
            nets[name] = union = UnionControlNet(network, name, shared)
            unions[place.path] = shared or union
        else:
            nets[name] = ControlNet(network)
    return nets


def _controlnet(place: Place, unet: Any, dtype: torch.dtype) -> Any:
    what = f"{place.text}: is not a ControlNet that can be loaded"
    if place.path.is_dir() and not (place.path / "config.json").is_file():
        raise ModelError(what, "it must hold config.json and weights")
    with explained(ModelError, what, "name its folder in diffusers format, or a hub id", BROKEN_FILES):
        if place.file:
            net = diffusers.ControlNetModel.from_single_file(str(place.path), dtype=dtype, local_files_only=True)
        else:
            union = diffusers.ControlNetModel.load_config(place.path).get("_class_name") == "ControlNetUnionModel"
            net = (diffusers.ControlNetUnionModel if union else diffusers.ControlNetModel).from_pretrained(
                place.path, dtype=dtype, use_safetensors=True, local_files_only=True, **_variant(place.path)
            )
    for ours, theirs in zip(architecture(net), architecture(unet), strict=True):
        if ours != theirs:
            made_for, given = family(net), family(unet)
            what = f"{place.text}: is a ControlNet for {made_for}, the model is of {given}"
            raise ModelError(what, "use one that was made for the model's family")
    return net


def _vae(place: Place, dtype: torch.dtype) -> Any:
    """AutoencoderKL, or AutoencoderTiny as TAESD is."""
    what = f"{place.text}: is not a VAE that can be loaded"
    with explained(ModelError, what, "name a folder in diffusers format", BROKEN_FILES):
        vae_class = getattr(diffusers, diffusers.AutoencoderKL.load_config(place.path)["_class_name"])
        if vae_class not in (diffusers.AutoencoderKL, diffusers.AutoencoderTiny):
            raise ValueError(vae_class)
        return vae_class.from_pretrained(
            place.path, dtype=dtype, use_safetensors=True, local_files_only=True, **_variant(place.path)
        )


def _scheduler(own: Any, recipe: Recipe | None) -> Any:
    """The folder's own, or what the few-step form was distilled for."""
    if recipe is None:
        return own
    return getattr(diffusers, recipe.scheduler).from_config(own.config, **recipe.options)


def _image_prompt(source: Source, device: torch.device, dtype: torch.dtype) -> ImagePrompt | None:
    """What `--reference` needs of a model whose folder has it built in."""
    adapter = source.settings.get("image_prompt")
    if adapter is None or source.extras.ip_adapter is not None:
        return None
    folder = source.base.path
    with explained(
        ModelError, f"{folder}: its image prompt cannot be loaded", "the model folder is incomplete: copy it again",
        BROKEN_FILES,
    ):  # fmt: skip
        encoder = transformers.CLIPVisionModelWithProjection.from_pretrained(
            folder, subfolder="image_encoder", dtype=dtype, use_safetensors=True, local_files_only=True
        )
        processor = transformers.CLIPImageProcessor.from_pretrained(
            folder, subfolder="feature_extractor", local_files_only=True
        )
        # laid out as IP-Adapter's: image_proj.proj.*, image_proj.norm.*
        stored = load_file(folder / adapter / IMAGE_PROMPT)
        weights = {k.removeprefix("image_proj.").replace("proj.", "image_embeds."): v for k, v in stored.items()}
        width = weights["norm.weight"].shape[0]
        projection = ImageProjection(
            encoder.config.projection_dim, width, weights["image_embeds.weight"].shape[0] // width
        )
        projection.load_state_dict(weights)
    encoder.to(device).eval().requires_grad_(False)
    return ImagePrompt(encoder, projection.to(device, dtype).eval().requires_grad_(False), processor)


def _depth(source: Source, device: torch.device, *, offline: bool) -> DepthEstimator:
    with quiet():
        if source.extras.depth is not None:
            place = fetch(parse_place(source.extras.depth), PART_FILES, offline=offline)
            return TransformersDepth(place.path, device)
        if source.depth == MIDAS:
            return MidasDepth(annotators(), device)
        return PocketDepth(source.depth, device)


@contextmanager
def quiet() -> Iterator[None]:
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
