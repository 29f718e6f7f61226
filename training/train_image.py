"""Stage 2b, the image encoder: it learns to see in a picture what the arbitrary-style teacher sees in it.

The teacher describes a style picture in 100 numbers, from which alone it paints; an encoder that can tell them knows
all that a reference has to say. Style pictures are cheap beside renditions, so there are many more of them, and the
UNet need not teach the encoder what a style is. The last stage goes on with it.

    python training/train_image.py --work training/work --minutes 10
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.nn import functional as F

from data import Average, Clock, mixed_precision, renditions, the_device, to_tensor
from image import ImagePrompter
from windows import whitened

HELD_OUT = 256
LOOKS = 0.3
"""Share of a batch that are photos in a look, to be named."""


class Pictures:
    """Style pictures with the teacher's numbers, and renditions with their looks."""

    def __init__(self, work: Path) -> None:
        names = sorted(work.glob("styles-*.npy"))
        self.pictures = np.concatenate([np.load(p).reshape(-1, 128, 128, 3) for p in names])
        seen = whitened([np.load(p.with_name(p.name.replace("styles", "vectors"))) for p in names])
        self.styles = torch.from_numpy(np.concatenate([v.reshape(-1, v.shape[-1]) for v in seen])).to(the_device())
        self.renditions, self.looks = renditions(work)

    def draw(self, rng: np.random.Generator, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        rows = rng.integers(min(HELD_OUT, len(self.styles) // 2), len(self.styles), count)
        pictures = to_tensor(torch.from_numpy(self.pictures[rows]).to(the_device()))
        return (pictures.flip(-1) if rng.random() < 0.5 else pictures), self.styles[rows]

    def draw_looks(self, rng: np.random.Generator, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        crops, looks = [], rng.integers(len(self.looks), size=count)
        for look in looks:
            array = self.renditions[rng.integers(len(self.renditions))]
            side = int(rng.integers(128, 385))
            y, x = rng.integers(0, 384 - side + 1, 2)
            picture = array[rng.integers(len(array)), look, y : y + side, x : x + side]
            crops.append(cv2.resize(picture, (128, 128), interpolation=cv2.INTER_AREA))
        return to_tensor(np.stack(crops)).to(the_device()), torch.from_numpy(looks).to(the_device())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("training/work"))
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--resume", action="store_true", help="go on from the encoder in --work")
    args = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    pictures, rng = Pictures(args.work), np.random.default_rng(0)
    network = ImagePrompter(len(pictures.looks)).train()
    if args.resume:
        network.load(args.work)
    network.to(the_device())
    average, clock = Average(network, 0.995), Clock(args.minutes, args.rate)
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=0.05)
    held = min(HELD_OUT, len(pictures.styles) // 2)
    step, totals = 0, np.zeros(2)
    while clock.progress < 1:
        for group in optimiser.param_groups:
            group["lr"] = clock.learning_rate()
        named = max(1, round(LOOKS * args.batch))
        (shown, styles), (crops, looks) = pictures.draw(rng, args.batch - named), pictures.draw_looks(rng, named)
        with mixed_precision(the_device()):
            seen = network.encoder(torch.cat([shown, crops])).image_embeds.float()
        style_loss = F.mse_loss(network.style(seen[: len(shown)]), styles)
        look_loss = F.cross_entropy(network.look(seen[len(shown) :]), looks)
        optimiser.zero_grad()
        (style_loss + 0.3 * look_loss).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        average.update(network)
        step, totals = step + 1, totals + [float(loss.detach()) for loss in (style_loss, look_loss)]
        if step % 200 == 0 or clock.progress >= 1:
            with torch.no_grad():
                unseen = to_tensor(pictures.pictures[:held]).to(the_device())
                guess = average.network.style(average.network.encoder(unseen).image_embeds)
            others = F.mse_loss(guess, pictures.styles[:held])
            style, look = totals / 200
            print(f"{step} {clock.progress:.3f} style {style:.3f} look {look:.3f} others {others:.3f}", flush=True)
            totals = np.zeros(2)
            average.network.save(args.work)


if __name__ == "__main__":
    main()
