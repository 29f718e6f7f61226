"""Restyling with image models: batches of frames through VAE, ControlNets and UNet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image as PillowImage
from torch.nn import functional as F

from stylize.frames import Clip, DepthEstimator, Image, Picture, StructureMaps
from stylize.networks import Networks
from stylize.networks.devices import start_download
from stylize.networks.prompts import stack
from stylize.restyle.conditions import Conditions, conditions_for
from stylize.restyle.denoise import denoise
from stylize.restyle.looking_back import count_before
from stylize.restyle.memory import Memory
from stylize.restyle.seeds import seed_of_frame, seed_of_shot
from stylize.style import Style

LATENT_GRID = 8


@dataclass(frozen=True)
class ImageRestyler:
    """A `Restyler` of a Stable Diffusion class model."""

    networks: Networks
    batch: int = 1
    static: bool = False
    """Fills every batch up to one size, as compiled networks want it."""

    @property
    def name(self) -> str:
        """The model's name."""
        return self.networks.name

    @property
    def device(self) -> str:
        """The networks' device."""
        return str(self.networks.device)

    @property
    def estimate_depth(self) -> DepthEstimator:
        """The depth network of the model, or the one that it was loaded with."""
        return self.networks.estimate_depth

    def prepare(self, style: Style, reference: PillowImage.Image | None) -> Conditions:
        """Turns a style into conditions; see `conditions_for`."""
        return conditions_for(self.networks, style, reference)

    @torch.inference_mode()
    def restyle(
        self, start: Clip, maps: StructureMaps, memory: Memory, conditions: Conditions
    ) -> tuple[Iterable[Image], Memory]:
        """Restyles a batch; see `Restyler.restyle`."""
        networks, (width, height), count = self.networks, start.size, len(start)
        size = max(count, self.batch) if self.static else count
        generators = [torch.Generator("cpu").manual_seed(seed) for seed in self._list_seeds(conditions, memory, size)]
        signed = _pad(_to_signed(start.frames))
        latents = networks.encode(signed, generators)
        shown = None if start.known is None or not networks.paints else _show(networks, start, signed, generators)
        padded = {name: _pad(torch.from_numpy(maps.maps[name]).expand(-1, 3, -1, -1)) for name in conditions.controls}
        embedded = {name: networks.embed_control(name, control) for name, control in padded.items()}
        if self.static:
            shown = None if shown is None else _fill(shown, size)
            latents, embedded = _fill(latents, size), {name: _fill(x, size) for name, x in embedded.items()}
        before = [0] * count_before(memory) if networks.moves else []
        prompt = stack([conditions.prompts.at(start.times[min(i, count - 1)]) for i in [*before, *range(size)]])
        latents, memory = denoise(networks, conditions, latents, embedded, prompt, memory, generators, count, shown)
        drawn = networks.draws_strokes and "strokes" in padded
        strokes = (padded["strokes"], conditions.controls["strokes"].weight) if drawn else ()
        pixels = networks.decode(latents[:count], *strokes)[..., :height, :width]
        return _to_images(*start_download(pixels)), memory

    def _list_seeds(self, conditions: Conditions, memory: Memory, size: int) -> list[int]:
        if self.networks.moves:
            first = memory.frames_in_shot
            return [seed_of_frame(conditions.seed, memory.shot, first + i) for i in range(size)]
        return [seed_of_shot(conditions.seed, memory.shot)] * size


def _show(networks: Networks, start: Clip, signed: torch.Tensor, generators: Sequence[torch.Generator]) -> torch.Tensor:
    """Returns what an inpainting model sees of a batch; see `Networks.show`."""
    assert start.known is not None
    known = _pad(torch.from_numpy(start.known[:, None].astype(np.float32)))
    return networks.show(signed, known, generators[: len(signed)])


def _fill(rows: torch.Tensor, size: int) -> torch.Tensor:
    """Repeats the last row until there are `size` of them; always laid out alike, as compiled networks want it."""
    return torch.cat([rows, rows[-1:].expand(size - len(rows), -1, -1, -1)]).contiguous()


def _to_signed(frames: Picture) -> torch.Tensor:
    """Converts uint8 `[T, H, W, 3]` to float32 `[T, 3, H, W]` in [-1, 1]; in NumPy, as torch's threads cost more."""
    signed = np.divide(frames, np.float32(127.5), dtype=np.float32)
    return torch.from_numpy(np.subtract(signed, 1, out=signed)).permute(0, 3, 1, 2)


def _to_images(pixels: torch.Tensor, wait: Callable[[], None]) -> Iterator[Image]:
    """Yields images in [0, 1], each contiguous by itself, of `[T, 3, H, W]` around [-1, 1].

    Args:
        wait: returns once the pixels are there.
    """
    wait()
    for frame in pixels.permute(0, 2, 3, 1).numpy():
        halves = np.ascontiguousarray(frame) / np.float32(2)  # decoders that lie channels first give a view
        yield np.clip(halves + np.float32(0.5), 0, 1, dtype=np.float32)


def _pad(pixels: torch.Tensor) -> torch.Tensor:
    """Repeats the last row and column until both sides are divisible by 8; cropped back after decoding."""
    below, right = (-side % LATENT_GRID for side in pixels.shape[-2:])
    return F.pad(pixels, (0, right, 0, below), mode="replicate") if below or right else pixels
