"""Stage 2, the depth network: rendered scenes with exact inverse depth, and 2.5D composites at a lower weight.

python training/train_depth.py --data DATA --work training/work --minutes 15
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.nn import functional as F

from data import Average, Clock, mixed_precision, the_device, to_tensor
from stylize.metrics import spearman
from stylize.structure.depth_network import DepthNetwork

SIDE = 128
FIRST_COMPOSITE = 3000
CYCLES, FAST, COMPOSITE = range(3)
"""Ray traced scenes, simple and partly abstract ones, and cutouts on photos."""
OFTEN = np.array([3.0, 0.7, 1.2])
WEIGHT = np.float32([1.0, 0.7, 0.5])  # the depth of composites is a model, not a measurement


def load(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pictures uint8 `[N, S, S, 3]`, inverse depth uint8 `[N, S, S]`, their kinds `[N]`, and which are held out."""
    scenes = {}
    with (folder / "stills" / "index.csv").open() as file:
        rows = csv.DictReader(file)
        key = next(k for k in rows.fieldnames or [] if "scene" in k)
        name = (rows.fieldnames or [""])[0]
        for row in rows:
            scenes[Path(row[name]).stem.split("_")[0]] = row[key]
    pictures, depths, kinds, held = [], [], [], []
    for part in ("stills", "stills_fast"):
        for path in sorted((folder / part).glob("*.jpg")):
            depth = cv2.imread(str(path.with_name(path.stem + "_d.png")), cv2.IMREAD_GRAYSCALE)
            picture = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
            pictures.append(cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA))
            depths.append(cv2.resize(depth, (SIDE, SIDE), interpolation=cv2.INTER_AREA))
            kinds.append(CYCLES if part == "stills" else FAST if int(path.stem) < FIRST_COMPOSITE else COMPOSITE)
            held.append(part == "stills" and hash_scene(scenes[path.stem]) % 10 == 0)
    return np.stack(pictures), np.stack(depths), np.array(kinds), np.array(held)


def hash_scene(scene: str) -> int:
    return sum(ord(c) * 31**i for i, c in enumerate(scene)) % 1_000_003


def augment(pictures: torch.Tensor, depth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A random window, mirror, exposure, colour cast, blur and noise: the renders are cleaner than any camera."""
    batch = len(pictures)

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return torch.empty(batch, *shape, device=pictures.device).uniform_(low, high)

    zoom, mirror = uniform(0.6, 1.0), torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    theta = torch.zeros(batch, 2, 3, device=pictures.device)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = zoom * mirror, zoom, (1 - zoom)[:, None] * uniform(-1, 1, 2)
    grid = F.affine_grid(theta, list(pictures.shape), align_corners=False)
    pictures = F.grid_sample(pictures, grid, align_corners=False, padding_mode="reflection")
    depth = F.grid_sample(depth, grid, align_corners=False, padding_mode="reflection")
    unit = ((pictures + 1) / 2).clamp(1e-3, 1) ** uniform(0.6, 1.6, 1, 1, 1)
    unit = unit * uniform(0.8, 1.15, 3, 1, 1) + uniform(-0.08, 0.08, 1, 1, 1)
    if torch.rand(()) < 0.3:
        unit = F.avg_pool2d(unit, 3, 1, 1)
    return (unit + float(0.03 * torch.rand(())) * torch.randn_like(unit)).clamp(0, 1) * 2 - 1, depth


def standardised(depth: torch.Tensor) -> torch.Tensor:
    """Every picture with mean 0 and deviation 1; nearly flat ones less, or their noise would lead."""
    mean, deviation = depth.mean((1, 2, 3), keepdim=True), depth.std((1, 2, 3), keepdim=True)
    return (depth - mean) / (deviation + 0.05)


def loss_of(output: torch.Tensor, depth: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Absolute error of the root of inverse depth, plain and standardised, and the latter's gradient at three scales.

    Most of a picture is far away, where inverse depth is nearly nothing; the root spreads it out and keeps the order.
    Error and gradients up to scale and shift are MiDaS' (Ranftl et al. 2020).
    """
    target = depth.sqrt()
    error = standardised(output) - standardised(target)
    loss = 2 * (output - target).abs().mean((1, 2, 3)) + error.abs().mean((1, 2, 3))
    for _ in range(3):
        loss = loss + 0.7 * (error.diff(dim=-1).abs().mean((1, 2, 3)) + error.diff(dim=-2).abs().mean((1, 2, 3)))
        error = F.avg_pool2d(error, 2)
    return (loss * weight).mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with depth/stills and depth/stills_fast")
    parser.add_argument("--work", type=Path, default=Path("training/work"))
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--steps", type=int, help="end after so many, whatever the time")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--resume", action="store_true", help="go on from the network in --work")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)
    pictures, depths, kinds, held = load(args.data / "depth")
    train, validate = np.flatnonzero(~held), np.flatnonzero(held)[::3]
    often = OFTEN[kinds[train]]
    print(f"{len(train)} pictures to train on, {len(validate)} to validate", flush=True)
    network = DepthNetwork.from_pretrained(args.work / "depth") if args.resume else DepthNetwork()
    device = the_device()
    network.to(device, memory_format=torch.channels_last).train()
    average, clock = Average(network), Clock(args.minutes, 1.5e-3, args.steps)
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=0.01)
    rng, total, is_over = np.random.default_rng(0), 0.0, False
    while not is_over:
        for group in optimiser.param_groups:
            group["lr"] = clock.learning_rate()
        rows = rng.choice(train, args.batch, p=often / often.sum())
        true = torch.from_numpy(depths[rows])[:, None].to(device).float() / 255
        picture, depth = augment(to_tensor(torch.from_numpy(pictures[rows]).to(device)), true)
        with mixed_precision(device):
            output = network(picture.to(memory_format=torch.channels_last)).float()
        loss = loss_of(output, depth, torch.from_numpy(WEIGHT[kinds[rows]]).to(device))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        average.update(network)
        clock.tick()
        total += float(loss.detach())
        is_over = clock.progress >= 1
        if clock.done % 200 == 0 or is_over:
            with torch.no_grad():
                guess = average.network(to_tensor(pictures[validate[:40]]).to(device)).cpu().numpy()
            score = np.mean([spearman(g, depths[i]) for g, i in zip(guess, validate, strict=False)])
            print(f"{clock.done} {clock.progress:.3f} loss {total / 200:.4f} spearman {score:.3f}", flush=True)
            average.network.save_pretrained(args.work / "depth")
            total = 0.0


if __name__ == "__main__":
    main()
