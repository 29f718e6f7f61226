"""Adds LoRAs, textual inversions and an IP-Adapter to a model, and checks that each fits the model's family."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import CLIPVisionConfig

from stylize.errors import ModelError, Say, explained
from stylize.models.hub import BROKEN_FILES, Place
from stylize.models.parts import Extras
from stylize.models.replacements import names_in
from stylize.networks.family import family

FetchPart = Callable[[str | Path], Place]
"""Brings a file or folder to disk and returns its location there."""

LYCORIS = {".hada_": "LoHa", ".lokr_": "LoKr", ".oft_": "OFT", ".on_input": "(IA)3", ".diff_b": "full difference"}
"""What parts of the names of weights say of a file that changes a model in other ways than a LoRA."""
ALPHA = ".alpha"
"""End of the name of a layer's strength in LoRAs of kohya's trainer."""
DOWN = (".lora_down.weight", ".lora_A.weight", ".lora.down.weight", "_lora.down.weight")
"""Ends of the names of each layer's first weight in the layouts of LoRAs."""
ENCODER = "image_encoder"
SMALLER_ENCODER = "vit-h"
"""Part of the names of adapters for SDXL that read SD 1.5's image encoder."""
ENCODER_WIDTHS = {
    "image_proj.proj.weight": "projection_dim", "image_proj.proj_in.weight": "hidden_size",
    "image_proj.proj.0.weight": "hidden_size",
}  # fmt: skip
"""Weights of IP-Adapters that read the encoder's output, and the encoder's setting that is their width."""
OTHER_FAMILY = "use one that was made for the model's family"


def add(pipe: Any, extras: Extras, fetch_part: FetchPart, say: Say | None = None) -> None:
    """Adds all adapters to the pipeline's networks.

    Args:
        say: receives a line about each adapter that fits only partly.

    Raises:
        ModelError: a file is not an adapter of the expected type, or was made for another family.
    """
    for text, weight in extras.loras.items():
        add_lora(pipe, fetch_part(text), weight, say)
    for text in extras.textual_inversions:
        add_textual_inversion(pipe, fetch_part(text))
    if extras.ip_adapter is not None:
        add_ip_adapter(pipe, fetch_part(extras.ip_adapter), fetch_part)


def add_lora(pipe: Any, location: Place, weight: float, say: Say | None = None) -> None:
    """Adds low-rank updates (Hu et al. 2021) to the weights themselves, so that sampling costs nothing extra."""
    file = _find_only_file(location, "a LoRA")
    what = f"{location.text}: is not a LoRA that fits {family(pipe.unet)}"
    with explained(ModelError, what, OTHER_FAMILY, BROKEN_FILES):
        names = names_in(file)
        for part, kind in LYCORIS.items():
            if any(part in name for name in names):
                raise ModelError(f"{location.text}: is a LyCORIS {kind}, not a LoRA", "convert it to a LoRA first")
        if any(name.endswith(ALPHA) for name in names):
            pipe.load_lora_weights(_apply_alphas(load_file(file)), adapter_name="lora")
        else:  # the file, not its weights: its header can hold the strength (alpha) that it was trained at
            pipe.load_lora_weights(
                str(file.parent), weight_name=file.name, adapter_name="lora", local_files_only=True,
                use_safetensors=True,
            )  # fmt: skip
        if "lora" not in {name for names in pipe.get_list_adapters().values() for name in names}:
            raise ValueError("no layer of the model is changed by it")
        given = sum(name.endswith(DOWN) for name in names)
        if (taken := _count_layers(pipe)) < given and say is not None:
            say(f"{location.text}: {given - taken} of its {given} layers are not in this model, and have no effect")
        pipe.fuse_lora(lora_scale=weight, adapter_names=["lora"])
        pipe.unload_lora_weights()


def _count_layers(pipe: Any) -> int:
    networks = [pipe.unet, pipe.text_encoder, getattr(pipe, "text_encoder_2", None)]
    return sum(
        "lora" in getattr(module, "lora_A", {}) for network in networks if network for module in network.modules()
    )


def _apply_alphas(stored: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Scales each layer by its own alpha / rank; diffusers gives all layers of attention the most frequent alpha."""
    scaled = {name: value for name, value in stored.items() if not name.endswith(ALPHA)}
    for name in stored.keys() - scaled.keys():
        layer = name.removesuffix(ALPHA)
        for up, down in (("lora_up", "lora_down"), ("lora_B", "lora_A")):
            if f"{layer}.{up}.weight" in scaled:
                rank = len(scaled[f"{layer}.{down}.weight"])
                scaled[f"{layer}.{up}.weight"] = scaled[f"{layer}.{up}.weight"].float() * (float(stored[name]) / rank)
    return scaled


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
    encoder = find_encoder(location, fetch_part)
    what = f"{location.text}: is not an IP-Adapter that fits {family(pipe.unet)}"
    with explained(ModelError, what, OTHER_FAMILY, BROKEN_FILES):
        pipe.load_ip_adapter(
            str(location.path.parent), subfolder="", weight_name=location.file, image_encoder_folder=str(encoder),
            local_files_only=True,
        )  # fmt: skip


def find_encoder(location: Place, fetch_part: FetchPart) -> Path:
    """Finds the image encoder that an IP-Adapter was made for; some for SDXL read SD 1.5's.

    Raises:
        ModelError: there is none, or only one of another width.
    """
    folder, file = location.path.parent, location.path
    key, width = _read_encoder_width(file)
    found: dict[Path, int] = {}
    parts = location.text.split("/")
    on_hub = len(parts) >= 3 and not Path(location.text).expanduser().exists()
    beside = "/".join([*parts[:-2], "models"] if SMALLER_ENCODER in file.name else parts[:-1])
    for place in (folder / ENCODER, folder.parent / "models" / ENCODER, f"{beside}/{ENCODER}" if on_hub else None):
        if isinstance(place, str):  # none of those on disk fits
            place = fetch_part(place).path
        if place is None or not place.is_dir():
            continue
        with explained(ModelError, f"{place}: is not an image encoder", "download it again", BROKEN_FILES):
            found[place] = getattr(CLIPVisionConfig.from_pretrained(place, local_files_only=True), key)
        if width in (None, found[place]):
            return place
    if not found:
        what = f"{location.text}: has no image encoder beside it"
        raise ModelError(what, f"put the adapter's {ENCODER} folder beside the file")
    other, given = next(iter(found.items()))
    what = f"{location.text}: reads an image encoder of width {width}, {other} has {given}"
    raise ModelError(what, "put the encoder that the adapter was made for beside it (ViT-H for names with 'vit-h')")


def _read_encoder_width(file: Path) -> tuple[str, int | None]:
    """Returns the setting of the image encoder that an IP-Adapter's file fixes, and its number, if the file tells."""
    what = f"{file}: is not an IP-Adapter"
    with explained(ModelError, what, "use a .safetensors file", BROKEN_FILES), safe_open(file, "pt") as stored:
        names = set(stored.keys())
        for name, key in ENCODER_WIDTHS.items():
            if name in names:
                return key, int(stored.get_slice(name).get_shape()[1])
    return "hidden_size", None


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
    files = (*extras.textual_inversions, extras.ip_adapter, extras.vae, extras.motion_adapter, extras.depth)
    words += [Path(str(text)).stem for text in files if text]
    return "".join(f" + {word}" for word in words)
