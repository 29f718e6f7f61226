"""The networks of LTX-Video (from 0.9.5 on), behind the calls of the Wan family's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from stylize.networks.image_networks import Defaults
from stylize.networks.prompts import PromptEmbedding
from stylize.networks.video_networks import NOTHING, Conditioning, Shown, VideoNetworks

TEXT_LENGTH = 256
"""Tokens that the transformer was trained with."""
SLOW_START = 0.025
"""Noise that the first half of the steps takes away."""
KNOWN_NOISE = 0.15
"""Noise on known latents at the first step, which helps what begins with a still to move; it falls with the square."""
LTX_DEFAULTS = Defaults(steps=40, strength=0.8, guidance_scale=3.0, controls={})
"""Guidance as in diffusers' pipeline; strength as for the plain models of Wan."""
DECODE_AT, DECODE_NOISE = 0.05, 0.025
"""Timestep and noise of decoders that take away the last noise, as the models' cards have them."""


class LtxNetworks(VideoNetworks):
    """The parts of diffusers' LTXConditionPipeline (HaCohen et al. 2024), on one device; it is never called itself.

    Known latents stand in place of noise, at timestep 0.
    """

    @property
    def conditioning(self) -> Conditioning:
        """How it takes pictures."""
        return "tokens"

    @property
    def channels(self) -> int:
        """Channels of latents."""
        return int(self.pipe.transformer.config.in_channels)

    @property
    def group(self) -> int:
        """Frames that one latent stands for."""
        return int(self.pipe.vae_temporal_compression_ratio)

    @property
    def shrinks(self) -> int:
        """Pixels of a latent's side."""
        return int(self.pipe.vae_spatial_compression_ratio)

    @property
    def grid(self) -> int:
        """Pixels that both sides of frames must be a multiple of."""
        return self.shrinks

    def list_timesteps(self, steps: int) -> Sequence[float] | None:
        """Returns the timesteps: half of them fall slowly and evenly, the rest by a square (Polyak et al. 2024)."""
        if steps < 2:
            return [1000.0]
        slow = steps // 2
        fast = steps - slow
        rest = slow - SLOW_START * steps
        square, linear = rest / (slow * fast**2), SLOW_START / slow - 2 * rest / fast**2
        gone = [i * SLOW_START / slow for i in range(slow)]
        gone += [square * i**2 + linear * i + square * slow**2 for i in range(slow, steps)]
        return [1000 * float(torch.tensor(1 - x)) for x in gone]

    def soften(self, known: torch.Tensor, timestep: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Returns known latents as the transformer sees them at a timestep: with a little noise."""
        noise = torch.randn(known.shape, generator=generator).to(known.device)
        return known.float() + KNOWN_NOISE * noise * (float(timestep) / 1000) ** 2

    @torch.inference_mode()
    def encode_prompt(self, prompt: str, negative: str, *, guided: bool) -> PromptEmbedding:
        """Encodes words by the text encoder, T5; a last channel tells words (1) from padding (0)."""
        tokens = self.pipe.tokenizer(
            [negative, prompt] if guided else [prompt], padding="max_length", max_length=TEXT_LENGTH, truncation=True,
            return_tensors="pt",
        )  # fmt: skip
        mask = tokens.attention_mask.bool().to(self.device)
        with self._borrow(self.pipe.text_encoder) as encoder:
            words = encoder(tokens.input_ids.to(self.device), attention_mask=mask)[0]
        return PromptEmbedding(torch.cat([words, mask[..., None].to(words)], -1).to(self.device, self.dtype))

    @torch.inference_mode()
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Decodes latents; see `VideoNetworks.decode`."""
        vae = self.pipe.vae
        mean, deviation = self._statistics(latents)
        latents = (latents.float() * deviation + mean).to(vae.dtype)
        timestep = None
        if vae.config.timestep_conditioning:
            noise = torch.randn(latents.shape, generator=torch.Generator("cpu").manual_seed(0)).to(latents)
            latents = (1 - DECODE_NOISE) * latents + DECODE_NOISE * noise
            timestep = torch.tensor([DECODE_AT]).to(latents)
        pixels: torch.Tensor = vae.decode(latents, timestep, return_dict=False)[0]
        return pixels.float()

    @torch.inference_mode()
    def predict(
        self, latents: torch.Tensor, timestep: torch.Tensor, words: torch.Tensor, shown: Shown = NOTHING
    ) -> torch.Tensor:
        """Predicts the flow at a timestep; see `VideoNetworks.predict`."""
        known = 0 if shown.latents is None else shown.latents.shape[2]
        _, _, length, height, width = latents.shape
        flow = self.pipe.transformer(
            hidden_states=latents.to(self.dtype).flatten(2).transpose(1, 2), encoder_hidden_states=words[..., :-1],
            timestep=self._time_tokens(latents, timestep, known).float(), encoder_attention_mask=words[..., -1] > 0.5,
            video_coords=self._place_tokens(length, height, width, shown.rate), return_dict=False,
        )[0]  # fmt: skip
        for counts in self._counting:
            counts.unet += len(latents)
        unpacked: torch.Tensor = flow.transpose(1, 2).unflatten(2, (length, height, width))
        return unpacked

    def _time_tokens(self, latents: torch.Tensor, timestep: torch.Tensor, known: int) -> torch.Tensor:
        times = timestep.expand(latents.shape[2]).clone()
        times[:known] = 0
        return times.repeat_interleave(latents.shape[3] * latents.shape[4])[None].to(self.device)

    def _place_tokens(self, length: int, height: int, width: int, rate: float) -> torch.Tensor:
        """Returns where each token is: second, row and column, in pixels, `[1, 3, tokens]`."""
        axes = [torch.arange(side, dtype=torch.float32, device=self.device) for side in (length, height, width)]
        places = torch.stack(torch.meshgrid(*axes, indexing="ij")).flatten(1)
        seconds = (places[:1] * self.group + 1 - self.group).clamp(min=0) / rate  # the first latent is one frame
        return torch.cat([seconds, places[1:] * self.shrinks])[None]

    def _statistics(self, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        vae: Any = self.pipe.vae
        mean, deviation = (
            values.view(1, -1, 1, 1, 1).to(latents).float() for values in (vae.latents_mean, vae.latents_std)
        )
        return mean, deviation / vae.config.scaling_factor
