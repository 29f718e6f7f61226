"""Loads checkpoints in one .safetensors file, of SD 1.5, SD 2.1 and SDXL, without contacting the hub."""

from __future__ import annotations

import gzip
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers.loaders.single_file_utils import infer_diffusers_model_type
from safetensors import safe_open
from transformers import CLIPTokenizer

from stylize.errors import ModelError, explained
from stylize.models.hub import BROKEN_FILES

Config = dict[str, Any]

MERGES = Path(__file__).parent / "clip_merges.txt.gz"
"""The 48,894 merges of CLIP's byte pair encoding, one per line, from OpenAI's CLIP (MIT)."""

VOCABULARY = 49408
"""Number of CLIP's tokens: 256 bytes, the same 256 at the end of a word, 48,894 merges, and two markers."""


def _unet_config(width: int, **more: Any) -> Config:
    return {
        "_class_name": "UNet2DConditionModel", "in_channels": 4, "out_channels": 4, "layers_per_block": 2,
        "block_out_channels": [320, 640, 1280, 1280], "cross_attention_dim": width, "sample_size": 64,
        "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
        "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
    } | more  # fmt: skip


def _vae_config(scaling: float, **more: Any) -> Config:
    return {
        "_class_name": "AutoencoderKL", "in_channels": 3, "out_channels": 3, "latent_channels": 4,
        "layers_per_block": 2, "block_out_channels": [128, 256, 512, 512], "norm_num_groups": 32,
        "down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4,
        "scaling_factor": scaling, "sample_size": 512,
    } | more  # fmt: skip


def _text_config(
    width: int, layers: int, heads: int, act: str, projection: int, class_name: str = "CLIPTextModel"
) -> Config:
    return {
        "architectures": [class_name], "model_type": "clip_text_model",
        "hidden_size": width, "intermediate_size": 4 * width,
        "num_hidden_layers": layers, "num_attention_heads": heads, "hidden_act": act, "projection_dim": projection,
        "vocab_size": VOCABULARY, "max_position_embeddings": 77, "bos_token_id": 0, "eos_token_id": 2,
        "pad_token_id": 1,
    }  # fmt: skip


NOISE = {
    "beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "num_train_timesteps": 1000,
    "steps_offset": 1, "set_alpha_to_one": False, "clip_sample": False,
}  # fmt: skip
CLIP_L = _text_config(768, 12, 12, "quick_gelu", 768)
CONFIGS: dict[str, dict[str, Config]] = {
    "v1": {
        "unet": _unet_config(768, attention_head_dim=8),
        "vae": _vae_config(0.18215),
        "text_encoder": CLIP_L,
        "scheduler": NOISE | {"_class_name": "PNDMScheduler", "skip_prk_steps": True},
    },
    "v2": {
        "unet": _unet_config(
            1024, attention_head_dim=[5, 10, 20, 20], use_linear_projection=True, upcast_attention=True, sample_size=96
        ),
        "vae": _vae_config(0.18215, sample_size=768),
        "text_encoder": _text_config(1024, 23, 16, "gelu", 512),
        "scheduler": NOISE | {"_class_name": "DDIMScheduler", "prediction_type": "v_prediction"},
    },
    "xl_base": {
        "unet": _unet_config(
            2048, attention_head_dim=[5, 10, 20], use_linear_projection=True, sample_size=128,
            block_out_channels=[320, 640, 1280], transformer_layers_per_block=[1, 2, 10],
            down_block_types=["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
            up_block_types=["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
            addition_embed_type="text_time", addition_time_embed_dim=256, projection_class_embeddings_input_dim=2816,
        ),
        "vae": _vae_config(0.13025, sample_size=1024, force_upcast=True),
        "text_encoder": CLIP_L,
        "text_encoder_2": _text_config(1280, 32, 20, "gelu", 1280, "CLIPTextModelWithProjection"),
        "scheduler": NOISE | {"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "leading"},
    },
}  # fmt: skip
"""Configurations by family, as the model repositories publish them."""
for _plain, _painting in (("v1", "inpainting"), ("v2", "inpainting_v2"), ("xl_base", "xl_inpaint")):
    _own = CONFIGS[_plain]
    CONFIGS[_painting] = _own | {"unet": _own["unet"] | {"in_channels": 9}}
PARTS: dict[str, tuple[tuple[str, ...], str]] = {
    "text encoder": (("cond_stage_model.", "conditioner.embedders.", "text_encoders."),
                     "it holds the UNet alone: use a whole checkpoint, or a folder in diffusers format"),
    "VAE": (("first_stage_model.", "vae."), "add one with --vae"),
}  # fmt: skip
"""Beginnings of the names of a part's weights, and what to do if there are none."""
XL = ("xl_base", "xl_inpaint")
BASE_STEPS = 875000
"""Steps that the base model of SD 2.1 was trained for, which predicts noise; the others predict velocity."""
PADDING = {"v1": ["<|endoftext|>"], "v2": ["!"], "xl_base": ["<|endoftext|>", "!"]}
"""Padding token of each tokenizer, by family."""
PADDING |= {"inpainting": PADDING["v1"], "inpainting_v2": PADDING["v2"], "xl_inpaint": PADDING["xl_base"]}


def load_single_file(path: Path, dtype: torch.dtype, configs: Path | None = None, *, other_vae: bool = False) -> Any:
    """Loads diffusers' pipeline of the family that the file's keys belong to.

    Args:
        other_vae: another VAE takes the place of the file's own, which it then may lack.
        configs: a folder in diffusers format whose configurations and tokenizers replace those of the family.

    Raises:
        ModelError: the file is not a complete checkpoint of a known family.
    """
    family, parts = _detect_family(path)
    for part, (begins, advice) in PARTS.items():
        if not any(name.startswith(begins) for name in parts.names) and not (part == "VAE" and other_vae):
            raise ModelError(f"{path}: has no {part}", advice)
    with tempfile.TemporaryDirectory() as folder:
        config_folder = configs or _write_configs(Path(folder), family)
        xl = family in XL
        pipeline = diffusers.StableDiffusionXLPipeline if xl else diffusers.StableDiffusionPipeline
        options = {"add_watermarker": False} if xl else {"safety_checker": None, "requires_safety_checker": False}
        with explained(
            ModelError, f"{path}: cannot be loaded", "it is damaged, or not a whole checkpoint", BROKEN_FILES
        ):
            if not any(name.startswith(PARTS["VAE"][0]) for name in parts.names):
                config = json.loads((config_folder / "vae" / "config.json").read_text())
                options["vae"] = diffusers.AutoencoderKL.from_config(config)  # in the place of one that comes
            pipe = pipeline.from_single_file(
                str(path), config=str(config_folder), dtype=dtype, local_files_only=True, **options
            )
    if parts.noise:
        pipe.scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config, **parts.noise)
    return pipe


@dataclass(frozen=True)
class _Parts:
    """What a checkpoint's file holds."""

    names: frozenset[str]
    noise: dict[str, Any]
    """Settings of the scheduler that the file's markers ask for."""


def _detect_family(path: Path) -> tuple[str, _Parts]:
    what, advice = f"{path}: is not a .safetensors file", "it is damaged: download it again"
    with explained(ModelError, what, advice, BROKEN_FILES), safe_open(path, "pt") as stored:
        tensors = {key: stored.get_slice(key) for key in stored.keys()}  # noqa: SIM118  # `stored` is not a mapping
        shapes = {key: torch.empty(piece.get_shape(), device="meta") for key, piece in tensors.items()}
        steps = int(stored.get_tensor("global_step")) if "global_step" in tensors else None
    has_unet = any(key.startswith("model.diffusion_model.") for key in shapes)
    family = str(infer_diffusers_model_type(shapes)) if has_unet else "none"
    if family not in CONFIGS:
        what = f"{path}: is not a checkpoint of SD 1.5, SD 2.1 or SDXL"
        raise ModelError(what, "LoRAs go to --lora, ControlNets to --controlnet, VAEs to --vae")
    noise: dict[str, Any] = {}
    if "v_pred" in shapes:
        noise["prediction_type"] = "v_prediction"
    if "ztsnr" in shapes:
        noise["rescale_betas_zero_snr"] = True
    if family == "v2" and steps == BASE_STEPS:
        noise["prediction_type"] = "epsilon"
    return family, _Parts(frozenset(shapes), noise)


def _write_configs(folder: Path, family: str) -> Path:
    """Writes a model folder without weights, and returns it."""
    xl = family in XL
    index: Config = {"_class_name": "StableDiffusionXLPipeline" if xl else "StableDiffusionPipeline"}
    for name, config in CONFIGS[family].items():
        (folder / name).mkdir()
        file = "scheduler_config.json" if name == "scheduler" else "config.json"
        (folder / name / file).write_text(json.dumps(config))
        text = name.startswith("text_encoder")
        class_name = config["architectures"][0] if text else config["_class_name"]
        index[name] = ["transformers" if text else "diffusers", class_name]
    for name, padding in zip(("tokenizer", "tokenizer_2"), PADDING[family], strict=False):
        clip_tokenizer(padding).save_pretrained(folder / name)
        index[name] = ["transformers", "CLIPTokenizer"]
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def clip_tokenizer(padding: str) -> CLIPTokenizer:
    """Builds CLIP's tokenizer from its list of merges (Radford et al. 2021).

    Args:
        padding: the padding token.
    """
    lines = gzip.decompress(MERGES.read_bytes()).decode("utf-8").splitlines()
    merges = [(one, two) for one, two in (line.split() for line in lines)]
    letters = _list_byte_letters()
    words = [*letters, *(c + "</w>" for c in letters), *(one + two for one, two in merges)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: i for i, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, pad_token=padding, model_max_length=77)


def _list_byte_letters() -> list[str]:
    """Returns a printable letter for each byte, in the order of CLIP's vocabulary: printable bytes first, unchanged."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    return [chr(b) for b in printable] + [chr(256 + i) for i in range(len(others))]
