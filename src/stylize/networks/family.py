"""Which family of models a network belongs to, told from its configuration."""

from __future__ import annotations

from typing import Any

FAMILIES = {768: "SD 1.5", 1024: "SD 2.1", 2048: "SDXL"}
"""By the width of what cross-attention reads."""


def family(network: Any) -> str:
    """Names the family of a UNet or ControlNet."""
    width = network.config.cross_attention_dim
    if is_sdxl(network):
        return "SDXL"
    return FAMILIES.get(width, f"a family of width {width}") if isinstance(width, int) else "another family"


def is_sdxl(network: Any) -> bool:
    """Whether the network also reads a pooled prompt and the picture's size (Podell et al. 2023)."""
    return bool(network.config.addition_embed_type == "text_time")


def architecture(network: Any) -> tuple[Any, ...]:
    """Returns the parts of the configuration in which a UNet and its ControlNet must agree."""
    config = network.config
    return config.cross_attention_dim, is_sdxl(network), tuple(config.block_out_channels)
