"""Shared by all tests: offline, one thread, and a tiny random model with Stable Diffusion's real architecture."""

from __future__ import annotations

import json
import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # spinning OpenMP threads on busy cores cost many times the work

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from stylize.models import load_networks
from stylize.networks import Networks

torch.set_num_threads(1)

CONTROLS = ("depth", "canny")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """GPU tests skip without a GPU, unless this machine must have one."""
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        if os.environ.get("STYLIZE_REQUIRE_GPU") == "1":
            pytest.fail("STYLIZE_REQUIRE_GPU is set, but there is no GPU")
        pytest.skip("no GPU")


@pytest.fixture(autouse=True)
def random_state() -> Iterator[None]:
    """No test leaks its random state into the next."""
    torch.manual_seed(0)
    np.random.seed(0)
    yield


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


def build_tiny_model(folder: Path, *, attention_scale: float = 4.0) -> Path:
    """A random checkpoint of 2 M parameters in the layout in which diffusers saves SD 1.5 with two ControlNets.

    Random weights hardly attend: query, key and output matrices are scaled up, so that what attention sees shows in the
    picture.
    """
    from diffusers import (
        AutoencoderKL,
        ControlNetModel,
        DDIMScheduler,
        MultiControlNetModel,
        StableDiffusionControlNetImg2ImgPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    from stylize.depth import DepthNetwork

    torch.manual_seed(1)
    shape = {
        "in_channels": 4,
        "layers_per_block": 1,
        "block_out_channels": (32, 64),
        "cross_attention_dim": 32,
        "attention_head_dim": 4,
        "norm_num_groups": 8,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    }
    unet = UNet2DConditionModel(
        sample_size=32, out_channels=4, up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), **shape
    )
    controlnets = [ControlNetModel(conditioning_embedding_out_channels=(8, 8, 16, 16), **shape) for _ in CONTROLS]
    with torch.no_grad():
        for name, parameter in unet.named_parameters():
            if ".attn1." in name and parameter.ndim == 2:
                parameter.mul_(attention_scale)
        for net in controlnets:  # their last layers start at zero
            for parameter in [*net.controlnet_down_blocks.parameters(), *net.controlnet_mid_block.parameters()]:
                parameter.normal_(std=0.05)
            for parameter in net.controlnet_cond_embedding.conv_out.parameters():
                parameter.normal_(std=0.05)
    vae = AutoencoderKL(
        latent_channels=4,
        block_out_channels=(8, 16, 16, 16),
        norm_num_groups=8,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
    )
    letters = [chr(i) for i in range(33, 127)]
    tokens = [*letters, *(c + "</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
    tokenizer = CLIPTokenizer(vocab={t: i for i, t in enumerate(tokens)}, merges=[], model_max_length=77)
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokens),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            projection_dim=32,
            bos_token_id=len(tokens) - 2,
            eos_token_id=len(tokens) - 1,
            pad_token_id=len(tokens) - 1,
        )
    )
    pipeline = StableDiffusionControlNetImg2ImgPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        controlnet=MultiControlNetModel(controlnets),
        scheduler=DDIMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
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


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the tiny random model."""
    return build_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def tiny(tiny_model: Path) -> Networks:
    """The tiny random model, loaded."""
    return load_networks(tiny_model, device="cpu", dtype=torch.float32)
