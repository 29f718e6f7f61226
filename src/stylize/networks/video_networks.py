"""The networks of a video model (Wan, Wan VACE) behind a few calls: text encoder, video autoencoder, transformer."""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from stylize.frames import DepthEstimator
from stylize.networks.image_networks import Defaults, Evaluations
from stylize.networks.prompts import PromptEmbedding

TEXT_LENGTH = 512
"""Tokens that Wan's transformer was trained with."""
VIDEO_DEFAULTS = Defaults(steps=30, strength=1.0, guidance_scale=5.0, controls={"depth": 1.0})
"""As the model's card has them, with one control: VACE was trained with one control video at a time."""
PLAIN_DEFAULTS = Defaults(steps=30, strength=0.8, guidance_scale=5.0, controls={})
"""Of the plain model: strength as in diffusers' WanVideoToVideoPipeline."""


@dataclass(frozen=True, eq=False)
class VideoNetworks:
    """The parts of diffusers' WanVACEPipeline or WanPipeline, on one device; the pipeline itself is never called.

    VACE (Jiang et al. 2025) is shown a video with a mask: what is masked is to be painted, in the forms of what stands
    there; the rest is kept. The plain model reads words alone; a source is noised and taken back (SDEdit).
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
    def is_shown(self) -> bool:
        """Whether it is shown what is known of the frames, and their forms: VACE is, the plain model is not."""
        return hasattr(self.pipe.transformer.config, "vace_layers")

    @property
    def reads_pictures(self) -> bool:
        """Whether a reference picture goes before the frames."""
        return self.is_shown

    @property
    def grid(self) -> int:
        """Pixels that both sides of frames must be a multiple of."""
        return int(self.pipe.vae_scale_factor_spatial * self.pipe.transformer.config.patch_size[1])

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
        words = self.pipe.text_encoder(tokens.input_ids.to(self.device), mask).last_hidden_state
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
        masks = torch.zeros(1, self.pipe.vae_scale_factor_spatial**2, *latents.shape[2:]).to(latents)
        return torch.cat([latents, empty, masks], 1).to(self.dtype)

    @torch.inference_mode()
    def predict(
        self,
        latents: torch.Tensor,
        timestep: torch.Tensor,
        words: torch.Tensor,
        shown: torch.Tensor | None,
        scale: float,
    ) -> torch.Tensor:
        """Predicts the flow at a timestep.

        Args:
            words: `[1, tokens, C]`.
            shown: from `condition`; `None` for the plain model.
            scale: weight of what is shown.
        """
        transformer, more = self.pipe.transformer, dict[str, Any]()
        if shown is not None:
            layers = len(transformer.config.vace_layers)
            weights = torch.full((layers,), scale, device=self.device, dtype=self.dtype)
            more = {"control_hidden_states": shown, "control_hidden_states_scale": weights}
        flow: torch.Tensor = transformer(
            hidden_states=latents.to(self.dtype), timestep=timestep.to(self.device).expand(len(latents)),
            encoder_hidden_states=words, return_dict=False, **more,
        )[0]  # fmt: skip
        for counts in self._counting:
            counts.unet += len(latents)
        return flow

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
