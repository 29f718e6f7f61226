"""Restyling with a video model, window by window; a window begins with the last latents of the one before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from PIL import Image as PillowImage
from torch.nn import functional as F

from stylize.errors import ModelError, StyleError
from stylize.frames import Clip, DepthEstimator, Image, StructureMaps
from stylize.networks.prompts import make_timeline
from stylize.networks.video_networks import Shown, VideoNetworks
from stylize.restyle.begin_with_picture import begin_with_picture
from stylize.restyle.conditions import Conditions, make_schedule, steps_to_run, to_controls
from stylize.restyle.denoise import copy_scheduler
from stylize.restyle.memory import Memory
from stylize.restyle.seeds import seed_of_shot
from stylize.style import FOOTAGE, Control, Style, Temporal, parse_timeline

WINDOW, OVERLAP = 16, 4
"""Latents that a window adds, and those that it takes over: 64 and 16 frames of Wan. With a reference picture that is
no more than the 21 latents that Wan was trained with."""
TONE = 0.25
"""How far the latents' mean and deviation go back to the first window's, so that colours do not drift (AdaIN, as in
diffusers' LTXI2VLongMultiPromptPipeline)."""


@dataclass(frozen=True)
class VideoRestyler:
    """A `Restyler` of a video model: it paints frames that it knows of in part, or by their forms alone."""

    networks: VideoNetworks
    window: int = WINDOW
    """Latents that a window adds."""
    overlap: int = OVERLAP
    """Latents that a window takes over from the one before."""

    @property
    def name(self) -> str:
        """The model's name."""
        return self.networks.name

    @property
    def batch(self) -> int:
        """Frames of a window."""
        return self.networks.group * self.window

    @property
    def device(self) -> str:
        """The networks' device."""
        return str(self.networks.device)

    @property
    def estimate_depth(self) -> DepthEstimator:
        """The depth network."""
        return self.networks.estimate_depth

    def prepare(self, style: Style, reference: PillowImage.Image | None) -> Conditions:
        """Turns a style into conditions.

        Raises:
            StyleError: a setting that video models do not have.
            ModelError: more than one control: the model takes one control video.
        """
        defaults, footage = self.networks.defaults, FOOTAGE[style.footage]
        guidance = defaults.guidance_scale if style.guidance_scale is None else style.guidance_scale
        asked = {n: c for n, c in style.asked_controls.items() if c.weight > 0}
        given = to_controls(dict.fromkeys(style.control_from or {}, 1.0))
        controls = given | asked if style.controls is not None or given else to_controls(defaults.controls)
        if controls and not self.networks.is_shown:
            raise ModelError(f"{self.name} takes no controls", "leave them out, or use --model wan-vace")
        _refuse_options(style, controls, guidance)
        if len(controls) > 1:
            raise ModelError(f"{self.name} takes one control, not {' and '.join(controls)}", "name one with --control")
        if "strokes" in controls:
            raise ModelError(f"{self.name} has no ControlNet 'strokes'", "use depth, canny, openpose or another one")
        if reference is not None and not self.networks.reads_pictures:
            raise ModelError(f"{self.name} reads no reference picture", "use --model wan-vace")
        strength = style.strength or defaults.strength
        steps = defaults.steps if style.steps is None else style.steps
        if (to_run := steps_to_run(self.networks.scheduler, steps, strength)) < 1:
            raise StyleError(f"strength {strength:g} of {steps} steps leaves none to run", "raise either")
        times = self.networks.list_timesteps(steps)
        prompts = [
            (at, self.networks.encode_prompt(text, style.negative_prompt, guided=guidance > 1))
            for at, text in parse_timeline(style.prompt)
        ]
        return Conditions(
            make_timeline(prompts), guidance, style.guidance_rescale, strength, controls, Temporal(0.0, 0.0),
            style.seed, make_schedule(self.networks.scheduler, steps, to_run, strength, times), footage,
            footage.structure if style.structure is None else style.structure, reference=reference,
        )  # fmt: skip

    @torch.inference_mode()
    def restyle(
        self, start: Clip, maps: StructureMaps, memory: Memory, conditions: Conditions
    ) -> tuple[Iterable[Image], Memory]:
        """Restyles a window of a shot; see `Restyler.restyle`.

        The first window begins with its first frame once more, as a latent of its own: then all windows add latents of
        four frames. What a window takes over is given back to it at every step, with the step's noise.
        """
        (width, height), count = start.size, len(start)
        before, frames = memory.window, self._to_video(start)
        shown, kept = self._show(start, maps, conditions, before)
        seed = seed_of_shot(conditions.seed, memory.shot) + memory.frames_in_shot
        generator = torch.Generator("cpu").manual_seed(seed)
        source = None
        if conditions.strength < 1:
            source = self.networks.encode(torch.cat([frames[:, :, :1], frames], 2))
        group, scale, context = self.networks.group, self.networks.shrinks, before.get("latents")
        new = frames.shape[2] // group
        length = new + (1 if context is None else context.shape[2])
        shape = length, frames.shape[3] // scale, frames.shape[4] // scale
        latents = self._denoise(shape, shown, context, source, start, conditions, generator)
        latents, tone = _hold_tone(latents, new, before)
        pixels = self.networks.decode(latents)[:, :, -group * new :][:, :, :count, :height, :width]
        self.networks.count_frames(count)
        window = {"latents": latents[:, :, -self.overlap :], **kept, **tone}
        after = replace(memory, window=window, frames_in_shot=memory.frames_in_shot + count)
        return _to_images(pixels), after

    def _show(
        self, start: Clip, maps: StructureMaps, conditions: Conditions, before: Mapping[str, torch.Tensor]
    ) -> tuple[Shown, dict[str, torch.Tensor]]:
        """Returns what the model is shown of a window, and what the next window takes over of that.

        Raises:
            ModelError: the model cannot be shown what is known of the frames.
        """
        if not self.networks.is_shown:
            return begin_with_picture(self.networks, start, self._to_video(start), before)
        video, mask = self._lay_out(start, maps, conditions)
        lead = (before["video"], before["mask"]) if before else (video[:, :, :1], mask[:, :, :1])
        lead = lead[0].to(video.device), lead[1].to(mask.device)  # of a run that goes on, they are on the networks'
        shown = self.networks.condition(torch.cat([lead[0], video], 2), torch.cat([lead[1], mask], 2))
        if before:
            shown = torch.cat([before["shown"], shown[:, :, 1:]], 2)
        scale = next((control.weight for control in conditions.controls.values()), 1.0)
        kept = {"shown": shown[:, :, -self.overlap :], "video": video[:, :, -1:], "mask": mask[:, :, -1:]}
        if conditions.reference is not None:
            shown = torch.cat([self._show_reference(conditions.reference, shown), shown], 2)
        return Shown(shown, scale), kept

    def _lay_out(self, start: Clip, maps: StructureMaps, conditions: Conditions) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns the control video, `[1, 3, 4 N, H, W]` in [-1, 1], and where it is painted over, `[1, 1, ...]`.

        Where nothing is known and no control holds the forms, it is grey.
        """
        frames, grid, group = self._to_video(start), self.networks.grid, self.networks.group
        name = next(iter(conditions.controls), None)
        control = torch.zeros_like(frames)
        if name is not None:
            control = _fill(torch.from_numpy(maps.maps[name]).expand(-1, 3, -1, -1), grid, group) * 2 - 1
        if start.known is None:
            return control, torch.ones_like(frames[:, :1])
        known = _fill(torch.from_numpy(start.known[:, None].astype(np.float32)), grid, group) > 0.5
        return torch.where(known, frames, control), (~known).float()

    def _to_video(self, start: Clip) -> torch.Tensor:
        signed = torch.from_numpy(start.frames).permute(0, 3, 1, 2).float() / 127.5 - 1
        return _fill(signed, self.networks.grid, self.networks.group)

    def _denoise(
        self,
        shape: tuple[int, int, int],
        shown: Shown,
        earlier: torch.Tensor | None,
        source: torch.Tensor | None,
        start: Clip,
        conditions: Conditions,
        generator: torch.Generator,
    ) -> torch.Tensor:
        """Returns the latents of a window, `[1, C, T, h, w]`, float32: those that it takes over, then its own.

        Args:
            shape: T, h and w.
        """
        networks, timesteps = self.networks, conditions.schedule[1]
        scheduler = copy_scheduler(conditions.schedule[0])
        length, height, width = shape
        first = 1 if conditions.reference is not None else 0  # a reference goes before the frames
        noise = torch.randn(1, networks.channels, first + length, height, width, generator=generator)
        noise = noise.to(networks.device)
        context = 0 if earlier is None else earlier.shape[2]
        latents, sigmas = noise.clone(), scheduler.sigmas
        begin = len(sigmas) - 1 - len(timesteps)
        if source is not None:
            sigma, own = float(sigmas[begin]), slice(first + context, None)
            count = latents[:, :, own].shape[2]
            latents[:, :, own] = (1 - sigma) * source.float()[:, :, -count:] + sigma * noise[:, :, own]
        words = conditions.prompts.at(start.times[0]).words
        clean = shown.latents if networks.conditioning == "tokens" else None
        shown = replace(shown, rate=float(1 / start.durations[0]))
        for i, timestep in enumerate(timesteps):
            if earlier is not None:
                sigma = float(sigmas[begin + i])
                part = slice(first, first + context)
                latents[:, :, part] = (1 - sigma) * earlier.float() + sigma * noise[:, :, part]
            if clean is not None:
                latents[:, :, : clean.shape[2]] = networks.soften(clean, timestep, generator)
            flow = networks.predict(latents, timestep, words[-1:], shown)
            if len(words) > 1:
                without = networks.predict(latents, timestep, words[:1], shown)
                flow = without + conditions.guidance_scale * (flow - without)
            latents = scheduler.step(flow, timestep, latents, return_dict=False)[0]
        latents = latents[:, :, first:].float()
        held = earlier if clean is None else clean
        if held is not None:
            latents[:, :, : held.shape[2]] = held.float()
        return latents

    def _show_reference(self, reference: PillowImage.Image, shown: torch.Tensor) -> torch.Tensor:
        """Returns a reference on a white canvas of the frames' size, as VACE was trained with it."""
        scale = self.networks.shrinks
        height, width = shown.shape[-2] * scale, shown.shape[-1] * scale
        picture = np.array(reference.convert("RGB"), np.float32)
        pixels = torch.from_numpy(picture).permute(2, 0, 1)[None] / 127.5 - 1
        ratio = min(height / pixels.shape[2], width / pixels.shape[3])
        size = int(pixels.shape[2] * ratio), int(pixels.shape[3] * ratio)
        canvas = torch.ones(1, 3, height, width)
        top, left = (height - size[0]) // 2, (width - size[1]) // 2
        resized = F.interpolate(pixels, size=size, mode="bilinear", align_corners=False)
        canvas[:, :, top : top + size[0], left : left + size[1]] = resized
        return self.networks.condition_reference(canvas)


def _refuse_options(style: Style, controls: Mapping[str, Control], guidance: float) -> None:
    """Raises StyleError for settings of image models that a video model cannot follow."""
    if style.mode == "fast":
        raise StyleError("fast mode is for image models", "a video model makes all frames of a window at once")
    usual = {f.name: f.default for f in fields(Style)}
    for name in ("temporal", "style_weight", "reference_weight", "guidance_rescale", "clip_skip"):
        if getattr(style, name) != usual[name]:
            raise StyleError(f"a video model has no --{name.replace('_', '-')}", "leave it out")
    if any((control.start, control.end) != (0, 1) for control in controls.values()):
        raise StyleError("a video model's control counts at all steps", "leave out @FROM-TO")
    if style.negative_prompt and guidance <= 1:
        raise StyleError("a negative prompt needs guidance", "set the guidance scale above 1")


def _fill(pixels: torch.Tensor, grid: int, group: int) -> torch.Tensor:
    """Returns `[T, C, H, W]` as `[1, C, T', H', W']`: multiples of `grid` and `group`, the last frame repeated."""
    below, right = (-side % grid for side in pixels.shape[-2:])
    padded = F.pad(pixels, (0, right, 0, below), mode="replicate") if below or right else pixels
    missing = -len(padded) % group
    return torch.cat([padded, padded[-1:].expand(missing, -1, -1, -1)]).permute(1, 0, 2, 3)[None].contiguous()


def _hold_tone(
    latents: torch.Tensor, new: int, before: Mapping[str, torch.Tensor]
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Brings mean and deviation of a window's own latents nearer to those of the shot's first window."""
    own = latents[:, :, -new:]
    mean, deviation = own.mean((2, 3, 4), keepdim=True), own.std((2, 3, 4), keepdim=True)
    if not before:
        return latents, {"mean": mean, "deviation": deviation}
    held = (own - mean) / (deviation + 1e-6) * before["deviation"] + before["mean"]
    mixed = own + TONE * (held - own)
    return torch.cat([latents[:, :, :-new], mixed], 2), {name: before[name] for name in ("mean", "deviation")}


def _to_images(pixels: torch.Tensor) -> Iterator[Image]:
    """Yields images in [0, 1] of `[1, 3, T, H, W]` around [-1, 1]."""
    for frame in pixels[0].permute(1, 2, 3, 0).cpu().numpy():
        yield np.clip(np.ascontiguousarray(frame) / np.float32(2) + np.float32(0.5), 0, 1, dtype=np.float32)
