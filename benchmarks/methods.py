"""The rows of the temporal benchmark: peers' mechanisms, ours one by one, and the floors, all with the same weights."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from unittest.mock import patch

import numpy as np
import torch
from diffusers import MultiControlNetModel, StableDiffusionControlNetImg2ImgPipeline
from diffusers.pipelines.deprecated.text_to_video_synthesis.pipeline_text_to_video_zero import (
    CrossFrameAttnProcessor2_0,
)

from stylize import Clip, Style, Stylizer, Temporal
from stylize.motion import fusion as fill
from stylize.restyle import conditions_for
from stylize.restyle import image_restyler as restyle
from stylize.structure import DepthRange, StrokeOrder, canny, take_strokes

Method = Callable[[np.ndarray], np.ndarray]
"""uint8 RGB `[T, H, W, 3]` in and out."""

OURS: dict[str, dict[str, object]] = {
    "ours, frame by frame": {"temporal": 0.0},
    "+ attention (full without fusion)": {"temporal": Temporal(attention=1, fusion=0)},
    "+ fusion (full without attention)": {"temporal": Temporal(attention=0, fusion=1)},
    "full": {"temporal": 1.0},
    "fast": {"temporal": 1.0, "mode": "fast"},
    "fast without fusion": {"temporal": Temporal(attention=1, fusion=0), "mode": "fast"},
}
PER_FRAME, ZERO = "diffusers img2img ControlNet", "Text2Video-Zero attention"
FRESH = "ours, every frame a shot of its own, fresh noise"


def methods(stylizer: Stylizer, style: dict[str, object], folder: str) -> dict[str, Method]:
    """By name, in the order of the table. `folder` is the model's, in diffusers format."""
    peers = {
        PER_FRAME: Peer(stylizer, style, folder, across_frames=False),
        ZERO: Peer(stylizer, style, folder, across_frames=True),
    }
    ours = {name: _ours(stylizer, Style(**style | means)) for name, means in OURS.items()}  # type: ignore[arg-type]
    plain = Style(**style | {"temporal": 0.0})  # type: ignore[arg-type]
    alone = {
        FRESH: _alone(stylizer, plain, fresh=True),
        "... the same noise": _alone(stylizer, plain, fresh=False),
    }
    full, full_style = ours["full"], Style(**style | OURS["full"])  # type: ignore[arg-type]
    without = {
        "full without the same noise": _while(fresh_noise, _ours(Stylizer(stylizer.networks, batch=1), full_style)),
        "full without steady depth": _while(lambda: patch.object(DepthRange, "FOLLOW", 1.0), full),
        "full, keeping less (0.9)": _while(lambda: patch.object(fill, "SHARE", 0.9), full),
    }
    floors = {"source": lambda frames: frames, "VAE round trip": _round_trip(stylizer)}
    return floors | peers | alone | ours | without


@contextmanager
def fresh_noise() -> Iterator[None]:
    """Every frame draws its own noise."""
    counter = itertools.count()
    with patch.object(restyle, "seed_of_shot", lambda seed, _: seed + next(counter)):
        yield


def _while(setting: Callable[[], object], method: Method) -> Method:
    """The method with one of its parts switched off."""

    def run(frames: np.ndarray) -> np.ndarray:
        with setting():  # type: ignore[attr-defined]
            return method(frames)

    return run


def _alone(stylizer: Stylizer, style: Style, *, fresh: bool) -> Method:
    def run(frames: np.ndarray) -> np.ndarray:
        results = []
        for i in range(len(frames)):
            one = replace(style, seed=style.seed + i) if fresh else style
            results += [clip.frames for clip in stylizer.stream([clip_of(frames[i : i + 1])], one)]
        return np.concatenate(results)

    return run


def clip_of(frames: np.ndarray) -> Clip:
    times = tuple(Fraction(i, 25) for i in range(len(frames)))
    return Clip(frames, times, (Fraction(1, 25),) * len(frames))


def _ours(stylizer: Stylizer, style: Style) -> Method:
    return lambda frames: np.concatenate([clip.frames for clip in stylizer.stream([clip_of(frames)], style)])


def _round_trip(stylizer: Stylizer) -> Method:
    @torch.inference_mode()
    def run(frames: np.ndarray) -> np.ndarray:
        networks, results = stylizer.networks, []
        for frame in frames:
            pixels = torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 127.5 - 1
            back = networks.decode(networks.encode(pixels, [torch.Generator().manual_seed(0)]))[0].permute(1, 2, 0)
            results.append(((back / 2 + 0.5).clamp(0, 1) * 255).round().byte().cpu().numpy())
        return np.stack(results)

    return run


class Peer:
    """diffusers' own ControlNet img2img pipeline a frame at a time, with our maps, seed and timesteps.

    Args:
        across_frames: self-attention of UNet and ControlNets reads the first frame's keys and values instead of the
            frame's own (Text2Video-Zero, Khachatryan et al. 2023); the first frame goes through beside each other one.
    """

    def __init__(self, stylizer: Stylizer, style: dict[str, object], folder: str, *, across_frames: bool) -> None:
        self._networks, self._style, self._across = stylizer.networks, Style(**style), across_frames  # type: ignore[arg-type]
        networks = stylizer.networks
        pipeline = StableDiffusionControlNetImg2ImgPipeline.from_pretrained(
            folder, local_files_only=True, dtype=networks.dtype
        ).to(networks.device)
        pipeline.set_progress_bar_config(disable=True)
        # controls on request are left out, as in an ordinary run
        nets = dict(zip(networks.controlnets, getattr(pipeline.controlnet, "nets", [pipeline.controlnet]), strict=True))
        pipeline.controlnet = MultiControlNetModel([nets[n] for n in conditions_for(networks, self._style).controls])
        if across_frames:
            for network in (pipeline.unet, *getattr(pipeline.controlnet, "nets", [pipeline.controlnet])):
                network.set_attn_processor(CrossFrameAttnProcessor2_0(batch_size=1))
        self._pipeline = pipeline
        self.evaluations = 0
        pipeline.unet.register_forward_pre_hook(self._count)

    def _count(self, _: object, arguments: tuple[torch.Tensor, ...]) -> None:
        self.evaluations += len(arguments[0])

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        return np.stack([self._frame(frames, i) for i in range(len(frames))])

    def _frame(self, frames: np.ndarray, i: int) -> np.ndarray:
        networks, conditions = self._networks, conditions_for(self._networks, self._style)
        scheduler, timesteps = conditions.schedule
        # the same steps as ours: few-step schedulers have all of them below the strength
        self._pipeline.scheduler = scheduler
        self._pipeline.get_timesteps = lambda *_: (timesteps, len(timesteps))
        scheduler.set_timesteps = lambda *_, **__: None
        batch = frames[[0, i]] if self._across else frames[i : i + 1]
        pixels = torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 255
        maps = self._maps(batch)
        if networks.draws_strokes and "strokes" in maps:
            vae = self._pipeline.vae
            weight = conditions.controls["strokes"].weight
            vae.decode = functools.partial(type(vae).decode, vae, strokes=maps["strokes"], weight=weight)
        images = self._pipeline(
            prompt=[self._style.prompt] * len(batch), image=pixels, control_image=list(maps.values()),
            controlnet_conditioning_scale=[c.weight for c in conditions.controls.values()],
            strength=conditions.strength,
            num_inference_steps=len(timesteps), guidance_scale=conditions.guidance_scale,
            generator=[torch.Generator().manual_seed(self._style.seed) for _ in batch], output_type="np",
        ).images  # fmt: skip
        return (images[-1] * 255).round().astype(np.uint8)

    def _maps(self, frames: np.ndarray) -> dict[str, torch.Tensor]:
        """By control; depth is scaled frame by frame, as everybody does it."""
        maps = {}
        conditions = conditions_for(self._networks, self._style)
        for name in conditions.controls:
            one = {"canny": canny, "depth": self._depth, "strokes": self._lay_strokes}[name]
            stacked = torch.from_numpy(np.stack([one(frame) for frame in frames]))
            maps[name] = stacked if stacked.ndim == 4 else stacked[:, None].expand(-1, 3, -1, -1)
        return maps

    def _lay_strokes(self, frame: np.ndarray) -> np.ndarray:
        """Strokes of the frame by itself: the same noise in each, but nothing is carried."""
        cells = conditions_for(self._networks, self._style).cells
        maps, _ = take_strokes([(frame, None, cells[0][0])], StrokeOrder(self._style.seed, cells), None, 0)
        return maps[0]

    def _depth(self, frame: np.ndarray) -> np.ndarray:
        raw = self._networks.estimate_depth(frame)
        return DepthRange.after(None, raw).scale(raw)
