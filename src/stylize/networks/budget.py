"""Fits the networks into a device's memory: their layout, and how many frames go together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

import torch
from diffusers.hooks import apply_group_offloading

from stylize.errors import StyleError, StylizeError
from stylize.networks.attention import cache_bytes
from stylize.networks.devices import KNOWN, free_bytes, full_size_slice
from stylize.networks.image_networks import Networks
from stylize.networks.motion_modules import choose_window, has_motion
from stylize.style.values import Layout

BUFFERS = 6
"""Tensors of the widest layer that are alive at once, by the measure of diffusers' VAE decoder and UNet."""
SPARE = 0.9
"""Share of the free memory that a run may plan with."""

BATCH = 8
"""Frames that go through the networks together, if they fit; quicker than one by one on CPUs too
(docs/performance.md)."""
MAX_BATCH = 32


@dataclass(frozen=True)
class MemoryLoad:
    """The settings of a style that decide how much memory a frame takes."""

    groups: int = 1
    """Samples a frame; 2 with guidance."""
    steps: int = 1
    """Denoising steps that are run."""
    attends: bool = True
    """Frames look at others' keys and values, which are kept for that."""


@dataclass(frozen=True)
class Needs:
    """The memory that a run takes, in bytes; all are estimates except the weights."""

    weights: int
    decoding: int
    """The VAE at one frame's full size, which is the peak of a frame."""
    denoising: int
    """UNet and ControlNets at the latents' size."""
    keys_values: int
    """Keys and values that one frame keeps per step."""
    steps: int
    full_size: int = 1
    """Frames that go through the VAE together."""

    def of(self, layout: Layout, batch: int = 1) -> int:
        """Returns the bytes in a layout; a tile takes an eighth of a whole frame, a layer an eighth of the weights.

        Of keys and values, four frames' are held at all steps (first of the video, first of the shot, last of the
        batch before and of this one), and in a step each frame holds its own and copies of three that it reads.
        """
        decoding = min(batch, self.full_size) * self.decoding if layout == "whole" else self.decoding // 8
        weights = self.weights if layout != "offloaded" else self.weights // 8
        held = 4 * self.steps * self.keys_values
        return weights + held + max(decoding, batch * (self.denoising + 4 * self.keys_values))


def needs_of(networks: Networks, size: tuple[int, int], load: MemoryLoad = MemoryLoad()) -> Needs:
    """Estimates the memory that the networks take for frames of `size` (width, height)."""
    pixels, latents = size[0] * size[1], size[0] * size[1] // networks.pipe.vae_scale_factor**2
    vae, unet, itemsize = networks.vae.config, networks.unet.config, networks.dtype.itemsize
    widest = 2 * getattr(vae, "decoder_block_out_channels", vae.block_out_channels)[0]
    return Needs(
        weights=sum(p.nbytes for module in _modules(networks) for p in module.parameters()),
        decoding=pixels * widest * BUFFERS * networks.vae.dtype.itemsize,
        denoising=latents * sum(unet.block_out_channels) * BUFFERS * 4 * load.groups * itemsize,
        keys_values=load.groups * cache_bytes(networks.unet, latents, itemsize) if load.attends else 0,
        steps=load.steps,
        full_size=full_size_slice(networks.device),
    )


def check_batch(batch: int | None) -> int | None:
    """Raises StyleError where so many frames cannot be asked for."""
    if batch is not None and not 1 <= batch <= MAX_BATCH:
        raise StyleError(f"a batch of {batch} frames is out of range", f"use 1 to {MAX_BATCH}")
    return batch


def choose_batch(
    networks: Networks, size: tuple[int, int], wanted: int | None = None, load: MemoryLoad = MemoryLoad()
) -> int:
    """Chooses how many frames of `size` (width, height) go through the networks together.

    As many as are `wanted`; with motion modules, as many as these were trained on; else up to `BATCH` where there is
    room for them; one where that is not known, where the VAE goes tile by tile, and where networks are brought in layer
    by layer.
    """
    if has_motion(networks.unet):
        return choose_window(networks.unet, wanted)
    if wanted is not None:
        return wanted
    free, tiled = free_bytes(networks.device), getattr(networks.vae, "use_tiling", False)
    if networks.device.type not in KNOWN or free is None or tiled or _is_offloaded(networks.unet, networks.device):
        return 1
    needs, room = needs_of(networks, size, load), SPARE * (free + loaded_bytes(networks))
    return max((n for n in range(1, BATCH + 1) if needs.of("whole", n) <= room), default=1)


def choose_layout(needs: Needs, free: int | None, loaded: int, wanted: Layout | None = None) -> Layout:
    """Chooses the quickest layout that fits.

    Args:
        free: bytes; `None` chooses the whole layout.
        loaded: bytes of weights that are on the device already, which `free` does not count.
        wanted: the layout that a user asks for; it is taken whether it fits or not.

    Raises:
        StylizeError: none fits.
    """
    if wanted is not None or free is None:
        return wanted or "whole"
    room = SPARE * (free + loaded)
    for layout in get_args(Layout):
        if needs.of(layout) <= room:
            fits: Layout = layout
            return fits
    least, there = needs.of("offloaded") / 1e9, room / 1e9
    what = f"a frame takes about {least:.1f} GB, {there:.1f} GB are free"
    raise StylizeError(what, "choose a smaller size, such as --size 512x288, or --fit 512")


def arrange(
    networks: Networks,
    size: tuple[int, int],
    wanted: Layout | None = None,
    say: Callable[[str], None] | None = None,
    load: MemoryLoad = MemoryLoad(),
) -> Layout:
    """Lays the networks out for frames of `size`, and says so in one line where that is not the whole."""
    needs = needs_of(networks, size, load)
    layout = choose_layout(needs, free_bytes(networks.device), loaded_bytes(networks), wanted)
    (networks.vae.disable_tiling if layout == "whole" else networks.vae.enable_tiling)()
    if layout != "whole" and say is not None:
        consequence = "frames are decoded in tiles"
        consequence += ", networks wait in the computer's memory" if layout == "offloaded" else ""
        say(f"memory: about {needs.of('whole') / 1e9:.1f} GB would be needed, so {consequence}")
    if layout == "offloaded" and networks.device.type != "cpu" and not _is_offloaded(networks.unet, networks.device):
        for module in (networks.unet, *(net.network for net in networks.controlnets.values())):
            apply_group_offloading(module, networks.device, torch.device("cpu"), "leaf_level", use_stream=True)
        for name in ("text_encoder", "text_encoder_2"):
            if (module := getattr(networks.pipe, name, None)) is not None:
                apply_group_offloading(module, networks.device, torch.device("cpu"), "leaf_level")
    return layout


def loaded_bytes(networks: Networks) -> int:
    """Returns the bytes of weights that are on the device already."""
    return sum(p.nbytes for m in _modules(networks) for p in m.parameters() if p.device == networks.device)


def _is_offloaded(module: torch.nn.Module, device: torch.device) -> bool:
    return any(parameter.device.type != device.type for parameter in module.parameters())


def _modules(networks: Networks) -> list[Any]:
    pipe = networks.pipe
    modules = [pipe.unet, pipe.vae, pipe.text_encoder, getattr(pipe, "text_encoder_2", None), pipe.image_encoder]
    return [module for module in modules if module is not None] + list(
        {id(net.network): net.network for net in networks.controlnets.values()}.values()
    )
