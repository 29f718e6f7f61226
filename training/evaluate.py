"""The figures of the model card, on photos, paintings and clips that were not trained on.

    python training/evaluate.py --data DATA [--photos 6] [--model pocket] [--sheet docs/pocket-sheet.jpg]

- autoencoder: PSNR of photos and of renditions
- looks: is the teacher's rendition in the look asked for the nearest of all by VGG Gram distance; PSNR and sharpness
  (mean absolute Laplacian) beside the teacher's at the same strokes
- photo: PSNR and sharpness of "photo" at the default strength
- reference: is the result nearer to the painting that it was made after than to nine others, by Gram distance
- clips: detail that sticks to surfaces and to the screen, warp error beside frames with new strokes each
- borders: of flat pictures, the outer 16 pixels beside the inside; differences across the borders of patches
- depth: Spearman rank correlation with the true inverse depth of held-out renders and of real stereo pairs

Prints a table, and one JSON object as the last line. `--sheet` makes a contact sheet of 60 frames to look at.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from collections import defaultdict
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import skimage.data
import torch

import looks
import prompts
from data import to_tensor
from given import Given
from painters import CELLS, PAINTERS, PIXELS
from pictures import read, split, square
from sheet import CLIPS, contact_sheet, read_frames
from stylize import Clip, Style, Stylizer, load_stylizer
from stylize.finish import Finish
from stylize.frames import to_bytes, to_floats
from stylize.metrics import spearman
from stylize.metrics.figures import pair_figures
from stylize.motion.flow import optical_flow
from stylize.structure import StrokeOrder, take_strokes
from stylize.structure.strokes import draw_lines
from train_depth import load as load_depth
from vgg import Vgg, distance

SIDE = 384
REFERENCES = 10
CLIP_LOOKS = ("woodcut", "oil", "van-gogh", "mosaic", "watercolour", "stained-glass")
CLIP_FRAMES = 12
SEQUENCES = ("seq1", "seq7")
"""Rendered walks among those of the depth data."""
MOVES = 1.0
"""Mean flow from which on a clip counts as moving, in pixels a frame."""
BORDER = 16

Figures = dict[str, list[float]]


def restyled(stylizer: Stylizer, photo: np.ndarray, prompt: str = "", **style: object) -> np.ndarray:
    clip = Clip(photo[None], (Fraction(0),), (Fraction(1, 25),))
    return next(stylizer.stream([clip], Style(prompt=prompt, **style))).frames[0]  # type: ignore[arg-type]


def teach(photo: np.ndarray) -> dict[str, np.ndarray]:
    """The photo in every look, painted by the strokes that a run of seed 0 has."""
    renditions = {looks.PHOTO: photo}
    for name, paint in PAINTERS.items():
        order = StrokeOrder(cells=((Fraction(0), CELLS.get(name)),))
        _, state = take_strokes([(photo, None, Fraction(0))], order, None, 0)
        painted = paint(photo, Given(draw_lines(photo), state.strokes, *state.cells))
        finish = Finish(pixels=((Fraction(0), PIXELS.get(name)),))
        renditions[name] = to_bytes(finish.apply([to_floats(painted)], [Fraction(0)])[0][0])
    return renditions


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(np.mean((one.astype(np.float32) - other) ** 2), 1e-9)))


def sharpness(picture: np.ndarray) -> float:
    return float(np.abs(cv2.Laplacian(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.CV_32F)).mean())


def reconstruct(stylizer: Stylizer, picture: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        back = stylizer.networks.decode(stylizer.networks.encode(to_tensor(picture[None]), [torch.Generator()]))
    return (back[0].permute(1, 2, 0).clamp(-1, 1) * 127.5 + 127.5).round().byte().numpy()


def measure_looks(stylizer: Stylizer, vgg: Vgg, photo: np.ndarray, figures: Figures) -> None:
    """Every look by its first phrase, beside its teacher and all other teachers."""
    taught = teach(photo)
    grams = {name: vgg.grams(picture) for name, picture in taught.items()}
    for name, target in taught.items():
        output = restyled(stylizer, photo, prompts.LOOKS[name][0])
        figures["autoencoder_psnr_" + ("photo" if name == looks.PHOTO else "rendition")].append(
            psnr(reconstruct(stylizer, target), target)
        )
        own = vgg.grams(output)
        nearest = min(grams, key=lambda other: distance(own, grams[other]))
        figures["look_got"].append(nearest == name)
        figures[f"got {name}"].append(nearest == name)
        figures[f"psnr {name}"].append(psnr(output, target))
        figures[f"detail {name}"].append(sharpness(output))
        figures[f"detail taught {name}"].append(sharpness(target))
        if name != looks.PHOTO:
            figures["look_psnr"].append(psnr(output, target))


def measure_references(
    stylizer: Stylizer, vgg: Vgg, photo: np.ndarray, paintings: list[np.ndarray], figures: Figures
) -> None:
    grams = [vgg.grams(painting) for painting in paintings]
    for i, painting in enumerate(paintings):
        with tempfile.NamedTemporaryFile(suffix=".png") as file:
            cv2.imwrite(file.name, cv2.cvtColor(painting, cv2.COLOR_RGB2BGR))
            output = vgg.grams(restyled(stylizer, photo, reference=file.name))
        figures["reference_got"].append(int(np.argmin([distance(output, gram) for gram in grams])) == i)


def held_out_clips(data: Path) -> dict[str, Clip]:
    """The first frames of three films and of some rendered walks; the looks were trained on none of them."""
    clips = {name: read_frames(data / "clips", name, start, CLIP_FRAMES) for name, start in CLIPS.items()}
    for name in SEQUENCES:
        paths = sorted((data / "depth" / "sequences" / name).glob("frame_*.png"))[:CLIP_FRAMES]
        times = tuple(Fraction(i, 25) for i in range(len(paths)))
        clips[name] = Clip(np.stack([read(path) for path in paths]), times, (Fraction(1, 25),) * len(paths))
    return clips


def measure_clips(stylizer: Stylizer, data: Path, figures: Figures) -> None:
    """Held-out clips in some looks: how strokes stick, and how much steadier frames are than by themselves."""
    for name, clip in held_out_clips(data).items():
        flows = [optical_flow(*pair) for pair in itertools.pairwise(clip.frames)]
        moving = float(np.mean([np.linalg.norm(flow, axis=-1).mean() for flow in flows])) > MOVES
        figures["moving_clips"].append(moving)
        for look in CLIP_LOOKS:
            style = Style(prompt=prompts.LOOKS[look][0])
            full = np.concatenate([part.frames for part in stylizer.stream([clip], style)])
            own = _pair_means(clip.frames, full)
            if moving:
                figures["detail_along"].append(own["detail_along"])
                figures["detail_in_place"].append(own["detail_in_place"])
            figures[f"detail_along {name} {look}"].append(own["detail_along"])
            figures[f"detail_in_place {name} {look}"].append(own["detail_in_place"])
            alone = np.stack(
                [restyled(stylizer, frame, style.prompt, seed=seed) for seed, frame in enumerate(clip.frames[:6])]
            )
            apart = _pair_means(clip.frames[:6], alone)["warp_error"]
            figures["warp_error_ratio"].append(_pair_means(clip.frames[:6], full[:6])["warp_error"] / apart)
            sharp = np.mean([sharpness(x) for x in full[1:6]]) / np.mean([sharpness(x) for x in alone[1:]])
            figures["full_sharpness"].append(float(sharp))


def _pair_means(source: np.ndarray, styled: np.ndarray) -> dict[str, float]:
    pairs = [pair_figures((source[i], styled[i]), (source[i + 1], styled[i + 1]))[0] for i in range(len(source) - 1)]
    return {name: float(np.nanmean([pair[name] for pair in pairs])) for name in pairs[0]}


def measure_borders(stylizer: Stylizer, figures: Figures) -> None:
    """One flat picture in every look: what stands out at its rim and at the borders of patches."""
    flat = np.full((192, 256, 3), (150, 120, 90), np.uint8)
    for name, words in prompts.LOOKS.items():
        output = restyled(stylizer, flat, words[0]).astype(np.float32)
        inner = output[BORDER:-BORDER, BORDER:-BORDER]
        rim = np.ones(output.shape[:2], bool)
        rim[BORDER:-BORDER, BORDER:-BORDER] = False
        off = float(np.abs(output[rim].mean(0) - inner.mean((0, 1))).max())
        figures["rim_over_spread"].append(off / max(float(inner.std((0, 1)).max()), 1.0))
        figures[f"rim {name}"].append(figures["rim_over_spread"][-1])
        steps = np.abs(np.diff(output, axis=1)).mean((0, 2))
        across = steps[7::8].mean() / max(float(np.delete(steps, np.s_[7::8]).mean()), 0.05)
        figures["steps_across_patches"].append(float(across))
        figures[f"steps {name}"].append(float(across))


def measure_depth(stylizer: Stylizer, data: Path, opencv: Path | None, figures: Figures) -> None:
    pictures, depths, _, held_out = load_depth(data / "depth")
    for i in np.flatnonzero(held_out)[::3]:
        figures["depth_spearman_renders"].append(spearman(stylizer.networks.estimate_depth(pictures[i]), depths[i]))
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
    paintings = [square(read(path), np.random.default_rng(i), SIDE) for i, path in enumerate(paths)]
    vgg, figures = Vgg(), defaultdict(list)
    measure_depth(stylizer, data, opencv, figures)
    measure_borders(stylizer, figures)
    measure_clips(stylizer, data, figures)
    for i, path in enumerate(held_out):
        photo = square(read(path), np.random.default_rng(i), SIDE)
        measure_looks(stylizer, vgg, photo, figures)
        if i % 2 == 0:
            measure_references(stylizer, vgg, photo, paintings, figures)
        print(f"{i + 1}/{len(held_out)} look got {np.mean(figures['look_got']):.3f}", flush=True)
    means = {name: float(np.mean(values)) for name, values in figures.items()}
    # of the means: where a teacher leaves a picture all but empty, the ratio of this picture alone says nothing
    sharp = {name: means[f"detail {name}"] / means[f"detail taught {name}"] for name in prompts.LOOKS}
    means |= {f"sharpness {name}": ratio for name, ratio in sharp.items()}
    means["look_sharpness"] = float(np.mean([ratio for name, ratio in sharp.items() if name != looks.PHOTO]))
    return {name: round(value, 3) for name, value in means.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--photos", type=int, default=6)
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--opencv", type=Path, help="folder with aloeL.jpg and aloeGT.png of OpenCV's samples")
    parser.add_argument("--sheet", type=Path, help="write a contact sheet of 60 frames instead")
    args = parser.parse_args()
    stylizer = load_stylizer(args.model)
    if args.sheet:
        contact_sheet(stylizer, args.data / "clips", args.sheet)
        return
    result = evaluate(stylizer, args.data, args.photos, args.opencv)
    for name, value in result.items():
        print(f"{name:<36} {value}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
