"""The last stage: UNet, ControlNets, text and image encoder and the decoder's painter learn the renditions together.

    python training/train_denoiser.py --work training/work --minutes 90

Renditions are functions of what the networks see: photo, strokes, cells, words. So plain regression on the decoded
pixels does, and no loss has to make up for chance. References have no such pair: with `--styles`, on a GPU, the Gram
matrices of paintings teach them. Goes on from `--work` with `--resume`; the state of the optimiser lies beside the
weights.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import load_file
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import CLIPTokenizer

from data import Average, Clock, check_finite, mixed_precision, send, the_device
from denoiser import Denoiser, alphas_cumprod, save
from stylize.networks.patches import PATCH
from text import build_tokenizer
from windows import Batch, Windows

if TYPE_CHECKING:
    from style_loss import StyleLoss

PAIRED, STYLED, ROLLED, BARE = 0.06, 0.25, 0.15, 0.03
"""Shares of the batches that are pairs, that learn from paintings, that start from the networks' own first step, and
from pure noise."""
SIDES, OFTEN, STYLED_OFTEN = (128, 256, 384), (0.65, 0.2, 0.15), (0, 0.5, 0.5)
"""Of the windows, and how often; attention and norms are to know whole pictures. Larger ones are fewer in a batch."""
TEXTURED = 0.25
"""Share of the windows whose texture is compared."""
DROPPED = {"strokes": 0.05, "depth": 0.7}
"""How often a control is left out."""
PHOTO_LEVELS = ((250, 550, 0.2), (550, 850, 0.65), (850, 1000, 0.15))
"""Ranges of noise levels of a photo, and their shares; 600 of 1000 is usual at the default strength."""
OWN_LEVELS, FIRST_LEVELS, BARE_LEVELS = (50, 800), (550, 1000), (960, 1000)
FROM_PHOTO = 0.9
PIXELS, SLOPES, PATCHES, DETAIL, AMOUNT, UNPAINTED = 4.0, 2.0, 0.5, 0.6, 0.06, 0.1
"""Weights of the errors: of pixels, of their differences, of these across the borders of patches once more, of how much
detail there is wherever it lies, of the ratio of that in a whole window, and of the picture before strokes are drawn
into it."""
LEAST_DETAIL = 0.004
"""Mean absolute Laplacian, in [-1, 1], below which ratios no longer count: half a step of eight bits."""
RIM, RIM_WEIGHT = 8, 0.4
"""Pixels at the borders of a window count less: their renditions saw what lies outside."""
PAINTER, PAINTER_SPEED = "vae.painter.", 4.0
"""The decoder's painter is small, and learns by larger steps than the others."""
SAVE_EVERY = 3 * 60.0
RESUME = "resume.pt"


def tint(t: torch.Tensor) -> torch.Tensor:
    """How much of the look a photo gets that is noised to `t`: all from 550 on, less below; strength 0.3 is a tint."""
    return ((t - 100) / 450.0).clamp(0, 1)


def count_detail(pixels: torch.Tensor) -> torch.Tensor:
    """How much fine detail there is in each patch: the mean absolute Laplacian of the lightness, `[B, 1, h, w]`."""
    gray = F.pad(pixels.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    around = gray[..., :-2, 1:-1] + gray[..., 2:, 1:-1] + gray[..., 1:-1, :-2] + gray[..., 1:-1, 2:]
    return F.avg_pool2d((4 * gray[..., 1:-1, 1:-1] - around).abs(), PATCH)


class Trainer:
    """The networks with their data and optimiser."""

    def __init__(self, work: Path, *, resume: bool, decay: float, seed: int, styles: bool) -> None:
        self.rng, self.device, self.work = np.random.default_rng(seed), the_device(), work
        tokenizer = CLIPTokenizer.from_pretrained(work / "tokenizer") if resume else build_tokenizer()
        tokenizer.save_pretrained(work / "tokenizer")
        self.windows = Windows(work, tokenizer, self.device)
        self.style_loss: StyleLoss | None = None
        if styles:
            from style_loss import StyleLoss  # VGG's weights are needed for this alone

            self.style_loss = StyleLoss(self.device)
        self.network = Denoiser(tokenizer)
        weights = load_file(work / ("denoiser.safetensors" if resume else "patches.safetensors"))
        self.network.load_state_dict(weights, strict=resume)  # at first there is the autoencoder alone
        self.network.to(self.device, memory_format=torch.channels_last).train()
        self.alphas = alphas_cumprod().to(self.device)
        learning = [(name, p) for name, p in self.network.named_parameters() if p.requires_grad]
        groups = [
            {"params": [p for name, p in learning if name.startswith(PAINTER) == painter], "speed": speed}
            for painter, speed in ((False, 1.0), (True, PAINTER_SPEED))
        ]
        self.optimiser = torch.optim.AdamW(groups, betas=(0.9, 0.995), weight_decay=0.01, fused=True)
        self.average = Average(self.network, decay)
        self.steps = 0
        if resume and (work / RESUME).exists():
            stored = torch.load(work / RESUME, map_location=self.device)
            self.network.load_state_dict(stored["network"])
            self.optimiser.load_state_dict(stored["optimiser"])
            self.steps = stored["steps"]

    def step(self, batch: Batch, rate: float) -> dict[str, torch.Tensor]:
        """One update; the losses by name."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["speed"]
        rng, count, times = self.rng, len(batch.source), 2 if batch.paired else 1
        bare = rng.random() < BARE
        rolled = not bare and rng.random() < ROLLED
        maps = {name: value for name, value in batch.maps.items() if rng.random() >= DROPPED[name]}
        weight = float(rng.uniform(0.3, 1.5)) if rng.random() < 0.2 else 1.0
        with torch.no_grad():
            source, target = (self.network.vae.encode(x).latents for x in (batch.source, batch.target))
        own = self._first_step(source, batch, maps, weight) if rolled else target
        # alike in both of a pair, as is the noise
        from_photo = torch.from_numpy(rng.random(count // times) < FROM_PHOTO * (not rolled)).repeat(times)
        t = self._noise_levels(from_photo[: count // times], bare).repeat(times)
        share = send(torch.where(from_photo, tint(t), torch.ones(count)), self.device).view(-1, 1, 1, 1)
        from_photo, t = send(from_photo, self.device), send(t, self.device)
        noisy = self._noised(torch.where(from_photo.view(-1, 1, 1, 1), source, own), t, times)
        plain, painted = self._paint(noisy, t, batch, maps, weight)
        if batch.styles is not None and self.style_loss is not None:
            losses = self.style_loss.compare(painted / 2 + 0.5, batch.styles, batch.source / 2 + 0.5)
        else:
            losses = self._compare(plain, painted, torch.lerp(batch.source, batch.target, share))
        self.optimiser.zero_grad(set_to_none=True)
        torch.stack([*losses.values()]).sum().backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 3.0)
        self.optimiser.step()
        self.steps += 1
        if self.steps % 4 == 0:
            self.average.update(self.network)
        return {name: loss.detach() for name, loss in losses.items()}

    def _paint(
        self, noisy: torch.Tensor, t: torch.Tensor, batch: Batch, maps: dict[str, torch.Tensor], weight: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The picture before and after strokes are drawn into it, in [-1, 1]."""
        with mixed_precision(self.device):
            made = self.network(noisy, t, batch.tokens, batch.references, maps, weight, paired=batch.paired)
            plain = self.network.vae.decode(made, return_dict=False)[0].float()
            strokes = maps.get("strokes")
            painted = plain if strokes is None else self.network.vae.decode(made, False, strokes=strokes)[0].float()
        return plain, painted

    def _compare(self, plain: torch.Tensor, painted: torch.Tensor, wanted: torch.Tensor) -> dict[str, torch.Tensor]:
        """The weighted losses of one forward pass."""
        weights = torch.full_like(wanted[:1, :1], RIM_WEIGHT)
        weights[..., RIM:-RIM, RIM:-RIM] = 1
        weights = weights / weights.mean()
        apart = painted - wanted
        slopes = [(apart.diff(dim=axis) * weights.narrow(axis, 1, apart.shape[axis] - 1)).abs() for axis in (2, 3)]
        across = torch.stack([slopes[0][:, :, PATCH - 1 :: PATCH].mean(), slopes[1][..., PATCH - 1 :: PATCH].mean()])
        details = [count_detail(picture) for picture in (painted, wanted)]
        # looks with hardly any detail weigh nothing in the sums above, but the eye sees twice as much of it
        amounts = [detail.mean((1, 2, 3)) + LEAST_DETAIL for detail in details]
        losses = {
            "pixels": PIXELS * (apart * weights).abs().mean(),
            "slopes": SLOPES * torch.stack([slope.mean() for slope in slopes]).sum(),
            "patches": PATCHES * across.sum(),
            "detail": DETAIL * (details[0] - details[1]).abs().mean(),
            "amount": AMOUNT * (amounts[0] / amounts[1]).log().abs().mean(),
            "unpainted": UNPAINTED * ((plain - wanted) * weights).abs().mean(),
        }
        if self.style_loss is not None:
            some = slice(None, max(1, round(TEXTURED * len(painted))))
            losses["texture"] = self.style_loss.texture(painted[some] / 2 + 0.5, wanted[some] / 2 + 0.5)
        return losses

    def draw(self, count: int) -> Batch:
        """A batch of one of the kinds."""
        if self.style_loss is not None and self.rng.random() < STYLED:
            side = int(self.rng.choice(SIDES, p=STYLED_OFTEN))
            return self.windows.draw_styles(self.rng, max(count * SIDES[0] ** 2 // (2 * side**2), 2), side)
        side = int(self.rng.choice(SIDES, p=OFTEN))
        if count * SIDES[0] ** 2 // side**2 < 2:  # small batches have no room for whole pictures
            side = SIDES[0]
        paired = bool(self.rng.random() < PAIRED)
        return self.windows.draw(self.rng, count * SIDES[0] ** 2 // side**2 & ~1, side, paired=paired)

    def _noised(self, latents: torch.Tensor, t: torch.Tensor, times: int) -> torch.Tensor:
        """Latents at the noise levels `t`, with the same noise in both of a pair."""
        a, s = (x.sqrt().view(-1, 1, 1, 1) for x in (self.alphas[t], 1 - self.alphas[t]))
        noise = torch.randn(len(latents) // times, *latents.shape[1:], device=self.device).repeat(times, 1, 1, 1)
        return (a * latents + s * noise).to(memory_format=torch.channels_last)

    @torch.no_grad()
    def _first_step(
        self, source: torch.Tensor, batch: Batch, maps: dict[str, torch.Tensor], weight: float
    ) -> torch.Tensor:
        """The rendition after one step from the photo, as it is at the start of the next one."""
        times = 2 if batch.paired else 1
        t = torch.from_numpy(self.rng.integers(*FIRST_LEVELS, len(source) // times)).repeat(times)
        t = send(t, self.device)
        with mixed_precision(self.device):  # a context of its own: casts made without gradients are kept in one
            made = self.network(
                self._noised(source, t, times), t, batch.tokens, batch.references, maps, weight, paired=batch.paired
            )
        return made.float()

    def _noise_levels(self, from_photo: torch.Tensor, bare: bool) -> torch.Tensor:
        if bare:
            return torch.from_numpy(self.rng.integers(*BARE_LEVELS, len(from_photo)))
        ranges = self.rng.choice(len(PHOTO_LEVELS), len(from_photo), p=[share for *_, share in PHOTO_LEVELS])
        photo = np.array([self.rng.integers(*PHOTO_LEVELS[i][:2]) for i in ranges])
        return torch.from_numpy(np.where(from_photo, photo, self.rng.integers(*OWN_LEVELS, len(from_photo))))

    def save(self) -> None:
        """The averaged weights, and what a run goes on from."""
        save(self.average.network.state_dict(), self.work / "denoiser.safetensors")
        state = {
            "network": self.network.state_dict(), "optimiser": self.optimiser.state_dict(), "steps": self.steps
        }  # fmt: skip
        temporary = (self.work / RESUME).with_suffix(".part")
        torch.save(state, temporary)
        temporary.replace(self.work / RESUME)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("training/work"))
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("--steps", type=int, help="end after so many, whatever the time")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=2e-4)
    parser.add_argument("--decay", type=float, default=0.99, help="of the weights' average, a step in four")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--resume", action="store_true", help="go on from the networks in --work")
    parser.add_argument("--styles", action="store_true", help="learn from paintings, by VGG: on a GPU")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    trainer = Trainer(args.work, resume=args.resume, decay=args.decay, seed=args.seed, styles=args.styles)
    clock, samples, saved = Clock(args.minutes, args.rate, args.steps), 0, time.monotonic()
    totals: dict[str, list[torch.Tensor]] = defaultdict(list)
    # the CPU's flash kernel has a backward pass that is slow on short sequences
    kernels = [SDPBackend.MATH, *([SDPBackend.FLASH_ATTENTION] if trainer.device.type == "cuda" else [])]
    while clock.progress < 1:
        batch = trainer.draw(args.batch)
        with sdpa_kernel(kernels):
            losses = trainer.step(batch, clock.learning_rate())
        clock.tick()
        for name, value in losses.items():
            totals[name].append(value)
        samples += len(batch.source)
        if trainer.steps % 20 == 0:
            check_finite(totals)
        if trainer.steps % 50 == 0:
            means = " ".join(f"{n} {float(torch.stack(v).mean()):.4f}" for n, v in totals.items())
            print(f"{trainer.steps} {clock.progress:.3f} samples {samples} {means}", flush=True)
            totals.clear()
        if time.monotonic() - saved > SAVE_EVERY:
            saved = time.monotonic()
            trainer.save()
    trainer.save()


if __name__ == "__main__":
    main()
