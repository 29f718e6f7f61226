"""Makes the training data: every photo in every look, with the strokes and cells that it was painted by.

    python training/renditions.py --data DATA --out training/work --part 0 --parts 2

`pictures-P.npy` is uint8 `[N, 1 + L, 384, 384, 3]`: the photo, and its renditions in the order of `looks.txt`.
`fields-P.npy` is uint8 `[N, 1 + K, 384, 384]`: the stroke field, and the cells of each kind in the order of `KINDS`.
`lines-P.npy` and `depth-P.npy` are uint8 `[N, 384, 384]`, what the controls show. The last pictures are flat or nearly
so, as nothing hides a fault there.
Every twelfth photo, and the clips of `HELD_OUT_CLIPS`, are kept for the evaluation.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch

import looks
from given import Given
from painters import CELLS, PAINTERS
from stylize.structure import DepthRange
from stylize.structure.cells import KINDS, start_cells
from stylize.structure.depth import PocketDepth
from stylize.structure.sheets import SHEET, make_sheets
from stylize.structure.strokes import draw_lines, start_strokes

SIDE = 384
ROOM = 1.2
"""Side of a photo from which a window is cut, at most, in sides of the window."""
HELD_OUT_EVERY = 12
HELD_OUT_CLIPS = ("cockatoo", "city-night", "bigbuckbunny")
FRAMES_A_CLIP = 10
FLAT = 24
NAMES = (looks.PHOTO, *PAINTERS)


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


def clip_frames(data: Path) -> Iterator[np.ndarray]:
    """Frames of the clips to train on."""
    from stylize import VideoReader

    for path in sorted(p for p in (data / "clips").iterdir() if not p.name.startswith(HELD_OUT_CLIPS)):
        with VideoReader(path) as reader:
            frames = np.concatenate([clip.frames for clip in reader.clips(64)])[:400]
        for k, i in enumerate(np.linspace(0, len(frames) - 1, FRAMES_A_CLIP).astype(int)):
            yield square(frames[i], np.random.default_rng([len(frames), k]))


def flat_picture(rng: np.random.Generator) -> np.ndarray:
    """One colour, or one that passes into another."""
    one, other = rng.uniform(0, 255, (2, 3))
    other = one if rng.random() < 0.5 else other
    y, x = np.mgrid[:SIDE, :SIDE] / (SIDE - 1) - 0.5
    turn = rng.uniform(0, 2 * np.pi)
    along = np.clip(0.5 + x * np.cos(turn) + y * np.sin(turn), 0, 1)[..., None]
    return np.round(one + (other - one) * along).astype(np.uint8)


def sources(data: Path) -> list[np.ndarray]:
    """All pictures to train on, squares of `SIDE`."""
    paths = split(data / "photos")[0]
    photos = [square(read(path), np.random.default_rng([5, i])) for i, path in enumerate(paths)]
    return [*photos, *clip_frames(data), *(flat_picture(np.random.default_rng([7, i])) for i in range(FLAT))]


def paint_all(image: np.ndarray, rng: np.random.Generator) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The picture in all looks of `NAMES`, and its stroke field and cells as bytes."""
    strokes = start_strokes(image, make_sheets(), tuple(rng.uniform(0, SHEET, 2)))
    cells = {kind: start_cells(kind, image, strokes.direction, int(rng.integers(2**31))) for kind in KINDS}
    fields = [strokes.picture, *(one.picture for one in cells.values())]
    lines = draw_lines(image)
    given = {name: Given(lines, strokes, cells.get(CELLS.get(name, ""))) for name in PAINTERS}
    painted = [paint(image, given[name]) for name, paint in PAINTERS.items()]
    return [image, *painted], [np.round(255 * field).astype(np.uint8) for field in fields]


def depth_map(estimate: PocketDepth, image: np.ndarray) -> np.ndarray:
    """The depth control of a picture, as bytes."""
    raw = next(iter(estimate(image[None])))
    return np.round(255 * DepthRange.after(None, raw).scale(raw)).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with photos/ and clips/")
    parser.add_argument("--out", type=Path, default=Path("training/work"))
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--parts", type=int, default=1)
    parser.add_argument("--depth", type=Path, default=Path("src/stylize/pocket/depth"), help="the depth network")
    parser.add_argument("--limit", type=int, help="at most so many pictures, for a trial")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "looks.txt").write_text("\n".join(NAMES) + "\n")
    render(args, sources(args.data)[args.part :: args.parts][: args.limit])


def render(args: argparse.Namespace, photos: list[np.ndarray]) -> None:
    def array(name: str, *shape: int) -> np.ndarray:
        path = args.out / f"{name}-{args.part:02}.npy"
        return np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(len(photos), *shape))

    pictures, fields = array("pictures", len(NAMES), SIDE, SIDE, 3), array("fields", 1 + len(KINDS), SIDE, SIDE)
    lines, depth = array("lines", SIDE, SIDE), array("depth", SIDE, SIDE)
    estimate = PocketDepth(args.depth, torch.device("cpu"))
    for i, photo in enumerate(photos):
        pictures[i], fields[i] = paint_all(photo, np.random.default_rng([args.seed, args.part, i]))
        lines[i], depth[i] = np.round(255 * draw_lines(photo)), depth_map(estimate, photo)
        if i % 20 == 0:
            print(f"{i + 1}/{len(photos)}", flush=True)


if __name__ == "__main__":
    main()
