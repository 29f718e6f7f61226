"""TODO networks."""

from __future__ import annotations

from stylize.networks.attention import Exchange
from stylize.networks.budget import arrange, choose_batch
from stylize.networks.controlnets import ControlNet
from stylize.networks.devices import choose_device
from stylize.networks.image_networks import Networks

__all__ = ["ControlNet", "Exchange", "Networks", "arrange", "choose_batch", "choose_device"]
