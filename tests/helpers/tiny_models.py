"""Tiny models with random weights and the real architectures, in the hub's exact layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPTokenizer

CONTROLS = ("depth", "canny")


def add_image_prompt(folder: Path, width: int = 32, tokens: int = 4) -> Path:
    """A random image encoder and projection in IP-Adapter's layout, for the model in `folder`."""
    from safetensors.torch import save_file
    from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(2)
    config = CLIPVisionConfig(
        hidden_size=width, intermediate_size=width, num_hidden_layers=1, num_attention_heads=4, image_size=32,
        patch_size=8, projection_dim=16,
    )  # fmt: skip
    CLIPVisionModelWithProjection(config).save_pretrained(folder / "image_encoder")
    size = {"shortest_edge": 32}, {"height": 32, "width": 32}
    CLIPImageProcessor(size=size[0], crop_size=size[1]).save_pretrained(folder / "feature_extractor")
    (folder / "ip_adapter").mkdir()
    weights = {
        "image_proj.proj.weight": torch.randn(tokens * width, 16), "image_proj.proj.bias": torch.zeros(tokens * width),
        "image_proj.norm.weight": torch.full((width,), 3.0), "image_proj.norm.bias": torch.zeros(width),
    }  # fmt: skip
    save_file(weights, folder / "ip_adapter" / "ip-adapter.safetensors")
    settings = json.loads((folder / "stylize.json").read_text()) | {"image_prompt": "ip_adapter"}
    (folder / "stylize.json").write_text(json.dumps(settings))
    return folder


FAMILIES: dict[str, dict[str, object]] = {
    "sd15": {"cross_attention_dim": 32},
    "sd21": {"cross_attention_dim": 48, "use_linear_projection": True},
    "sdxl": {
        "cross_attention_dim": 64, "use_linear_projection": True, "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8, "projection_class_embeddings_input_dim": 32 + 6 * 8,
    },
}  # fmt: skip
"""What tells the families' UNets apart, at a small size."""


def build_tiny_model(folder: Path, *, family: str = "sd15", attention_scale: float = 4.0) -> Path:
    """A random checkpoint of 2 M parameters in the layout in which diffusers saves the family with two ControlNets.

    Random weights hardly attend: query, key and output matrices are scaled up, so that what attention sees shows in the
    picture.
    """
    import diffusers

    from stylize.structure.depth_network import DepthNetwork

    torch.manual_seed(1)
    shape = {
        "in_channels": 4,
        "layers_per_block": 1,
        "block_out_channels": (32, 64),
        "attention_head_dim": 4,
        "norm_num_groups": 8,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    } | FAMILIES[family]
    unet = diffusers.UNet2DConditionModel(
        sample_size=32, out_channels=4, up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), **shape
    )
    net = diffusers.ControlNetModel
    controlnets = [net(conditioning_embedding_out_channels=(8, 8, 16, 16), **shape) for _ in CONTROLS]
    wake(unet, controlnets, attention_scale)
    prediction = "v_prediction" if family == "sd21" else "epsilon"
    parts = {
        "vae": tiny_vae(),
        "unet": unet,
        "controlnet": diffusers.MultiControlNetModel(controlnets),
        "scheduler": diffusers.DDIMScheduler(
            beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, clip_sample=False,
            prediction_type=prediction,
        ),
    }  # fmt: skip
    if family == "sdxl":
        second = {"text_encoder_2": tiny_text_encoder(32, projected=True), "tokenizer_2": tiny_tokenizer()}
        parts |= {"text_encoder": tiny_text_encoder(32), "tokenizer": tiny_tokenizer(), **second}
        pipeline = diffusers.StableDiffusionXLControlNetImg2ImgPipeline(**parts)
    else:
        width = shape["cross_attention_dim"]
        parts |= {"text_encoder": tiny_text_encoder(width), "tokenizer": tiny_tokenizer()}
        pipeline = diffusers.StableDiffusionControlNetImg2ImgPipeline(
            **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
        )
    pipeline.save_pretrained(folder)
    DepthNetwork(channels=(8, 16, 16)).save_pretrained(folder / "depth")
    settings = {
        "controlnets": {"depth": "controlnet", "canny": "controlnet_1"},
        "depth_estimator": "depth",
        "defaults": {"steps": 4, "strength": 0.5, "guidance_scale": 1.0},
    }
    (folder / "stylize.json").write_text(json.dumps(settings))
    return folder


def wake(unet: torch.nn.Module, controlnets: list[torch.nn.Module], attention_scale: float) -> None:
    """Makes random networks react to what they are shown."""
    with torch.no_grad():
        for name, parameter in unet.named_parameters():
            if ".attn1." in name and parameter.ndim == 2:
                parameter.mul_(attention_scale)
        for net in controlnets:  # their last layers start at zero
            for parameter in [*net.controlnet_down_blocks.parameters(), *net.controlnet_mid_block.parameters()]:
                parameter.normal_(std=0.05)
            for parameter in net.controlnet_cond_embedding.conv_out.parameters():
                parameter.normal_(std=0.05)


def tiny_vae() -> torch.nn.Module:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        latent_channels=4,
        block_out_channels=(8, 16, 16, 16),
        norm_num_groups=8,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
    )


def tiny_tokenizer() -> CLIPTokenizer:
    """One token a letter."""
    letters = [chr(i) for i in range(33, 127)]
    tokens = [*letters, *(c + "</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={t: i for i, t in enumerate(tokens)}, merges=[], model_max_length=77)


def tiny_text_encoder(width: int, *, projected: bool = False) -> torch.nn.Module:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    count = len(tiny_tokenizer())
    config = CLIPTextConfig(
        vocab_size=count,
        hidden_size=width,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        projection_dim=32,
        bos_token_id=count - 2,
        eos_token_id=count - 1,
        pad_token_id=count - 1,
    )
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config)


def add_lora(path: Path, model: Path, *, seed: int) -> Path:
    """A random LoRA of rank 4 for the attention of a model's UNet, in diffusers' layout."""
    from diffusers import UNet2DConditionModel
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(seed)
    unet = UNet2DConditionModel.from_pretrained(model / "unet", local_files_only=True)
    tensors = {}
    for name, module in unet.named_modules():
        if isinstance(module, torch.nn.Linear) and name.endswith((".to_q", ".to_v")):
            shapes = {"lora_A": (4, module.in_features), "lora_B": (module.out_features, 4)}
            for half, shape in shapes.items():
                tensors[f"unet.{name}.{half}.weight"] = torch.randn(shape, generator=generator) * 0.3
    save_file(tensors, path)
    return path


def build_ip_adapter(folder: Path, model: Path, *, plus: bool = False) -> Path:
    """A random IP-Adapter for a model in the hub's layout: one file, and the image encoder beside it."""
    from diffusers import UNet2DConditionModel
    from safetensors.torch import save_file
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(5)
    unet = UNet2DConditionModel.from_pretrained(model / "unet", local_files_only=True)
    width, seen, tokens = unet.config.cross_attention_dim, 32, 4
    config = CLIPVisionConfig(
        hidden_size=seen, intermediate_size=seen, num_hidden_layers=2, num_attention_heads=4, image_size=32,
        patch_size=8, projection_dim=16,
    )  # fmt: skip
    CLIPVisionModelWithProjection(config).save_pretrained(folder / "image_encoder")
    weights = _resampler(seen, width, tokens) if plus else {
        "image_proj.proj.weight": torch.randn(tokens * width, 16), "image_proj.proj.bias": torch.zeros(tokens * width),
        "image_proj.norm.weight": torch.ones(width), "image_proj.norm.bias": torch.zeros(width),
    }  # fmt: skip
    layers = [name for name in unet.attn_processors if ".attn2." in name]
    for i, name in enumerate(layers):
        size = unet.get_submodule(name.removesuffix(".processor")).to_k.weight.shape
        for kind in ("to_k_ip", "to_v_ip"):
            weights[f"ip_adapter.{2 * i + 1}.{kind}.weight"] = torch.randn(size) * 0.2
    path = folder / f"ip-adapter{'-plus' if plus else ''}_tiny.safetensors"
    save_file(weights, path)
    return path


def _resampler(seen: int, width: int, tokens: int) -> dict[str, torch.Tensor]:
    """IP-Adapter Plus reads all patches through a perceiver of four layers, here with one head of 64 channels."""
    inner = 64

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape) * 0.2

    weights = {
        "latents": normal(1, tokens, inner), "proj_in.weight": normal(inner, seen), "proj_in.bias": normal(inner),
        "proj_out.weight": normal(width, inner), "proj_out.bias": normal(width),
        "norm_out.weight": torch.ones(width), "norm_out.bias": torch.zeros(width),
    }  # fmt: skip
    for i in range(4):
        for norm in ("0.norm1", "0.norm2", "1.0"):
            weights |= {f"layers.{i}.{norm}.weight": torch.ones(inner), f"layers.{i}.{norm}.bias": torch.zeros(inner)}
        weights |= {
            f"layers.{i}.0.to_q.weight": normal(inner, inner), f"layers.{i}.0.to_kv.weight": normal(2 * inner, inner),
            f"layers.{i}.0.to_out.weight": normal(inner, inner),
            f"layers.{i}.1.1.weight": normal(4 * inner, inner), f"layers.{i}.1.3.weight": normal(inner, 4 * inner),
        }  # fmt: skip
    return {f"image_proj.{name}": tensor for name, tensor in weights.items()}


def build_tiny_video_model(folder: Path, *, kind: str = "vace") -> Path:
    """A random model of the Wan family in the hub's layout: UMT5, video autoencoder, transformer.

    Args:
        kind: "vace", "plain", "picture" (2.1 image to video, with CLIP), "experts" (2.2 image to video, two
            transformers), "tokens" (2.2 TI2V).
    """
    import diffusers
    from transformers import UMT5Config, UMT5EncoderModel

    torch.manual_seed(2)
    tokenizer = _build_letters()
    config = UMT5Config(
        vocab_size=len(tokenizer), d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=4, decoder_start_token_id=0
    )
    shape = {
        "num_attention_heads": 2, "attention_head_dim": 12, "text_dim": 32, "freq_dim": 256, "ffn_dim": 32,
        "num_layers": 3, "rope_max_seq_len": 64,
    }  # fmt: skip
    transformers = [_build_wan_transformer(kind, shape) for _ in range(2 if kind == "experts" else 1)]
    vae = diffusers.AutoencoderKLWan(base_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1)
    scheduler = diffusers.UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, num_train_timesteps=1000, flow_shift=3.0
    )
    parts = {"tokenizer": tokenizer, "text_encoder": UMT5EncoderModel(config), "vae": vae, "scheduler": scheduler}
    parts["transformer"] = transformers[0]
    if kind == "picture":
        parts["image_encoder"], parts["image_processor"] = _build_clip_vision()
    if kind == "experts":
        parts |= {"transformer_2": transformers[1], "boundary_ratio": 0.9}
    if kind == "tokens":
        parts["expand_timesteps"] = True
    pipelines = {"vace": "WanVACEPipeline", "picture": "WanImageToVideoPipeline", "experts": "WanImageToVideoPipeline"}
    return _save_video_model(getattr(diffusers, pipelines.get(kind, "WanPipeline"))(**parts), folder)


def build_tiny_ltx(folder: Path, *, takes_last_noise: bool = False) -> Path:
    """A random model of LTX-Video 0.9.5 in the hub's layout.

    Args:
        takes_last_noise: the decoder has a timestep of its own, as the published ones do.
    """
    import diffusers
    from transformers import T5Config, T5EncoderModel

    torch.manual_seed(3)
    tokenizer = _build_letters()
    config = T5Config(vocab_size=len(tokenizer), d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=4)
    transformer = diffusers.LTXVideoTransformer3DModel(
        in_channels=8, out_channels=8, num_attention_heads=4, attention_head_dim=8, cross_attention_dim=32,
        num_layers=2, caption_channels=32,
    )  # fmt: skip
    torch.nn.init.normal_(transformer.proj_out.weight, std=0.3)
    torch.nn.init.normal_(transformer.proj_in.weight, std=0.3)
    vae = diffusers.AutoencoderKLLTXVideo(
        latent_channels=8, block_out_channels=(8, 8, 8, 8), decoder_block_out_channels=(8, 8, 8, 8),
        layers_per_block=(1, 1, 1, 1, 1), decoder_layers_per_block=(1, 1, 1, 1, 1), patch_size=1,
        spatio_temporal_scaling=(True, True, False, False), decoder_spatio_temporal_scaling=(True, True, False, False),
        decoder_inject_noise=(False,) * 5, upsample_residual=(False,) * 4, upsample_factor=(1,) * 4,
        timestep_conditioning=takes_last_noise,
    )  # fmt: skip
    pipe = diffusers.LTXConditionPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(), vae=vae, text_encoder=T5EncoderModel(config),
        tokenizer=tokenizer, transformer=transformer,
    )  # fmt: skip
    return _save_video_model(pipe, folder)


def _build_letters() -> Any:
    """A tokenizer of letters."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = {"<pad>": 0, "</s>": 1, "<unk>": 2} | {chr(i): i - 30 for i in range(33, 127)}
    words = Tokenizer(models.WordLevel(letters, "<unk>"))
    words.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    return PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=512
    )


def _save_video_model(pipe: Any, folder: Path) -> Path:
    from stylize.structure.depth_network import DepthNetwork

    pipe.save_pretrained(folder)
    DepthNetwork(channels=(8, 16, 16)).save_pretrained(folder / "depth")
    (folder / "stylize.json").write_text(json.dumps({"depth_estimator": "depth", "controlnets": {}}))
    return folder


def _build_wan_transformer(kind: str, shape: dict[str, Any]) -> Any:
    import diffusers

    if kind == "vace":
        transformer = diffusers.WanVACETransformer3DModel(**shape, vace_layers=[0, 2])
    elif kind in ("picture", "experts"):
        more = {"image_dim": 16, "added_kv_proj_dim": 24} if kind == "picture" else {}
        transformer = diffusers.WanTransformer3DModel(**shape, in_channels=36, out_channels=16, **more)
    else:
        transformer = diffusers.WanTransformer3DModel(**shape)
    for name, parameter in transformer.named_parameters():
        if any(part in name for part in ("proj_out", "vace_blocks", "patch_embedding", "image_embedder", "add_k")):
            torch.nn.init.normal_(parameter, std=0.2)  # random weights hardly react to what they are shown
    return transformer


def _build_clip_vision() -> tuple[Any, Any]:
    from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel

    config = CLIPVisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14
    )
    size = {"height": 28, "width": 28}
    return CLIPVisionModel(config), CLIPImageProcessor(size={"shortest_edge": 28}, crop_size=size)
