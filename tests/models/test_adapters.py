"""LoRAs and textual inversions as the files that people have."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from stylize import ModelError
from stylize.models.adapters import find_encoder
from stylize.models.hub import Place
from stylize.models.loading import load_networks
from stylize.models.parts import Extras
from tiny_models import add_lora, build_ip_adapter

Folder = Callable[[str], Path]


def changes(folder: Path, lora: Path) -> dict[str, torch.Tensor]:
    """What a LoRA adds to each weight of the UNet."""
    plain, changed = (
        dict(load_networks(folder, device="cpu", dtype=torch.float32, extras=extras).unet.named_parameters())
        for extras in (Extras(), Extras(loras={lora: 1.0}))
    )
    added = {name: changed[name] - plain[name] for name in plain}
    return {name: value for name, value in added.items() if value.abs().max() > 0}


def test_the_strength_in_a_loras_header(family_folder: Folder, tmp_path: Path) -> None:
    folder = family_folder("sd15")
    plain = add_lora(tmp_path / "plain.safetensors", folder, seed=0)
    header = {"unet.r": 4, "unet.lora_alpha": 16, "unet.target_modules": ["to_q", "to_v"]}
    told = tmp_path / "told.safetensors"
    save_file(load_file(plain), told, metadata={"format": "pt", "lora_adapter_metadata": json.dumps(header)})
    one, other = changes(folder, plain), changes(folder, told)
    assert one and one.keys() == other.keys()
    for name, value in one.items():
        assert torch.allclose(other[name], 4 * value, atol=1e-4), name


def test_a_lora_of_kohyas_trainer(family_folder: Folder, tmp_path: Path) -> None:
    """Names with underscores, and alpha beside the weights: alpha / rank * up @ down is added."""
    folder, path = family_folder("sd15"), tmp_path / "kohya.safetensors"
    unet = load_networks(folder, device="cpu", dtype=torch.float32).unet
    layer = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    width = unet.get_submodule(layer).in_features
    down, up, name = torch.randn(4, width), torch.randn(width, 4), f"lora_unet_{layer.replace('.', '_')}"
    save_file(
        {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up, f"{name}.alpha": torch.tensor(2.0)}, path
    )
    added = changes(folder, path)
    assert list(added) == [f"{layer}.weight"]
    assert torch.allclose(added[f"{layer}.weight"], 2 / 4 * up @ down, atol=1e-4)


@pytest.mark.parametrize(("part", "kind"), [("hada_w1_a", "LoHa"), ("lokr_w1", "LoKr")])
def test_lycoris_is_named(family_folder: Folder, tmp_path: Path, part: str, kind: str) -> None:
    path = tmp_path / "style.safetensors"
    save_file({f"lora_unet_mid_block_attentions_0_proj_in.{part}": torch.zeros(4, 4)}, path)
    with pytest.raises(ModelError, match=f"is a LyCORIS {kind}"):
        load_networks(family_folder("sd15"), device="cpu", extras=Extras(loras={path: 1.0}))


@pytest.mark.parametrize(
    "names", [("clip_l", "clip_g"), ("text_encoders_0", "text_encoders_1"), ("emb_params",), ("clip_g",)]
)
def test_words_for_both_text_encoders(family_folder: Folder, tmp_path: Path, names: tuple[str, ...]) -> None:
    folder, path = family_folder("sdxl"), tmp_path / "inkword.safetensors"
    plain = load_networks(folder, device="cpu").pipe
    widths = [encoder.config.hidden_size for encoder in (plain.text_encoder, plain.text_encoder_2)]
    save_file({name: torch.randn(2, width) for name, width in zip(names, widths, strict=False)}, path)
    extras = Extras(textual_inversions=[path])
    if len(names) == 1:
        with pytest.raises(ModelError, match="one of the two text encoders only"):
            load_networks(folder, device="cpu", extras=extras)
        return
    pipe = load_networks(folder, device="cpu", extras=extras).pipe
    assert all("inkword" in tokenizer.get_vocab() for tokenizer in (pipe.tokenizer, pipe.tokenizer_2))


def test_each_layer_has_its_own_alpha(family_folder: Folder, tmp_path: Path) -> None:
    """LoRAs that were resized or trained by blocks: the strength, and the rank, differ from layer to layer."""
    folder, path = family_folder("sd15"), tmp_path / "resized.safetensors"
    unet, stored, expected = load_networks(folder, device="cpu", dtype=torch.float32).unet, {}, {}
    settings = (("attn1.to_q", 4, 2.0), ("attn1.to_v", 4, 1.0), ("attn2.to_q", 2, 8.0), ("attn1.to_k", 2, None))
    for layer, rank, alpha in settings:
        layer = f"down_blocks.0.attentions.0.transformer_blocks.0.{layer}"
        width, name = unet.get_submodule(layer).in_features, f"lora_unet_{layer.replace('.', '_')}"
        down, up = torch.randn(rank, width), torch.randn(width, rank)
        stored |= {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}
        stored |= {} if alpha is None else {f"{name}.alpha": torch.tensor(alpha)}
        expected[f"{layer}.weight"] = (1.0 if alpha is None else alpha / rank) * up @ down
    save_file(stored, path)
    added = changes(folder, path)
    assert added.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.allclose(added[name], value, atol=1e-4), name


@pytest.mark.parametrize("plus", [False, True])
def test_the_image_encoder_that_fits(family_folder: Folder, tmp_path: Path, plus: bool) -> None:
    """Beside h94's adapters for SDXL lies another encoder than those with "vit-h" in their names read."""
    folder = family_folder("sd15")
    adapter = build_ip_adapter(tmp_path / "sdxl_models", folder, plus=plus)
    (tmp_path / "models").mkdir()
    shutil.move(tmp_path / "sdxl_models" / "image_encoder", tmp_path / "models" / "image_encoder")
    other = CLIPVisionConfig(
        hidden_size=64, intermediate_size=32, num_hidden_layers=1, num_attention_heads=4, image_size=32, patch_size=8,
        projection_dim=32,
    )  # fmt: skip
    CLIPVisionModelWithProjection(other).save_pretrained(tmp_path / "sdxl_models" / "image_encoder")
    networks = load_networks(folder, device="cpu", extras=Extras(ip_adapter=adapter))
    assert networks.pipe.image_encoder.config.hidden_size == 32
    shutil.rmtree(tmp_path / "models")
    with pytest.raises(ModelError, match="reads an image encoder of width"):
        load_networks(folder, device="cpu", extras=Extras(ip_adapter=adapter))


def test_layers_that_a_model_lacks_are_named(family_folder: Folder, tmp_path: Path) -> None:
    folder = family_folder("sd15")
    stored = load_file(add_lora(tmp_path / "plain.safetensors", folder, seed=0))
    said: list[str] = []
    load_networks(folder, device="cpu", extras=Extras(loras={tmp_path / "plain.safetensors": 1.0}), say=said.append)
    assert not said
    layer = "unet.down_blocks.9.attentions.0.transformer_blocks.0.attn1.to_q"
    stored |= {f"{layer}.lora_A.weight": torch.zeros(4, 32), f"{layer}.lora_B.weight": torch.zeros(32, 4)}
    save_file(stored, tmp_path / "more.safetensors")
    load_networks(folder, device="cpu", extras=Extras(loras={tmp_path / "more.safetensors": 1.0}), say=said.append)
    assert len(said) == 1 and "1 of its" in said[0]


def test_another_encoder_in_the_cache_is_not_the_one(family_folder: Folder, tmp_path: Path) -> None:
    """In the hub's cache lies the encoder of another adapter of the same repository: the right one is fetched."""
    folder, cache = family_folder("sd15"), tmp_path / "cache"
    adapter = build_ip_adapter(cache / "sdxl_models", folder).rename(cache / "sdxl_models/ip-adapter_vit-h.safetensors")
    right = shutil.move(cache / "sdxl_models" / "image_encoder", tmp_path / "right")
    other = CLIPVisionConfig(hidden_size=64, intermediate_size=32, num_hidden_layers=1, num_attention_heads=4,
                             image_size=32, patch_size=8, projection_dim=32)  # fmt: skip
    CLIPVisionModelWithProjection(other).save_pretrained(cache / "sdxl_models" / "image_encoder")
    asked = []

    def fetch_part(part: str | Path) -> Place:
        asked.append(part)
        return Place(str(part), Path(right))

    location = Place("owner/repository/sdxl_models/ip-adapter_vit-h.safetensors", adapter.parent, file=adapter.name)
    assert find_encoder(location, fetch_part) == Path(right)
    assert asked == ["owner/repository/models/image_encoder"]
