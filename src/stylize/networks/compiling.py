"""Compiling UNet and ControlNets where it pays: minutes before the first frame, a quarter less time for each."""

from __future__ import annotations

from typing import Literal, TypeAlias

from stylize.errors import StyleError
from stylize.networks.budget import MemoryLoad
from stylize.networks.image_networks import Networks
from stylize.networks.motion_modules import has_motion

Compile: TypeAlias = Literal["auto", "on", "off"]

COMPILE_SECONDS = 75.0
"""That `torch.compile` took for a UNet of SD 1.5 and two ControlNets (H200, torch 2.11)."""
FRAME_SECONDS, SAVED = 0.0282, 0.27
"""Of a frame through them, four steps at 512x512 in batches of 16, not compiled; and the share that compiling saves."""
UNET_PARAMETERS, LATENTS, SAMPLES = 860e6, 64 * 64, 4
"""Of that measurement."""


def choose_compile(
    networks: Networks, wanted: Compile, size: tuple[int, int], frames: int | None, load: MemoryLoad
) -> bool:
    """Whether the networks are compiled for a run; the same answer for the same run, as compiling changes last bits.

    Args:
        frames: how many are to be restyled; `None` where that is not known.
        load: steps and samples of a frame.

    Raises:
        StyleError: it is asked for on a device other than a CUDA GPU, or with a motion adapter.
    """
    if wanted == "on" and networks.device.type != "cuda":
        raise StyleError(f"compiling is for CUDA devices, not for {networks.device.type}", "leave --compile out")
    if has_motion(networks.unet):
        if wanted == "on":
            raise StyleError("a model with a motion adapter is not compiled", "leave --compile out")
        return False
    if wanted != "auto" or networks.device.type != "cuda" or frames is None:
        return wanted == "on"
    return frames * seconds_saved(networks, size, load) > COMPILE_SECONDS


def seconds_saved(networks: Networks, size: tuple[int, int], load: MemoryLoad) -> float:
    """Estimates the seconds that compiling saves for a frame of `size` (width, height)."""
    parameters = sum(parameter.numel() for parameter in networks.unet.parameters())
    latents = size[0] * size[1] / networks.pipe.vae_scale_factor**2
    work: float = parameters / UNET_PARAMETERS * latents / LATENTS * load.steps * load.groups / SAMPLES
    return FRAME_SECONDS * SAVED * work


def set_compiled(networks: Networks, compiled: bool) -> None:
    """Has UNet and ControlNets compiled, for batches of one size, as each is first called; or has them run as they are.

    They are compiled one by one: a control that ends early is not called any more, which changes no graph but the last.
    """
    for module in (networks.unet, *{id(net.network): net.network for net in networks.controlnets.values()}.values()):
        if not compiled:
            module._compiled_call_impl = None  # torch has no public call that undoes `compile`
        elif module._compiled_call_impl is None:
            module.compile(dynamic=False)
