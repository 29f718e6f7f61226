"""A tiny diffusers model's weights under the names of the original latent diffusion code, for the single-file tests.

The two layouts hold the same tensors; this walks the blocks in the order in which the original numbers them.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from safetensors.torch import load_file

Tensors = dict[str, torch.Tensor]

RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
    "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
}  # fmt: skip
"""Parts of a residual block of the UNet."""
VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def single_file_tensors(folder: Path) -> Tensors:
    """UNet, VAE and text encoder of an SD 1.5 model with one layer a block."""
    stored = load_file(folder / "text_encoder" / "model.safetensors")
    wrapped = {k if k.startswith("text_model.") else f"text_model.{k}": v for k, v in stored.items()}
    return {
        **{f"model.diffusion_model.{k}": v for k, v in _unet(_weights(folder / "unet")).items()},
        **{f"first_stage_model.{k}": v for k, v in _vae(_weights(folder / "vae")).items()},
        **{f"cond_stage_model.transformer.{k}": v for k, v in wrapped.items()},
    }


def controlnet_tensors(folder: Path) -> Tensors:
    """A ControlNet of an SD 1.5 model, as lllyasviel's repositories hold it."""
    stored = _weights(folder)
    blocks = 1 + max(int(m[1]) for k in stored if (m := re.match(r"controlnet_cond_embedding\.blocks\.(\d+)", k)))
    found = _unet({k: v for k, v in stored.items() if not k.startswith("controlnet_")})
    for key, tensor in stored.items():
        if m := re.match(r"controlnet_cond_embedding\.(conv_in|conv_out|blocks\.(\d+))\.(.*)", key):
            number = 0 if m[1] == "conv_in" else blocks + 1 if m[1] == "conv_out" else int(m[2]) + 1
            found[f"input_hint_block.{2 * number}.{m[3]}"] = tensor
        elif m := re.match(r"controlnet_down_blocks\.(\d+)\.(.*)", key):
            found[f"zero_convs.{m[1]}.0.{m[2]}"] = tensor
        elif m := re.match(r"controlnet_mid_block\.(.*)", key):
            found[f"middle_block_out.0.{m[1]}"] = tensor
    assert len(found) == len(stored)
    return {f"control_model.{k}": v for k, v in found.items()}


def _weights(folder: Path) -> Tensors:
    return load_file(folder / "diffusion_pytorch_model.safetensors")


def _resnet(name: str) -> str:
    part, rest = name.split(".", 1)
    return f"{RESNET[part]}.{rest}"


def _unet(stored: Tensors) -> Tensors:
    """Down: input block 0 is conv_in, then one for each layer and each downsampler; up: one for each layer."""
    levels = 1 + max(int(m[1]) for k in stored if (m := re.match(r"down_blocks\.(\d+)", k)))
    layers = 1 + max(int(m[1]) for k in stored if (m := re.match(r"down_blocks\.0\.resnets\.(\d+)", k)))
    found: Tensors = {}
    fixed = {
        "conv_in.": "input_blocks.0.0.", "time_embedding.linear_1.": "time_embed.0.",
        "time_embedding.linear_2.": "time_embed.2.", "conv_norm_out.": "out.0.", "conv_out.": "out.2.",
    }  # fmt: skip
    for key, tensor in stored.items():
        for ours, theirs in fixed.items():
            if key.startswith(ours):
                found[theirs + key.removeprefix(ours)] = tensor
        m = re.match(
            r"(down|up|mid)_blocks?\.(?:(\d+)\.)?(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.*)", key
        )
        if m is None:
            continue
        side, level, kind, i, rest = m[1], int(m[2] or 0), m[3], int(m[4]), m[5]
        part = _resnet(rest) if kind == "resnets" else rest
        if side == "mid":
            found[f"middle_block.{1 if kind == 'attentions' else 2 * i}.{part}"] = tensor
        elif side == "down":
            block = 1 + level * (layers + 1) + (layers if kind == "downsamplers" else i)
            place = {"resnets": "0.", "attentions": "1.", "downsamplers": "0.op."}[kind]
            found[f"input_blocks.{block}.{place}{part.removeprefix('conv.') if kind == 'downsamplers' else part}"] = (
                tensor
            )
        else:
            block = level * (layers + 1) + (layers if kind == "upsamplers" else i)
            attends = any(k.startswith(f"up_blocks.{level}.attentions") for k in stored)
            place = {"resnets": "0.", "attentions": "1.", "upsamplers": "2." if attends else "1."}[kind]
            found[f"output_blocks.{block}.{place}{part}"] = tensor
    assert levels >= 2
    return found


def _vae(stored: Tensors) -> Tensors:
    levels = 1 + max(int(m[1]) for k in stored if (m := re.match(r"encoder\.down_blocks\.(\d+)", k)))
    found: Tensors = {}
    for key, tensor in stored.items():
        name = key.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
        m = re.match(
            r"(encoder|decoder)\.(down|up)_blocks\.(\d+)\.(resnets|downsamplers|upsamplers)\.(\d+)\.(.*)", name
        )
        if m is not None:
            level = int(m[3]) if m[2] == "down" else levels - 1 - int(m[3])  # the original counts from the large end
            part = f"block.{m[5]}" if m[4] == "resnets" else f"{m[2]}sample"
            name = f"{m[1]}.{m[2]}.{level}.{part}.{m[6]}"
        m = re.match(r"(encoder|decoder)\.mid_block\.(resnets|attentions)\.(\d+)\.(.*)", name)
        if m is not None:
            part = f"block_{int(m[3]) + 1}" if m[2] == "resnets" else f"attn_{int(m[3]) + 1}"
            rest = m[4]
            if m[2] == "attentions":
                old = next(k for k in VAE_ATTENTION if rest.startswith(k))
                rest = VAE_ATTENTION[old] + rest.removeprefix(old)
                if tensor.ndim == 2:
                    tensor = tensor[:, :, None, None]  # 1 x 1 convolutions there
            name = f"{m[1]}.mid.{part}.{rest}"
        found[name] = tensor
    return found
