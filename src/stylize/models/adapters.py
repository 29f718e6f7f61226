"""What is added to a model: LoRAs, an IP-Adapter, words learnt by textual inversion; each checked for its family."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from stylize.errors import ModelError, explained
from stylize.models.hub import BROKEN_FILES, Place
from stylize.models.parts import Extras
from stylize.networks.family import family

Here = Callable[[str | Path], Place]
"""Brings a place to disk."""

ENCODER = "image_encoder"
OTHER_FAMILY = "use one that was made for the model's family"


def add(pipe: Any, extras: Extras, here: Here) -> None:
    """Puts all adapters into the pipeline's networks.

    Raises:
        ModelError: one is no adapter of its kind, or was made for another family.
    """
    for text, weight in extras.loras.items():
        add_lora(pipe, here(text), weight)
    for text in extras.textual_inversions:
        add_textual_inversion(pipe, here(text))
    if extras.ip_adapter is not None:
        add_ip_adapter(pipe, here(extras.ip_adapter), here)


def add_lora(pipe: Any, place: Place, weight: float) -> None:
    """Adds low-rank updates (Hu et al. 2021) to the weights themselves: a run costs nothing more for it."""
    file = _only_file(place, "a LoRA")
    what = f"{place.text}: is not a LoRA that fits {family(pipe.unet)}"
    with explained(ModelError, what, OTHER_FAMILY, BROKEN_FILES):
        pipe.load_lora_weights(load_file(file), adapter_name="lora")
        if "lora" not in {name for names in pipe.get_list_adapters().values() for name in names}:
            raise ValueError("no layer of the model is changed by it")
        pipe.fuse_lora(lora_scale=weight, adapter_names=["lora"])
        pipe.unload_lora_weights()


def add_textual_inversion(pipe: Any, place: Place) -> None:
    """Adds words to the tokenizers (Gal et al. 2022); each is the name of its file."""
    file = _only_file(place, "a textual inversion")
    what = f"{place.text}: is not a textual inversion that fits {family(pipe.unet)}"
    with explained(ModelError, what, OTHER_FAMILY, BROKEN_FILES):
        stored = load_file(file)
        if "clip_g" in stored:
            seconds = {"text_encoder": pipe.text_encoder_2, "tokenizer": pipe.tokenizer_2}
            pipe.load_textual_inversion({file.stem: stored["clip_g"]}, token=file.stem, **seconds)
            stored = {file.stem: stored["clip_l"]}
        vectors = stored.get("emb_params", next(iter(stored.values())))
        pipe.load_textual_inversion({file.stem: vectors}, token=file.stem)


def add_ip_adapter(pipe: Any, place: Place, here: Here) -> None:
    """Adds IP-Adapter's attention to the UNet, and the image encoder that lies beside it or one folder up."""
    if not place.file:
        raise ModelError(
            f"{place.text}: names no file", "name one, such as h94/IP-Adapter/models/ip-adapter_sd15.safetensors"
        )
    encoders = [p for p in (place.path.parent / ENCODER, place.path.parent.parent / "models" / ENCODER) if p.is_dir()]
    encoders = encoders or _encoder_of_repository(place, here)
    if not encoders:
        what = f"{place.text}: has no image encoder beside it"
        raise ModelError(what, f"put the adapter's {ENCODER} folder beside the file")
    what = f"{place.text}: is not an IP-Adapter that fits {family(pipe.unet)}"
    with explained(ModelError, what, OTHER_FAMILY, BROKEN_FILES):
        pipe.load_ip_adapter(
            str(place.path.parent), subfolder="", weight_name=place.file, image_encoder_folder=str(encoders[0]),
            local_files_only=True,
        )  # fmt: skip


def _encoder_of_repository(place: Place, here: Here) -> list[Path]:
    """The hub's repository keeps it beside the file."""
    parts = place.text.split("/")
    if len(parts) < 3 or Path(place.text).expanduser().exists():
        return []
    return [here("/".join([*parts[:-1], ENCODER])).path]


def _only_file(place: Place, what: str) -> Path:
    if place.file:
        return place.path
    found = sorted(place.path.glob("*.safetensors"))
    if len(found) != 1:
        count = "none" if not found else f"{len(found)}"
        raise ModelError(f"{place.text}: holds {count} .safetensors, not one", f"name the file of {what}")
    return found[0]


def describe(extras: Extras) -> str:
    """For the model's name: what is in it beside its own weights."""
    words = [f"{Path(str(text)).stem}:{weight:g}" for text, weight in extras.loras.items()]
    words += [Path(str(text)).stem for text in (*extras.textual_inversions, extras.ip_adapter, extras.vae) if text]
    return "".join(f" + {word}" for word in words)
