"""The networks of one model behind the few calls that the denoising loop needs."""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from stylize.attention import Exchange
from stylize.reference import ImagePrompt
from stylize.structure import DepthEstimator
from stylize.vocabulary import Vocabulary


@dataclass(frozen=True)
class Defaults:
    """What a model is made for; a style overrides it."""

    steps: int = 20
    strength: float = 0.75
    guidance_scale: float = 7.5
    full_strength: float = 1.0
    """Share of the noise schedule that strength 1 stands for; less where a model loses the forms in pure noise."""
    controls: Mapping[str, float] = field(default_factory=lambda: {"depth": 0.8, "canny": 0.8})
    """Those of them that the model has are used."""


@dataclass
class Evaluations:
    """Samples that went through networks; guidance counts double."""

    unet: int = 0
    controlnets: int = 0
    """All of them together."""
    frames: int = 0
    """Frames that were encoded, which is done once for each that is diffused."""


class ControlNet:
    """A diffusers ControlNet whose conditioning embedding is taken out.

    The embedding works at full resolution and is the same at every step, so it is computed once a frame.
    """

    def __init__(self, network: Any) -> None:
        self.network = network
        self._embedding = network.controlnet_cond_embedding
        network.controlnet_cond_embedding = torch.nn.Identity()
        self._flips = network.config.controlnet_conditioning_channel_order == "bgr"

    def to(self, device: torch.device) -> ControlNet:
        """Moves both parts and makes them ready for inference."""
        for part in (self.network, self._embedding):
            part.to(device).eval().requires_grad_(False)
        return self

    def embed(self, control: torch.Tensor) -> torch.Tensor:
        """Map `[1, 3, H, W]` in [0, 1] to its embedding `[1, C, H / 8, W / 8]`."""
        if self._flips:
            control = control.flip(1)
        embedded: torch.Tensor = self._embedding(control)
        return embedded.flip(1) if self._flips else embedded  # the network flips what it is given, now the embedding


@dataclass(frozen=True, eq=False)
class Networks:
    """Tokenizer, text encoder, VAE, UNet, ControlNets and scheduler, on one device in one dtype."""

    name: str
    tokenizer: Any
    text_encoder: Any
    vae: Any
    unet: Any
    controlnets: Mapping[str, ControlNet]
    scheduler: Any
    estimate_depth: DepthEstimator
    device: torch.device
    dtype: torch.dtype
    defaults: Defaults = field(default_factory=Defaults)
    vocabulary: Vocabulary | None = None
    """The words that the model knows; `None` where it is general."""
    image_prompt: ImagePrompt | None = None
    """Reads a reference picture, if the model can."""

    @torch.inference_mode()
    def encode_prompts(self, texts: list[str]) -> torch.Tensor:
        """`[len(texts), tokens, C]`; what is longer than the tokenizer's limit is cut off, as CLIP does."""
        return torch.cat([self._encode_prompt(text) for text in texts]).to(self.dtype)

    def _encode_prompt(self, text: str) -> torch.Tensor:
        tokens = self.tokenizer(
            text,
            padding="max_length",
            max_length=self.tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        )
        uses_mask = getattr(self.text_encoder.config, "use_attention_mask", False)
        mask = tokens.attention_mask.to(self.device) if uses_mask else None
        embeddings: torch.Tensor = self.text_encoder(tokens.input_ids.to(self.device), attention_mask=mask)[0]
        return embeddings

    def encode(self, pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """`[1, 3, H, W]` in [-1, 1], sides divisible by 8, to scaled latents `[1, C, H / 8, W / 8]`."""
        encoded = self.vae.encode(pixels.to(self.device, self.dtype))
        latents = encoded.latent_dist.sample(generator) if hasattr(encoded, "latent_dist") else encoded.latents
        scaled: torch.Tensor = self._scaling * latents
        return scaled

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Scaled latents to pixels, float32 `[1, 3, H, W]` around [-1, 1]."""
        pixels: torch.Tensor = self.vae.decode(latents / self._scaling, return_dict=False)[0]
        return pixels.float()

    def embed_control(self, name: str, control: torch.Tensor) -> torch.Tensor:
        """A map `[1, 3, H, W]` in [0, 1] to what the named ControlNet reads at every step."""
        return self.controlnets[name].embed(control.to(self.device, self.dtype))

    def predict(
        self,
        latents: torch.Tensor,
        t: torch.Tensor,
        embeddings: torch.Tensor,
        controls: Mapping[str, torch.Tensor],
        weights: Mapping[str, float],
        exchange: Exchange,
    ) -> torch.Tensor:
        """The UNet's prediction with the sum of the ControlNets' residuals; `[G, C, h, w]` in and out."""
        down: list[torch.Tensor] | None = None
        middle: torch.Tensor | None = None
        for name, embedded in controls.items():
            more, mid = self.controlnets[name].network(
                latents,
                t,
                encoder_hidden_states=embeddings,
                controlnet_cond=embedded.expand(len(latents), -1, -1, -1),
                conditioning_scale=weights[name],
                return_dict=False,
            )
            down = list(more) if down is None else [a + b for a, b in zip(down, more, strict=True)]
            middle = mid if middle is None else middle + mid
        prediction: torch.Tensor = self.unet(
            latents,
            t,
            encoder_hidden_states=embeddings,
            cross_attention_kwargs={"exchange": exchange},
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
            return_dict=False,
        )[0]
        return prediction

    def step_options(self, generator: torch.Generator) -> dict[str, Any]:
        """What this scheduler's `step` takes beside the prediction."""
        return {"generator": generator} if "generator" in self._step_parameters else {}

    @functools.cached_property
    def _step_parameters(self) -> frozenset[str]:
        return frozenset(inspect.signature(self.scheduler.step).parameters)

    def fingerprint(self) -> str:
        """Tells these weights from others: a digest of the UNet's and the ControlNets' first and last parameters."""
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
                setattr(counts, name, getattr(counts, name) + len(arguments[0]))

            return count

        watched = [(self.unet, "unet"), (self.vae.encoder, "frames")]
        watched += [(network.network, "controlnets") for network in self.controlnets.values()]
        hooks = [module.register_forward_pre_hook(counter(name)) for module, name in watched]
        try:
            yield counts
        finally:
            for hook in hooks:
                hook.remove()
