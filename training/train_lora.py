"""A look of your own for the built-in model: a LoRA from 15 to 30 pictures before and after, on a CPU, in minutes.

    python training/train_lora.py --before photos/ --after prints/ --out riso.safetensors [--minutes 8]

The pairs have the same names. The networks stay as they are; low-rank additions (Hu et al. 2021) to the UNet's layers
learn to make the picture after of the picture before, from the noise levels that a run begins at. Use it with the
prompt beside which it was trained: stylize run clip.mp4 -o out.mp4 --prompt photo --lora riso.safetensors

`--example DATA` makes such pairs of licensed photos first: a print in three inks, which the model does not know.
"""

from __future__ import annotations

import argparse
from collections import deque
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict

from data import Clock
from stylize import Style, load_stylizer
from stylize.networks import Exchange, Networks
from stylize.restyle import conditions_for
from stylize.structure import DepthRange, StrokeOrder, take_strokes

CROP, BATCH, RANK = 160, 6, 16
LAYERS = r".*\.(to_q|to_k|to_v|to_out\.0|conv1|conv2|proj_in|proj_out|time_emb_proj)"
NOISE = (300, 960)
"""Noise levels of the inputs; a run begins at some 760 and 940 of 1,000 for strengths from 0.8 up to 1."""
PAIRS = 24
INKS = np.array([[43, 33, 94], [226, 75, 74], [246, 197, 112], [250, 246, 234]], np.float32)
"""The example's inks and its paper, from dark to light."""


def printed(photo: np.ndarray) -> np.ndarray:
    """The example look: flat inks by lightness with soft steps, and the darkest once more where edges are."""
    light = cv2.cvtColor(cv2.bilateralFilter(photo, 0, 40, 4), cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    made = np.broadcast_to(INKS[0], photo.shape).copy()
    for step, ink in zip((0.25, 0.5, 0.75), INKS[1:], strict=True):
        share = 1 / (1 + np.exp(-40 * (light - step)))
        made += share[..., None] * (ink - made)
    soft = cv2.GaussianBlur(light, (0, 0), 0.8) - cv2.GaussianBlur(light, (0, 0), 2)
    line = np.clip(-soft * 14 - 0.15, 0, 1)[..., None]
    return np.round(made + line * (INKS[0] - made)).astype(np.uint8)


def example_pairs(data: Path, folder: Path) -> tuple[Path, Path]:
    """Before and after of photos of the data set, spread over it."""
    before, after = folder / "before", folder / "after"
    photos = sorted((data / "photos").glob("*.jpg"))
    for place in (before, after):
        place.mkdir(parents=True, exist_ok=True)
    for path in photos[:: max(1, len(photos) // PAIRS)][:PAIRS]:
        photo = read(path)
        scale = 384 / min(photo.shape[:2])
        photo = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        for place, picture in ((before, photo), (after, printed(photo))):
            cv2.imwrite(str(place / f"{path.stem}.png"), picture[..., ::-1])
    return before, after


def read(path: Path) -> np.ndarray:
    found = cv2.imread(str(path))
    if found is None:
        raise SystemExit(f"{path}: cannot be read as a picture")
    return np.ascontiguousarray(found[..., ::-1])


class Pairs:
    """Pictures before and after with the maps of those before."""

    def __init__(self, before: Path, after: Path, networks: Networks, rng: np.random.Generator) -> None:
        names = sorted({p.name for p in before.iterdir()} & {p.name for p in after.iterdir()})
        if len(names) < 8:
            raise SystemExit(f"{before} and {after} share {len(names)} names: give 15 to 30 pairs")
        self._rng, self._sets = rng, []
        for name in names:
            one, other = read(before / name), read(after / name)
            if one.shape != other.shape or min(one.shape[:2]) < CROP:
                raise SystemExit(f"{name}: the two sizes differ, or a side is under {CROP} pixels")
            raw = networks.estimate_depth(one)
            strokes, _ = take_strokes([(one, None, Fraction(0))], StrokeOrder(), None, 0)
            depth = DepthRange.after(None, raw).scale(raw)
            self._sets.append((one, other, strokes[0].transpose(1, 2, 0), np.repeat(depth[..., None], 3, -1)))

    def draw(self) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
        """A batch of crops: before and after in [-1, 1], maps in [0, 1]."""
        rows = []
        for number in self._rng.integers(len(self._sets), size=BATCH):
            pictures = self._sets[number]
            height, width = pictures[0].shape[:2]
            y, x = self._rng.integers(height - CROP + 1), self._rng.integers(width - CROP + 1)
            flip = -1 if self._rng.random() < 0.5 else 1
            rows.append([np.ascontiguousarray(p[y : y + CROP, x : x + CROP][:, ::flip]) for p in pictures])
        one, other, strokes, depth = (
            torch.from_numpy(np.stack(column)).permute(0, 3, 1, 2) for column in zip(*rows, strict=True)
        )
        before, after = (p.float() / 127.5 - 1 for p in (one, other))
        return before, after, {"strokes": strokes, "depth": depth}


def train(networks: Networks, pairs: Pairs, clock: Clock) -> None:
    """Adds the low-rank layers to the UNet and trains them."""
    unet = networks.unet.requires_grad_(False)
    unet.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=LAYERS, init_lora_weights="gaussian"))
    weights = [p for p in unet.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=clock.peak, weight_decay=0.01)
    conditions = conditions_for(networks, Style(prompt="photo"))
    words = conditions.prompts.moments[0][1]
    prompt = replace(words, words=words.words.expand(BATCH, -1, -1).clone())
    alphas, losses = networks.scheduler.alphas_cumprod, deque[float](maxlen=100)
    strengths = {name: control.weight for name, control in conditions.controls.items()}
    while clock.progress < 1:
        before, after, maps = pairs.draw()
        with torch.no_grad():
            generator = torch.Generator().manual_seed(clock.done)
            start, wanted = networks.encode(before, [generator]).clone(), networks.encode(after, [generator]).clone()
            controls = {name: networks.embed_control(name, maps[name]).clone() for name in strengths}
        t = int(torch.randint(*NOISE, (), generator=generator))
        noisy = alphas[t].sqrt() * start + (1 - alphas[t]).sqrt() * torch.randn(start.shape, generator=generator)
        made = networks.predict(noisy, torch.tensor(t), prompt, controls, strengths, Exchange(weight=0.0))
        painted = networks.decode(made, maps["strokes"])
        loss = (made - wanted).square().mean() + 2 * (painted - after).abs().mean()
        for group in optimiser.param_groups:
            group["lr"] = clock.learning_rate()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        clock.tick()
        losses.append(float(loss.detach()))
        if clock.done % 50 == 0:
            print(f"{clock.done} {clock.progress:.2f} loss {np.mean(losses):.4f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="folder of pictures")
    parser.add_argument("--after", type=Path, help="folder of the same pictures in the look, under the same names")
    parser.add_argument("--example", type=Path, metavar="DATA", help="make the example's pairs of DATA/photos instead")
    parser.add_argument("--work", type=Path, default=Path("training/work/lora"), help="where the example's pairs go")
    parser.add_argument("--out", type=Path, default=Path("examples/riso.safetensors"))
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--steps", type=int, help="end after so many, whatever the time")
    parser.add_argument("--rate", type=float, default=2e-3)
    args = parser.parse_args()
    if not args.example and not (args.before and args.after):
        parser.error("name the folders: --before and --after, or --example DATA")
    torch.manual_seed(0)
    networks = load_stylizer("pocket", device="cpu", dtype=torch.float32).networks
    before, after = example_pairs(args.example, args.work) if args.example else (args.before, args.after)
    clock = Clock(args.minutes, args.rate, args.steps)
    train(networks, Pairs(before, after, networks, np.random.default_rng(0)), clock)
    layers = {name: tensor.half().contiguous() for name, tensor in get_peft_model_state_dict(networks.unet).items()}
    StableDiffusionPipeline.save_lora_weights(
        args.out.parent, unet_lora_layers=layers, weight_name=args.out.name, safe_serialization=True
    )
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
