"""Adds LoRAs, textual inversions and an IP-Adapter to a model, and checks that each fits the model's family."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from stylize.errors import ModelError, explained
from stylize.models.hub import BROKEN_FILES, Place
from stylize.models.parts import Extras
from stylize.models.replacements import names_in
from stylize.networks.family import family

FetchPart = Callable[[str | Path], Place]
"""Brings a file or folder to disk and returns its location there."""

LYCORIS = {".hada_": "LoHa", ".lokr_": "LoKr", ".oft_": "OFT", ".on_input": "(IA)3", ".diff_b": "full difference"}
"""What parts of the names of weights say of a file that changes a model in other ways than a LoRA."""
ENCODER = "image_encoder"
OTHER_FAMILY = "use one that was made for the model's family"


def add(pipe: Any, extras: Extras, fetch_part: FetchPart) -> None:
    """Adds all adapters to the pipeline's networks.

    Raises:
        ModelError: a file is not an adapter of the expected type, or was made for another family.
    """
    for text, weight in extras.loras.items():
        add_lora(pipe, fetch_part(text), weight)
    for text in extras.textual_inversions:
        add_textual_inversion(pipe, fetch_part(text))
    if extras.ip_adapter is not None:
        add_ip_adapter(pipe, fetch_part(extras.ip_adapter), fetch_part)


def add_lora(pipe: Any, location: Place, weight: float) -> None:
    """Adds low-rank updates (Hu et al. 2021) to the weights themselves, so that sampling costs nothing extra."""
    file = _find_only_file(location, "a LoRA")
    what = f"{location.text}: is not a LoRA that fits {family(pipe.unet)}"
    with explained(ModelError, what, OTHER_FAMILY, BROKEN_FILES):
        names = names_in(file)
        for part, kind in LYCORIS.items():
            if any(part in name for name in names):
                raise ModelError(f"{location.text}: is a LyCORIS {kind}, not a LoRA", "convert it to a LoRA first")
        # the file, not its weights: its header can hold the strength (alpha) that it was trained at
        pipe.load_lora_weights(
            str(file.parent), weight_name=file.name, adapter_name="lora", local_files_only=True, use_safetensors=True
        )
        if "lora" not in {name for names in pipe.get_list_adapters().values() for name in names}:
            raise ValueError("no layer of the model is changed by it")
        pipe.fuse_lora(lora_scale=weight, adapter_names=["lora"])
        pipe.unload_lora_weights()


def add_textual_inversion(pipe: Any, location: Place) -> None:
    """Adds a word to the tokenizers (Gal et al. 2022): the name of its file, without the suffix."""
    file = _find_only_file(location, "a textual inversion")
    what = f"{location.text}: is not a textual inversion that fits {family(pipe.unet)}"
    with explained(ModelError, what, OTHER_FAMILY, BROKEN_FILES):
        stored = load_file(file)
        for one, other in (("text_encoders_0", "clip_l"), ("text_encoders_1", "clip_g")):  # of pivotal tuning
            if one in stored:
                stored[other] = stored.pop(one)
        if hasattr(pipe, "tokenizer_2") and not {"clip_l", "clip_g"} <= set(stored):
            what = f"{location.text}: teaches one of the two text encoders only"
            raise ModelError(what, "use one that was made for SDXL")
        if "clip_g" in stored:
            second = {"text_encoder": pipe.text_encoder_2, "tokenizer": pipe.tokenizer_2}
            pipe.load_textual_inversion({file.stem: stored["clip_g"]}, token=file.stem, **second)
            stored = {file.stem: stored["clip_l"]}
        vectors = stored.get("emb_params", next(iter(stored.values())))
        pipe.load_textual_inversion({file.stem: vectors}, token=file.stem)


def add_ip_adapter(pipe: Any, location: Place, fetch_part: FetchPart) -> None:
    """Adds IP-Adapter's attention to the UNet, and the image encoder from a folder beside the file or one level up."""
    if not location.file:
        raise ModelError(
            f"{location.text}: names no file", "name one, such as h94/IP-Adapter/models/ip-adapter_sd15.safetensors"
        )
    encoders = [
        p for p in (location.path.parent / ENCODER, location.path.parent.parent / "models" / ENCODER) if p.is_dir()
    ]
    encoders = encoders or _fetch_encoder(location, fetch_part)
    if not encoders:
        what = f"{location.text}: has no image encoder beside it"
        raise ModelError(what, f"put the adapter's {ENCODER} folder beside the file")
    what = f"{location.text}: is not an IP-Adapter that fits {family(pipe.unet)}"
    with explained(ModelError, what, OTHER_FAMILY, BROKEN_FILES):
        pipe.load_ip_adapter(
            str(location.path.parent), subfolder="", weight_name=location.file, image_encoder_folder=str(encoders[0]),
            local_files_only=True,
        )  # fmt: skip


def _fetch_encoder(location: Place, fetch_part: FetchPart) -> list[Path]:
    """Fetches the image encoder, which the hub's repository keeps beside the file; empty for a local file."""
    parts = location.text.split("/")
    if len(parts) < 3 or Path(location.text).expanduser().exists():
        return []
    return [fetch_part("/".join([*parts[:-1], ENCODER])).path]


def _find_only_file(location: Place, adapter: str) -> Path:
    if location.file:
        return location.path
    files = sorted(location.path.glob("*.safetensors"))
    if len(files) != 1:
        count = "none" if not files else f"{len(files)}"
        raise ModelError(f"{location.text}: holds {count} .safetensors, not one", f"name the file of {adapter}")
    return files[0]


def describe(extras: Extras) -> str:
    """Lists the added parts, as a suffix for the model's name."""
    words = [f"{Path(str(text)).stem}:{weight:g}" for text, weight in extras.loras.items()]
    words += [Path(str(text)).stem for text in (*extras.textual_inversions, extras.ip_adapter, extras.vae) if text]
    return "".join(f" + {word}" for word in words)
