"""The figures of the model card, on photos that were not trained on.

    python training/evaluate.py --data DATA [--photos 12]

- autoencoder: PSNR of reconstruction, photos and renditions
- look got: of the renditions of the photo in all looks, is the one asked for the nearest? (mean absolute error of the
  picture at a quarter of its size plus that of its gradients, both as a share of the largest over the looks)
- forms: F1 of Canny edges between output and source (2 px tolerance), beside that of the teacher's own rendition

Prints a table, and one JSON object as the last line.
"""

from __future__ import annotations

import argparse
import json
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import torch

import looks
import prompts
from data import to_tensor
from renditions import HELD_OUT_EVERY, square
from stylize import Clip, Style, Stylizer, load_stylizer

SIDE = 256


def restyled(stylizer: Stylizer, photo: np.ndarray, prompt: str, **style: float) -> np.ndarray:
    clip = Clip(photo[None], (Fraction(0),), (Fraction(1, 25),))
    return next(stylizer.stream([clip], Style(prompt=prompt, **style))).frames[0]


def psnr(stylizer: Stylizer, picture: np.ndarray) -> float:
    networks = stylizer.networks
    pixels = to_tensor(picture[None])
    with torch.inference_mode():
        back = networks.decode(networks.encode(pixels, torch.Generator())).clamp(-1, 1)
    return float(-10 * torch.log10(((back - pixels) / 2).square().mean()))


def distance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Of tone and of texture."""
    small = [
        cv2.resize(x, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA).astype(np.float32) for x in (one, other)
    ]
    sharp = [cv2.GaussianBlur(np.abs(cv2.Laplacian(x.astype(np.float32), -1)), (0, 0), 4) for x in (one, other)]
    return np.array([np.abs(a - b).mean() for a, b in (small, sharp)])


def edge_f1(one: np.ndarray, other: np.ndarray, tolerance: int = 2) -> float:
    edges = [cv2.Canny(cv2.GaussianBlur(x, (0, 0), 1), 60, 160) > 0 for x in (one, other)]
    kernel = np.ones((2 * tolerance + 1,) * 2, np.uint8)
    near = [cv2.dilate(e.astype(np.uint8), kernel) > 0 for e in edges]
    precision = (edges[0] & near[1]).sum() / max(edges[0].sum(), 1)
    recall = (edges[1] & near[0]).sum() / max(edges[1].sum(), 1)
    return float(2 * precision * recall / max(precision + recall, 1e-9))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--photos", type=int, default=12)
    parser.add_argument("--model", default="pocket")
    args = parser.parse_args()
    held_out = sorted((args.data / "photos").iterdir())[::HELD_OUT_EVERY]
    held_out = held_out[:: max(1, len(held_out) // args.photos)][: args.photos]
    renderers = {looks.PHOTO: lambda photo: photo} | looks.DRAWN_LOOKS | looks.painted_looks(args.data / "paintings")
    stylizer = load_stylizer(args.model)
    hits = {name: [] for name in renderers}
    forms, teacher_forms, quality = [], [], {"photo": [], "rendition": []}
    for i, path in enumerate(held_out):
        photo = square(path, np.random.default_rng(i))[:SIDE, :SIDE].copy()
        targets = {name: render(photo) for name, render in renderers.items()}
        for name, target in targets.items():
            quality["photo" if name == looks.PHOTO else "rendition"].append(psnr(stylizer, target))
            output = restyled(stylizer, photo, prompts.LOOKS[name][0])
            errors = np.array([distance(output, other) for other in targets.values()])
            nearest = list(targets)[int((errors / errors.max(0)).sum(1).argmin())]
            hits[name].append(nearest == name)
            forms.append(edge_f1(output, photo))
            teacher_forms.append(edge_f1(target, photo))
        print(f"{i + 1}/{len(held_out)}", flush=True)
    result = {
        "photos": len(held_out),
        "psnr_photo": round(float(np.mean(quality["photo"])), 2),
        "psnr_rendition": round(float(np.mean(quality["rendition"])), 2),
        "look_got": round(float(np.mean([x for v in hits.values() for x in v])), 3),
        "look_got_by_look": {name: round(float(np.mean(v)), 2) for name, v in hits.items()},
        "edge_f1": round(float(np.mean(forms)), 3),
        "edge_f1_of_teacher": round(float(np.mean(teacher_forms)), 3),
    }
    for name, value in result.items():
        print(f"{name:<20} {value}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
