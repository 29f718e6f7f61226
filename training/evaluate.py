"""The figures of the model card, on photos, paintings and clips that were not trained on.

    python training/evaluate.py --data DATA [--photos 12] [--model pocket] [--sheet docs/pocket-sheet.jpg]

- autoencoder: PSNR of photos and renditions; colour error (CIE 1976) of the means of 8 x 8 pixels
- look got: of the teachers' renditions of the photo, is the one in the look asked for the nearest by VGG Gram distance?
- reference: of a held-out photo's renditions after ten held-out paintings, is the one after the reference the nearest?
- forms: F1 of Canny edges between output and source (2 px tolerance), beside the teacher's own rendition
- steps: Gram distance to the teacher at 4 steps without guidance over that at 20 steps with guidance 2
- depth: Spearman rank correlation with the true inverse depth of held-out renders and of real stereo pairs

Prints a table, and one JSON object as the last line. `--sheet` makes a contact sheet of 60 frames to look at.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import defaultdict
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import skimage.data
import torch

import looks
import prompts
from data import to_tensor
from renditions import read, split, square
from sheet import contact_sheet
from stylize import Clip, Style, Stylizer, load_stylizer
from stylize.metrics import edge_f1, spearman
from teacher import TEACHING, painted_looks, transfer_engine
from train_depth import load as load_depth
from vgg import Vgg, distance

SIDE = 256
REFERENCES = 10
STRENGTH = 0.8

Figures = dict[str, list[float]]


def restyled(stylizer: Stylizer, photo: np.ndarray, prompt: str = "", **style: object) -> np.ndarray:
    clip = Clip(photo[None], (Fraction(0),), (Fraction(1, 25),))
    settings = {"strength": STRENGTH} | style
    return next(stylizer.stream([clip], Style(prompt=prompt, **settings))).frames[0]  # type: ignore[arg-type]


def reconstruction(stylizer: Stylizer, picture: np.ndarray) -> tuple[float, float]:
    """PSNR in dB, and the colour error of local means in CIE 1976 delta E."""
    pixels = to_tensor(picture[None])
    with torch.inference_mode():
        back = stylizer.networks.decode(stylizer.networks.encode(pixels, torch.Generator())).clamp(-1, 1)
    psnr = float(-10 * torch.log10(((back - pixels) / 2).square().mean()))
    pictures = [(x[0].permute(1, 2, 0).numpy() + 1) / 2 for x in (back, pixels)]
    small = [cv2.resize(x, None, fx=1 / 8, fy=1 / 8, interpolation=cv2.INTER_AREA) for x in pictures]
    one, other = (cv2.cvtColor(x.astype(np.float32), cv2.COLOR_RGB2LAB) for x in small)
    return psnr, float(np.linalg.norm(one - other, axis=-1).mean())


def autoencoder(stylizer: Stylizer, photo: np.ndarray, targets: dict[str, np.ndarray], figures: Figures) -> None:
    for name, picture in ({"photo": photo} | targets).items():
        psnr, colour = reconstruction(stylizer, picture)
        figures["psnr_photo" if name == "photo" else "psnr_rendition"].append(psnr)
        figures["colour_error"].append(colour)


def prompted(
    stylizer: Stylizer, vgg: Vgg, photo: np.ndarray, targets: dict[str, np.ndarray], few: set[str], figures: Figures
) -> None:
    """The looks by name; those in `few` also at 20 steps with guidance."""
    grams = {name: vgg.grams(picture) for name, picture in targets.items()}
    for name, target in targets.items():
        output = restyled(stylizer, photo, prompts.LOOKS[name][0])
        own = vgg.grams(output)
        distances = {other: distance(own, gram) for other, gram in grams.items()}
        rank = sorted(distances, key=distances.__getitem__).index(name)
        figures[f"top1 {name}"].append(rank == 0)
        figures["look_got"].append(rank == 0)
        figures["look_got_top3"].append(rank < 3)
        figures["edge_f1"].append(edge_f1(output, photo))
        figures["edge_f1_of_teacher"].append(edge_f1(target, photo))
        if name in few:
            four = restyled(stylizer, photo, prompts.LOOKS[name][0], steps=4)
            many = restyled(stylizer, photo, prompts.LOOKS[name][0], steps=20, guidance_scale=2.0)
            figures["gram_4_steps"].append(distance(vgg.grams(four), grams[name]))
            figures["gram_20_steps"].append(distance(vgg.grams(many), grams[name]))


def referred(
    stylizer: Stylizer, vgg: Vgg, photo: np.ndarray, paintings: list[np.ndarray], asked: list[int], figures: Figures
) -> None:
    """Those `asked` as references; all are candidates. A look's teacher is no unseen painting and not asked."""
    transfer = transfer_engine()
    grams = [vgg.grams(transfer(photo, painting)) for painting in paintings]
    for i in asked:
        with tempfile.NamedTemporaryFile(suffix=".png") as file:
            cv2.imwrite(file.name, cv2.cvtColor(paintings[i], cv2.COLOR_RGB2BGR))
            output = vgg.grams(restyled(stylizer, photo, reference=file.name))
        figures["reference_got"].append(int(np.argmin([distance(output, gram) for gram in grams])) == i)


def depth(stylizer: Stylizer, data: Path, figures: Figures) -> None:
    pictures, depths, _, held_out = load_depth(data / "depth")
    for i in np.flatnonzero(held_out)[::3]:
        figures["depth_spearman_renders"].append(spearman(stylizer.networks.estimate_depth(pictures[i]), depths[i]))


def real_depth(stylizer: Stylizer, opencv: Path | None, figures: Figures) -> None:
    """Left pictures and disparities of scikit-image's motorcycle and, from Debian's opencv-doc, aloe."""
    left, _, disparity = skimage.data.stereo_motorcycle()
    pairs = [(left, disparity)]
    if opencv is not None:
        pairs.append((read(opencv / "aloeL.jpg"), cv2.imread(str(opencv / "aloeGT.png"), cv2.IMREAD_GRAYSCALE)))
    for picture, truth in pairs:
        known = np.isfinite(truth) & (truth > 0)
        guess = stylizer.networks.estimate_depth(picture)
        figures["depth_spearman_real"].append(spearman(guess[known], truth[known].astype(np.float32)))


def evaluate(stylizer: Stylizer, data: Path, count: int, opencv: Path | None) -> dict[str, float]:
    held_out = split(data / "photos")[1]
    held_out = held_out[:: max(1, len(held_out) // count)][:count]
    paths = split(data / "paintings")[1][:REFERENCES]
    paintings = [square(read(p), np.random.default_rng(i), SIDE) for i, p in enumerate(paths)]
    asked = [i for i, p in enumerate(paths) if not any(name in p.stem for name in TEACHING.values())]
    renderers: dict[str, Callable[[np.ndarray], np.ndarray]] = {looks.PHOTO: lambda photo: photo}
    renderers |= looks.DRAWN_LOOKS | painted_looks(data / "paintings")
    vgg, figures = Vgg(), defaultdict(list)
    depth(stylizer, data, figures)
    real_depth(stylizer, opencv, figures)
    for i, path in enumerate(held_out):
        photo = square(read(path), np.random.default_rng(i), SIDE)
        targets = {name: render(photo) for name, render in renderers.items()}
        autoencoder(stylizer, photo, targets, figures)
        prompted(stylizer, vgg, photo, targets, set(list(targets)[i % 5 :: 5]), figures)
        if i % 2 == 0:
            referred(stylizer, vgg, photo, paintings, asked, figures)
        print(f"{i + 1}/{len(held_out)} look got {np.mean(figures['look_got']):.3f}", flush=True)
    return {name: round(float(np.mean(values)), 3) for name, values in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--photos", type=int, default=12)
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--opencv", type=Path, help="folder with aloeL.jpg and aloeGT.png of OpenCV's samples")
    parser.add_argument("--sheet", type=Path, help="write a contact sheet of 60 frames instead")
    args = parser.parse_args()
    stylizer = load_stylizer(args.model)
    if args.sheet:
        contact_sheet(stylizer, args.data / "clips", args.sheet)
        return
    result = evaluate(stylizer, args.data, args.photos, args.opencv)
    result["edge_f1_share"] = round(result["edge_f1"] / result["edge_f1_of_teacher"], 3)
    result["gram_4_over_20_steps"] = round(result["gram_4_steps"] / result["gram_20_steps"], 3)
    for name, value in result.items():
        print(f"{name:<26} {value}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
