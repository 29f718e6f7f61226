"""What the tests against diffusers' pipelines share: our latents of a frame, and what the others are to be given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from stylize import Clip, Style
from stylize.decode import read_picture
from stylize.networks import Networks
from stylize.networks.devices import memory_format
from stylize.networks.prompts import stack
from stylize.restyle import Memory, conditions_for
from stylize.restyle.denoise import denoise
from stylize.structure import take_maps

SEED = 11


@dataclass(frozen=True)
class Ours:
    """Our latents, the source's, and the frame and its maps in [0, 1]."""

    latents: torch.Tensor
    source: torch.Tensor
    image: torch.Tensor
    controls: dict[str, torch.Tensor]


def ours(networks: Networks, style: Style, clip: Clip) -> Ours:
    """Of a clip of one frame, from the noise of a generator with `SEED`."""
    reference = None if style.reference is None else read_picture(style.reference)
    conditions = conditions_for(networks, style, reference)
    maps, _ = take_maps(clip, conditions.controls, networks.estimate_depth, None)
    pixels = torch.from_numpy(clip.frames).permute(0, 3, 1, 2).float() / 127.5 - 1
    controls = {name: torch.from_numpy(m).expand(-1, 3, -1, -1) for name, m in maps.maps.items()}
    generators = [torch.Generator().manual_seed(SEED)]
    with torch.inference_mode():
        source = networks.encode(pixels, generators)
        embedded = {name: networks.embed_control(name, m) for name, m in controls.items()}
        prompt = stack([conditions.prompts.at(time) for time in clip.times])
        latents, _ = denoise(networks, conditions, source, embedded, prompt, Memory(), generators)
    return Ours(latents, source, (pixels + 1) / 2, controls)


def laid_out(pipeline: Any) -> Any:
    """diffusers' pipeline with convolutions that lie in memory as ours do, so that they round alike; and quiet."""
    nets = getattr(pipeline.controlnet, "nets", [pipeline.controlnet])
    for module in (pipeline.unet, pipeline.vae, *nets):
        module.to(memory_format=memory_format(pipeline.device))
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def assert_equal(ours: torch.Tensor, theirs: torch.Tensor, source: torch.Tensor) -> None:
    assert ours.shape == theirs.shape
    # latents of random networks can be fifty times as large as real ones; then float32 itself rounds by more
    assert ((ours - theirs).abs() < 1e-4 * theirs.abs().clamp(min=1)).all()
    assert (theirs - source).abs().max() > 0.1  # and something was done
