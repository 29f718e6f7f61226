"""LoRAs and textual inversions as the files that people have."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from stylize import ModelError
from stylize.models.loading import load_networks
from stylize.models.parts import Extras
from tiny_models import add_lora

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
