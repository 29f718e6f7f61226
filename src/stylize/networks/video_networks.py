"""The networks of a video model of the Wan family behind a few calls: text encoder, video autoencoder, transformers."""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import torch
from PIL import Image as PillowImage

from stylize.frames import DepthEstimator
from stylize.networks.image_networks import Defaults, Evaluations
from stylize.networks.prompts import PromptEmbedding

TEXT_LENGTH = 512
"""Tokens that Wan's transformer was trained with."""
VIDEO_DEFAULTS = Defaults(steps=30, strength=1.0, guidance_scale=5.0, controls={"depth": 1.0})
"""As the model's card has them, with one control: VACE was trained with one control video at a time."""
PLAIN_DEFAULTS = Defaults(steps=30, strength=0.8, guidance_scale=5.0, controls={})
"""Of the plain model: strength as in diffusers' WanVideoToVideoPipeline."""


Conditioning: TypeAlias = Literal["video", "channels", "tokens", "words"]
"""How a model takes pictures. "video": VACE is shown a whole video with a mask. "channels": Wan's image-to-video models
have known frames beside the noise, as further channels. "tokens": Wan 2.2 TI2V has known latents in place of noise, at
timestep 0. "words": not at all."""


@dataclass(frozen=True, eq=False)
class Shown:
    """What the transformer is shown of a window beside words."""

    latents: torch.Tensor | None = None
    """From `condition` or `condition_frames`; with "tokens" the known latents themselves, from the first on."""
    scale: float = 1.0
    """Weight of the control ("video")."""
    picture: torch.Tensor | None = None
    """From `encode_picture`, for models that have an image encoder."""
    rate: float = 25.0
    """Frames a second, for models that know of it (LTX)."""


NOTHING = Shown()


@dataclass(frozen=True, eq=False)
class VideoNetworks:
    """The parts of diffusers' Wan pipelines (VACE, image to video, plain), on one device; the pipeline is never called.

    VACE (Jiang et al. 2025) is shown a video with a mask: what is masked is to be painted, in the forms of what stands
    there; the rest is kept. Image-to-video models begin with a picture. The plain model reads words alone; a source is
    noised and taken back (SDEdit). Of two experts, one makes the noisy steps, the other the rest.
    """

    name: str
    pipe: Any
    """diffusers' pipeline, which holds the parts."""
    estimate_depth: DepthEstimator
    device: torch.device
    dtype: torch.dtype
    defaults: Defaults = VIDEO_DEFAULTS
    vocabulary: None = None

    _counting: list[Evaluations] = field(default_factory=list, init=False, repr=False)

    @property
    def scheduler(self) -> Any:
        """The model's scheduler, for flows."""
        return self.pipe.scheduler

    @property
    def conditioning(self) -> Conditioning:
        """How it takes pictures."""
        config = self.pipe.transformer.config
        if hasattr(config, "vace_layers"):
            return "video"
        if config.in_channels != self.channels:
            return "channels"
        return "tokens" if self.pipe.config.get("expand_timesteps") else "words"

    @property
    def channels(self) -> int:
        """Channels of latents."""
        return int(self.pipe.vae.config.z_dim)

    @property
    def group(self) -> int:
        """Frames that one latent stands for."""
        return int(self.pipe.vae_scale_factor_temporal)

    @property
    def shrinks(self) -> int:
        """Pixels of a latent's side."""
        return int(self.pipe.vae_scale_factor_spatial)

    @property
    def is_shown(self) -> bool:
        """Whether it is shown what is known of the frames, and their forms: VACE alone is."""
        return self.conditioning == "video"

    @property
    def needs_picture(self) -> bool:
        """Whether a video must begin with a picture."""
        return self.conditioning == "channels"

    @property
    def reads_pictures(self) -> bool:
        """Whether a reference picture goes before the frames."""
        return self.is_shown

    @property
    def grid(self) -> int:
        """Pixels that both sides of frames must be a multiple of."""
        return int(self.shrinks * self.pipe.transformer.config.patch_size[1])

    def list_timesteps(self, steps: int) -> Sequence[float] | None:
        """Returns the timesteps of a run, 1000 is noise; `None` leaves them to the scheduler."""
        return None

    def soften(self, known: torch.Tensor, timestep: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Returns known latents as the transformer sees them at a timestep."""
        return known.float()

    @torch.inference_mode()
    def encode_prompt(self, prompt: str, negative: str, *, guided: bool) -> PromptEmbedding:
        """Encodes words by the text encoder, UMT5; what is behind them is zero, as the transformer was trained."""
        texts = [negative, prompt] if guided else [prompt]
        plain = [re.sub(r"\s+", " ", html.unescape(html.unescape(text))).strip() for text in texts]
        tokens = self.pipe.tokenizer(
            plain, padding="max_length", max_length=TEXT_LENGTH, truncation=True, return_attention_mask=True,
            return_tensors="pt",
        )  # fmt: skip
        mask = tokens.attention_mask.to(self.device)
        with self._borrow(self.pipe.text_encoder) as encoder:
            words = encoder(tokens.input_ids.to(self.device), mask).last_hidden_state
        return PromptEmbedding((words * mask[..., None]).to(self.device, self.dtype))

    @torch.inference_mode()
    def encode(self, video: torch.Tensor) -> torch.Tensor:
        """Encodes pixels `[1, 3, 1 + 4 N, H, W]` in [-1, 1] to latents `[1, C, 1 + N, H / 8, W / 8]`, normalised."""
        vae = self.pipe.vae
        latents = vae.encode(video.to(self.device, vae.dtype)).latent_dist.mode().float()
        mean, deviation = self._statistics(latents)
        normal: torch.Tensor = (latents - mean) / deviation
        return normal.to(vae.dtype)

    @torch.inference_mode()
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Decodes latents `[1, C, 1 + N, h, w]` to pixels `[1, 3, 1 + 4 N, H, W]` around [-1, 1], float32."""
        vae = self.pipe.vae
        latents = latents.to(vae.dtype)
        mean, deviation = self._statistics(latents)
        pixels: torch.Tensor = vae.decode(latents * deviation + mean, return_dict=False)[0]
        return pixels.float()

    @torch.inference_mode()
    def condition(self, video: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Returns what the transformer is shown: what is kept, what is to be painted, and where.

        Args:
            video: `[1, 3, 1 + 4 N, H, W]` in [-1, 1].
            mask: `[1, 1, 1 + 4 N, H, W]`: 1 is to be painted, 0 is kept.

        Returns:
            `[1, 2 C + 64, 1 + N, h, w]`.
        """
        wanted = torch.where(mask > 0.5, 1.0, 0.0).to(video)
        latents = torch.cat([self.encode(video * (1 - wanted)), self.encode(video * wanted)], 1)
        masks = self.pipe.prepare_masks(mask.expand(-1, 3, -1, -1, -1), [[]])
        return torch.cat([latents, masks.to(latents)], 1).to(self.dtype)

    @torch.inference_mode()
    def condition_reference(self, picture: torch.Tensor) -> torch.Tensor:
        """Returns a reference picture, `[1, 3, H, W]` in [-1, 1], as a frame before the others, all of it kept."""
        latents = self.encode(picture[:, :, None])
        empty = torch.zeros_like(latents)
        masks = torch.zeros(1, self.shrinks**2, *latents.shape[2:]).to(latents)
        return torch.cat([latents, empty, masks], 1).to(self.dtype)

    @torch.inference_mode()
    def condition_frames(self, video: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        """Returns what an image-to-video model is shown: which frames are known, and what they show.

        Args:
            video: `[1, 3, 1 + 4 N, H, W]` in [-1, 1]; 0 where nothing is known.
            known: bool `[1 + 4 N]`.

        Returns:
            `[1, 4 + C, 1 + N, h, w]`.
        """
        latents, group = self.encode(video), self.group
        repeated = torch.cat([known[:1].expand(group), known[1:]]).view(-1, group).T.to(latents)
        masks = repeated[None, :, :, None, None].expand(-1, -1, -1, *latents.shape[3:])
        return torch.cat([masks, latents], 1)

    @torch.inference_mode()
    def encode_picture(self, picture: PillowImage.Image) -> torch.Tensor | None:
        """Encodes a picture by the image encoder (CLIP), `[1, tokens, C]`; `None` if the model has none."""
        if getattr(self.pipe, "image_encoder", None) is None:
            return None
        pixels = self.pipe.image_processor(images=picture, return_tensors="pt").to(self.device)
        with self._borrow(self.pipe.image_encoder) as encoder:
            tokens: torch.Tensor = encoder(**pixels.to(self.dtype), output_hidden_states=True).hidden_states[-2]
        return tokens.to(self.dtype)

    @contextmanager
    def _borrow(self, part: Any) -> Iterator[Any]:
        """Brings a network to the device for the block alone: Wan's text encoder is larger than all else together."""
        part.to(self.device)
        try:
            yield part
        finally:
            part.to("cpu")

    @torch.inference_mode()
    def predict(
        self, latents: torch.Tensor, timestep: torch.Tensor, words: torch.Tensor, shown: Shown = NOTHING
    ) -> torch.Tensor:
        """Predicts the flow at a timestep.

        Args:
            words: `[1, tokens, C]`.
        """
        transformer, more = self._choose_expert(timestep), dict[str, Any]()
        given, at = latents.to(self.dtype), timestep.to(self.device).expand(len(latents))
        if self.conditioning == "video":
            assert shown.latents is not None
            weights = torch.full((len(transformer.config.vace_layers),), shown.scale).to(self.device, self.dtype)
            more = {"control_hidden_states": shown.latents, "control_hidden_states_scale": weights}
        elif self.conditioning == "channels":
            assert shown.latents is not None
            given = torch.cat([given, shown.latents.to(self.dtype)], 1)
            more = {"encoder_hidden_states_image": shown.picture}
        elif self.conditioning == "tokens":
            at = self._time_tokens(latents, timestep, 0 if shown.latents is None else shown.latents.shape[2])
        flow: torch.Tensor = transformer(
            hidden_states=given, timestep=at, encoder_hidden_states=words, return_dict=False, **more
        )[0]
        for counts in self._counting:
            counts.unet += len(latents)
        return flow

    def _choose_expert(self, timestep: torch.Tensor) -> Any:
        """Returns the transformer of a timestep: Wan 2.2 has two."""
        boundary = self.pipe.config.get("boundary_ratio")
        if boundary is None or float(timestep) >= boundary * self.scheduler.config.num_train_timesteps:
            return self.pipe.transformer
        return self.pipe.transformer_2

    def _time_tokens(self, latents: torch.Tensor, timestep: torch.Tensor, known: int) -> torch.Tensor:
        """Returns the timestep of each token, `[1, tokens]`: 0 in the first `known` latents."""
        times, (_, height, width) = timestep.expand(latents.shape[2]).clone(), self.pipe.transformer.config.patch_size
        times[:known] = 0
        tokens = (latents.shape[3] // height) * (latents.shape[4] // width)
        return times.repeat_interleave(tokens)[None].to(self.device)

    def count_frames(self, frames: int) -> None:
        """Adds to the counts of `counting`."""
        for counts in self._counting:
            counts.frames += frames

    @contextmanager
    def counting(self) -> Iterator[Evaluations]:
        """Counts what goes through the transformer, as `unet`, within the block."""
        counts = Evaluations()
        self._counting.append(counts)
        try:
            yield counts
        finally:
            self._counting.remove(counts)

    def fingerprint(self) -> str:
        """Returns a digest of the transformer's first and last parameters, which tells weights apart."""
        parameters, digest = list(self.pipe.transformer.parameters()), hashlib.sha256()
        for parameter in (parameters[0], parameters[-1]):
            digest.update(parameter.detach().float().cpu().numpy().tobytes())
        digest.update(str(len(parameters)).encode())
        return digest.hexdigest()[:12]

    def _statistics(self, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        config = self.pipe.vae.config
        mean, deviation = (
            torch.tensor(values, dtype=torch.float32).view(1, config.z_dim, 1, 1, 1).to(latents)
            for values in (config.latents_mean, config.latents_std)
        )
        return mean, deviation
