"""Makes the training pairs: every photo in every look and after random style pictures, as one memory-mapped array.

    python training/renditions.py --data DATA --out training/work --part 0 --parts 2

`renditions-P.npy` is uint8 `[N, 1 + L + S, 384, 384, 3]`: the photo, its L looks in the order of `looks.txt`, and S
renditions after style pictures; `styles-P.npy` is uint8 `[N, S + M, 128, 128, 3]`, the picture that each was made after
and M more, and `vectors-P.npy` float32 `[N, S + M, 100]` what the teacher sees in them. Style pictures are
paintings, photos and photos in a look, in other colours half of the time. The last pictures are frames of clips, two
and two neighbours of the same clip (`frames-S-P.txt`: how many).
Every twelfth photo and painting, and the clips of `HELD_OUT_CLIPS`, are kept for the evaluation.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch

import looks
from data import the_device
from teacher import teaching_pictures
from transfer import Transfer

SIDE, STYLE_SIDE = 384, 128
ROOM = 1.2
"""Side of a photo from which a window is cut, at most, in sides of the window."""
PAINTED, PHOTOGRAPHED = 0.6, 0.2
"""Shares of the style pictures that are paintings, and plain photos; the others are photos in a look."""
HELD_OUT_EVERY = 12
HELD_OUT_CLIPS = ("cockatoo", "city-night", "bigbuckbunny")
PAIRS_A_CLIP, APART = 5, 3


def split(folder: Path) -> tuple[list[Path], list[Path]]:
    """The pictures of a folder: to train on, and held out."""
    paths = sorted(folder.iterdir())
    return [p for i, p in enumerate(paths) if i % HELD_OUT_EVERY], paths[::HELD_OUT_EVERY]


def read(path: Path) -> np.ndarray:
    return cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def square(image: np.ndarray, rng: np.random.Generator, side: int = SIDE) -> np.ndarray:
    """A crop of `side` x `side` at a random scale and place, mirrored half of the time."""
    short = min(image.shape[:2])
    scale = rng.uniform(side, max(side, min(short, int(ROOM * side))) + 1) / short
    size = max(side, round(image.shape[1] * scale)), max(side, round(image.shape[0] * scale))
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    top, left = (int(rng.integers(0, n - side + 1)) for n in image.shape[:2])
    image = image[top : top + side, left : left + side]
    return np.ascontiguousarray(image[:, ::-1] if rng.random() < 0.5 else image)


def frame_pairs(data: Path) -> Iterator[np.ndarray]:
    """Pairs of neighbouring frames, cropped alike, one frame after the other; from clips, or packed as pictures."""
    if (data / "frames").is_dir():
        yield from map(read, sorted((data / "frames").iterdir()))
        return
    from stylize import VideoReader

    for path in sorted(p for p in (data / "clips").iterdir() if not p.name.startswith(HELD_OUT_CLIPS)):
        with VideoReader(path) as reader:
            frames = np.concatenate([clip.frames for clip in reader.clips(64)])[:400]
        for k, start in enumerate(np.linspace(0, len(frames) - 1 - APART, PAIRS_A_CLIP).astype(int)):
            yield from (square(frames[i], np.random.default_rng([len(frames), k])) for i in (start, start + APART))


def recoloured(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The picture in other colours half of the time, so that few paintings show many palettes."""
    if rng.random() < 0.5:
        return image
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV).astype(np.int16)
    hsv[..., 0] = (hsv[..., 0] + rng.integers(180)) % 180
    hsv[..., 1] = np.clip(hsv[..., 1] * rng.uniform(0.3, 1.5), 0, 255)
    hsv[..., 2] = np.clip(255 * (hsv[..., 2] / 255) ** rng.uniform(0.6, 1.5), 0, 255)
    return cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with photos/, paintings/, clips/; or a pack")
    parser.add_argument("--out", type=Path, default=Path("training/work"))
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--parts", type=int, default=1)
    parser.add_argument("--styles", type=int, default=5, help="renditions of each photo after style pictures")
    parser.add_argument("--seen", type=int, default=7, help="more style pictures that the teacher only describes")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    photos = [read(p) for p in split(args.data / "photos")[0][args.part :: args.parts]]
    frames = list(frame_pairs(args.data)) if args.part == 0 else []
    paintings = [read(p) for p in split(args.data / "paintings")[0]]
    render_all(args, photos, frames, paintings)


def render_all(
    args: argparse.Namespace, photos: list[np.ndarray], frames: list[np.ndarray], paintings: list[np.ndarray]
) -> None:
    teacher, teaching = Transfer(the_device()), teaching_pictures(args.data / "paintings")
    names = [looks.PHOTO, *looks.DRAWN_LOOKS, *teaching]
    (args.out / "looks.txt").write_text("\n".join(names) + "\n")
    taught = teacher.describe(np.stack(list(teaching.values())))
    count, shown = len(photos) + len(frames), args.styles + args.seen
    shape, name = (count, len(names) + args.styles, SIDE, SIDE, 3), f"{args.seed}-{args.part}.npy"
    pictures = np.lib.format.open_memmap(args.out / f"renditions-{name}", mode="w+", dtype=np.uint8, shape=shape)
    styles = np.zeros((count, shown, STYLE_SIDE, STYLE_SIDE, 3), np.uint8)
    vectors = np.zeros((count, shown, 100), np.float32)
    for i in range(count):
        rng = np.random.default_rng([args.seed, args.part, i])
        photo = square(photos[i], rng) if i < len(photos) else frames[i - len(photos)]
        rng = np.random.default_rng([args.seed, args.part, (i - len(photos)) // 2]) if i >= len(photos) else rng
        drawn = [photo, *(render(photo) for render in looks.DRAWN_LOOKS.values())]
        after = [style_picture(photos, paintings, rng) for _ in range(shown)]  # both frames of a pair get the same
        seen = teacher.describe(np.stack(after))
        pictures[i, : len(drawn)] = drawn
        pictures[i, len(drawn) :] = teacher.paint(photo, torch.cat([taught, seen[: args.styles]]))
        styles[i] = [cv2.resize(style, (STYLE_SIDE, STYLE_SIDE), interpolation=cv2.INTER_AREA) for style in after]
        vectors[i] = seen.flatten(1).cpu().numpy()
        if i % 20 == 0:
            print(f"{i + 1}/{count}", flush=True)
    pictures.flush()
    np.save(args.out / f"styles-{name}", styles)
    np.save(args.out / f"vectors-{name}", vectors)
    (args.out / f"frames-{args.seed}-{args.part}.txt").write_text(f"{len(frames)}\n")


def style_picture(photos: list[np.ndarray], paintings: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """256 x 256 of a painting, a photo, or a photo in a look."""
    kind = rng.random()
    pictures = paintings if kind < PAINTED else photos
    style = square(pictures[rng.integers(len(pictures))], rng, 256)
    if kind >= PAINTED + PHOTOGRAPHED:
        style = list(looks.DRAWN_LOOKS.values())[rng.integers(len(looks.DRAWN_LOOKS))](style)
    return recoloured(style, rng)


if __name__ == "__main__":
    main()
