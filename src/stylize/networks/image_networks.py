"""The networks of one model behind the few calls that the denoising loop needs."""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from diffusers import AutoencoderTiny

from stylize.frames import DepthEstimator
from stylize.networks.attention import Exchange
from stylize.networks.controlnets import ControlNet
from stylize.networks.devices import full_size_slice, upload
from stylize.networks.family import family
from stylize.networks.guidance import embeds_guidance, guidance_embedding
from stylize.networks.image_prompt import ImagePrompt
from stylize.networks.motion_modules import has_motion, predict_together
from stylize.networks.patches import PatchAutoencoder
from stylize.networks.prompts import PromptEmbedding
from stylize.networks.vocabulary import Vocabulary
from stylize.networks.words import encode_words


@dataclass(frozen=True)
class Defaults:
    """The settings that a model was made for; a style overrides them."""

    steps: int = 20
    strength: float = 0.75
    guidance_scale: float = 7.5
    full_strength: float = 1.0
    """Share of the noise schedule that strength 1 stands for; less where a model loses the forms in pure noise."""
    controls: Mapping[str, float] = field(default_factory=lambda: {"depth": 0.8, "canny": 0.8})
    """Weights by control; controls that the model lacks are left out."""
    on_request: tuple[str, ...] = ()
    """Controls that an ordinary video does without, for speed: they count for other kinds of footage, for depth that
    comes with the source, and where they are asked for."""
    palette: float = 0.0
    """How far results are given the palette and the contrasts of a reference, in [0, 1]; for models that take its
    strokes only."""


@dataclass(eq=False)
class Evaluations:
    """Counts of samples that went through networks; guidance counts double."""

    unet: int = 0
    controlnets: int = 0
    """Of all ControlNets together."""
    frames: int = 0
    """Frames that were encoded, each once: the frames that are diffused."""


@dataclass(frozen=True, eq=False)
class Networks:
    """Text encoders, VAE, UNet, ControlNets and scheduler, on one device in one dtype."""

    name: str
    pipe: Any
    """diffusers' text-to-image pipeline of the family. It holds the parts and encodes prompts; it is never called."""
    controlnets: Mapping[str, ControlNet]
    scheduler: Any
    estimate_depth: DepthEstimator
    device: torch.device
    dtype: torch.dtype
    defaults: Defaults = field(default_factory=Defaults)
    vocabulary: Vocabulary | None = None
    """The words that the model knows; `None` where it is general."""
    image_prompt: ImagePrompt | None = None
    """Turns a reference picture into tokens of the prompt; IP-Adapter's layers are in the UNet instead."""

    _counting: list[Evaluations] = field(default_factory=list, init=False, repr=False)

    @property
    def unet(self) -> Any:
        """diffusers' UNet."""
        return self.pipe.unet

    @property
    def vae(self) -> Any:
        """diffusers' autoencoder."""
        return self.pipe.vae

    @property
    def family(self) -> str:
        """The family of the UNet: "SD 1.5", "SD 2.1", "SDXL", or another one in words."""
        return family(self.unet)

    @property
    def has_ip_adapter(self) -> bool:
        """Whether an IP-Adapter's layers are in the UNet."""
        return getattr(self.unet, "encoder_hid_proj", None) is not None

    @property
    def reads_pictures(self) -> bool:
        """Whether the model reads a reference picture."""
        return self.image_prompt is not None or self.has_ip_adapter

    @property
    def paints(self) -> bool:
        """Whether it is an inpainting model, which paints only what a mask leaves open."""
        return bool(self.unet.config.in_channels == 2 * self.unet.config.out_channels + 1)

    @property
    def moves(self) -> bool:
        """Whether the UNet has motion modules, which look across all frames of a batch."""
        return has_motion(self.unet)

    @property
    def embeds_guidance(self) -> bool:
        """Whether the UNet takes the guidance scale as a condition."""
        return embeds_guidance(self.unet)

    @torch.inference_mode()
    def encode_prompt(self, prompt: str, negative: str, *, guided: bool, clip_skip: int = 0) -> PromptEmbedding:
        """Encodes words; with SDXL an empty negative prompt is all zeros where the model's folder says so."""
        encoded = encode_words(
            self.pipe, prompt, negative, guided=guided, clip_skip=clip_skip, device=self.device,
            general=self.vocabulary is None,
        )  # fmt: skip
        parts = [None if x is None else x.to(self.device, self.dtype) for x in encoded]
        words, without, pooled, pooled_without = [*parts, None, None][:4]

        def both(one: torch.Tensor | None, other: torch.Tensor | None) -> torch.Tensor | None:
            return torch.cat([other, one]) if guided and one is not None and other is not None else one

        joined = both(words, without)
        assert joined is not None
        return PromptEmbedding(joined, both(pooled, pooled_without))

    def encode(self, pixels: torch.Tensor, generators: Sequence[torch.Generator]) -> torch.Tensor:
        """Encodes pixels `[B, 3, H, W]` in [-1, 1], sides divisible by 8, to scaled latents `[B, C, H / 8, W / 8]`.

        Args:
            generators: one a frame, for VAEs that draw their latents.
        """
        for counts in self._counting:
            counts.frames += len(pixels)
        return self._encode(pixels, generators)

    def _encode(self, pixels: torch.Tensor, generators: Sequence[torch.Generator]) -> torch.Tensor:
        latents, size = [], full_size_slice(self.device)
        for i in range(0, len(pixels), size):
            part = upload(pixels[i : i + size], self.device, self.vae.dtype)
            if isinstance(self.vae, AutoencoderTiny):  # its encoder is small, and its tiles know of 4 latents only
                latents.append(self.vae.encoder(part))
            elif isinstance(self.vae, PatchAutoencoder):
                latents.append(self.vae.encode(part).latents)
            else:
                latents.append(self.vae.encode(part).latent_dist.sample(list(generators[i : i + size])))
        return (self._scaling * torch.cat(latents)).to(self.dtype)

    @property
    def draws_strokes(self) -> bool:
        """Whether the decoder draws with a map of strokes."""
        return isinstance(self.vae, PatchAutoencoder)

    def decode(self, latents: torch.Tensor, strokes: torch.Tensor | None = None, weight: float = 1.0) -> torch.Tensor:
        """Decodes scaled latents to pixels, float32 `[B, 3, H, W]`, roughly in [-1, 1].

        Args:
            strokes: the control's map `[B, 3, H, W]` in [0, 1], for decoders that draw with it.
            weight: how strongly they are drawn.
        """
        unscaled, size = (latents / self._scaling).to(self.vae.dtype), full_size_slice(self.device)
        pixels = []
        for i in range(0, len(latents), size):
            options: dict[str, Any] = {}
            if strokes is not None:
                options = {"strokes": upload(strokes[i : i + size], self.device, self.vae.dtype), "weight": weight}
            pixels.append(self.vae.decode(unscaled[i : i + size], return_dict=False, **options)[0].float())
        return torch.cat(pixels)

    def embed_control(self, name: str, control: torch.Tensor) -> torch.Tensor:
        """Embeds maps `[B, 3, H, W]` in [0, 1] as the named ControlNet reads them at every step."""
        slices = torch.split(control, full_size_slice(self.device))
        return torch.cat([self.controlnets[name].embed(upload(part, self.device, self.dtype)) for part in slices])

    def predict(
        self,
        latents: torch.Tensor,
        t: torch.Tensor,
        prompt: PromptEmbedding,
        controls: Mapping[str, torch.Tensor],
        weights: Mapping[str, float],
        exchange: Exchange,
        guidance_scale: float = 1.0,
        shown: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Predicts by the UNet with the sum of the ControlNets' residuals; `[G * B, C, h, w]` in and out.

        Args:
            shown: what inpainting models see beside the latents, `[G * B, 1 + C, h, w]`; from `show`.
            weights: of the ControlNets that count at this step; the others are not run.
            guidance_scale: used only by networks that learnt it as a condition.
        """
        added = self._make_conditions(prompt, latents)
        down: list[torch.Tensor] | None = None
        middle: torch.Tensor | None = None
        for name, weight in weights.items():
            more, mid = self.controlnets[name].residuals(latents, t, prompt.words, controls[name], weight, added)
            down = list(more) if down is None else [a + b for a, b in zip(down, more, strict=True)]
            middle = mid if middle is None else middle + mid
        if prompt.image is not None:
            added = added | {"image_embeds": [prompt.image]}
        condition = None
        if self.embeds_guidance:
            condition = guidance_embedding(guidance_scale, self.unet.config.time_cond_proj_dim).to(latents)
        unet = functools.partial(predict_together, self.unet, exchange.frames) if self.moves else self.unet
        prediction: torch.Tensor = unet(
            latents if shown is None else torch.cat([latents, shown], 1),
            t,
            encoder_hidden_states=prompt.words,
            timestep_cond=condition,
            cross_attention_kwargs={"exchange": exchange},
            added_cond_kwargs=added or None,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
            return_dict=False,
        )[0]
        return prediction

    def show(self, pixels: torch.Tensor, known: torch.Tensor, generators: Sequence[torch.Generator]) -> torch.Tensor:
        """Returns what an inpainting model sees of frames: where it is to paint, and the rest as latents.

        Args:
            pixels: `[B, 3, H, W]` in [-1, 1].
            known: `[B, 1, H, W]`, 1 where frames are to stay.
        """
        latents = self._encode(pixels * (known > 0.5), generators)
        mask = torch.nn.functional.interpolate(1 - known, size=latents.shape[-2:])
        return torch.cat([(mask > 0.5).to(latents), latents], 1)

    def _make_conditions(self, prompt: PromptEmbedding, latents: torch.Tensor) -> dict[str, Any]:
        """Returns SDXL's further conditions: pooled prompt; size, crop and target size (Podell et al. 2023)."""
        if prompt.pooled is None:
            return {}
        height, width = (side * self.pipe.vae_scale_factor for side in latents.shape[-2:])
        sizes = torch.tensor([[height, width, 0, 0, height, width]] * len(latents)).to(latents)
        return {"text_embeds": prompt.pooled, "time_ids": sizes}

    def step_options(self, generators: Sequence[torch.Generator]) -> dict[str, Any]:
        """Returns the arguments of this scheduler's `step` beside the prediction."""
        return {"generator": list(generators)} if "generator" in self._step_parameters else {}

    @functools.cached_property
    def _step_parameters(self) -> frozenset[str]:
        return frozenset(inspect.signature(self.scheduler.step).parameters)

    def fingerprint(self) -> str:
        """Returns a digest of first and last parameters of UNet and ControlNets, which tells weights apart."""
        digest = hashlib.sha256()
        for network in (self.unet, *(net.network for net in self.controlnets.values())):
            parameters = list(network.parameters())
            for parameter in (parameters[0], parameters[-1]):
                digest.update(parameter.detach().float().cpu().numpy().tobytes())
            digest.update(str(len(parameters)).encode())
        return digest.hexdigest()[:12]

    @property
    def _scaling(self) -> float:
        return float(self.vae.config.scaling_factor)

    @contextmanager
    def counting(self) -> Iterator[Evaluations]:
        """Counts what goes through the networks within the block."""
        counts = Evaluations()

        def counter(name: str) -> Callable[..., None]:
            def count(_: Any, arguments: tuple[Any, ...]) -> None:
                sample = arguments[0]  # `[N, C, h, w]`, or `[N, C, frames, h, w]`
                samples = len(sample) * (sample.shape[2] if sample.ndim == 5 else 1)
                setattr(counts, name, getattr(counts, name) + samples)

            return count

        watched = [(self.unet, "unet")]
        watched += [(network.network, "controlnets") for network in self.controlnets.values()]
        self._counting.append(counts)  # not by a hook: the encoder may be asked for tiles
        hooks = [module.register_forward_pre_hook(counter(name)) for module, name in watched]
        try:
            yield counts
        finally:
            self._counting.remove(counts)
            for hook in hooks:
                hook.remove()
