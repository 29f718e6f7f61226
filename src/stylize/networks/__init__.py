"""The networks of one loaded model behind a few calls; tensors only."""

from __future__ import annotations

from stylize.networks.attention import Exchange
from stylize.networks.budget import arrange, choose_batch
from stylize.networks.controlnets import ControlNet
from stylize.networks.devices import choose_device
from stylize.networks.image_networks import Networks
from stylize.networks.prompts import PromptEmbedding
from stylize.networks.video_networks import VideoNetworks

__all__ = [
    "ControlNet",
    "Exchange",
    "Networks",
    "PromptEmbedding",
    "VideoNetworks",
    "arrange",
    "choose_batch",
    "choose_device",
]
