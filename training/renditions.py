"""Makes the training data: every picture in every look, with the strokes and cells that it was painted by.

    python training/renditions.py --data DATA --out training/work --workers 2

`pictures.npy` is uint8 `[N, 1 + L, 384, 384, 3]`: the picture, and its renditions in the order of `looks.txt`.
`fields.npy` is uint8 `[N, 1 + K, 384, 384]`: the stroke field, and the cells of each kind in the order of `CELL_KINDS`.
`lines.npy` and `depth.npy` are uint8 `[N, 384, 384]`, what the controls show; `paintings.npy` is uint8
`[M, 384, 384, 3]`, to be references. The last pictures are flat or nearly so, as nothing hides a fault there.
Every twelfth photo and painting, and the clips of `HELD_OUT_CLIPS`, are kept for the evaluation.
"""

from __future__ import annotations

import argparse
import multiprocessing
from pathlib import Path

import cv2
import numpy as np
import torch

import looks
from given import Given
from painters import CELLS, PAINTERS
from pictures import SIDE, paintings, sources
from stylize.structure import DepthRange
from stylize.structure.cells import KINDS, start_cells
from stylize.structure.depth import PocketDepth
from stylize.structure.screens import draw_screen
from stylize.structure.sheets import SHEET, make_sheets
from stylize.structure.stroke_maps import CELL_KINDS
from stylize.structure.strokes import draw_lines, start_strokes

NAMES = (looks.PHOTO, *PAINTERS)
SHAPES = {
    "pictures": (len(NAMES), SIDE, SIDE, 3), "fields": (1 + len(CELL_KINDS), SIDE, SIDE), "lines": (SIDE, SIDE),
    "depth": (SIDE, SIDE),
}  # fmt: skip
"""What is written of each picture."""


def paint_all(image: np.ndarray, rng: np.random.Generator) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The picture in all looks of `NAMES`, and its stroke field and cells as bytes."""
    strokes = start_strokes(image, make_sheets(), tuple(rng.uniform(0, SHEET, 2)))
    cells = {kind: start_cells(kind, image, strokes.direction, int(rng.integers(2**31))) for kind in KINDS}
    fields = [strokes.picture, *(one.picture for one in cells.values()), draw_screen(strokes)]
    lines = draw_lines(image)
    given = {name: Given(lines, strokes, cells.get(CELLS.get(name, ""))) for name in PAINTERS}
    painted = [paint(image, given[name]) for name, paint in PAINTERS.items()]
    return [image, *painted], [np.round(255 * field).astype(np.uint8) for field in fields]


def depth_map(estimate: PocketDepth, image: np.ndarray) -> np.ndarray:
    """The depth control of a picture, as bytes."""
    raw = next(iter(estimate(image[None])))
    return np.round(255 * DepthRange.after(None, raw).scale(raw)).astype(np.uint8)


class Renderer:
    """What one process renders with; the files are shared by all of them."""

    def __init__(self, out: Path, depth: Path, seed: int) -> None:
        cv2.setNumThreads(1)
        torch.set_num_threads(1)
        self.seed, self.estimate = seed, PocketDepth(depth, torch.device("cpu"))
        self.arrays = {name: np.load(out / f"{name}.npy", mmap_mode="r+") for name in SHAPES}

    def render(self, number: int, image: np.ndarray) -> None:
        """Everything of one picture."""
        painted, fields = paint_all(image, np.random.default_rng([self.seed, number]))
        rows = {"pictures": painted, "fields": fields, "lines": np.round(255 * draw_lines(image)),
                "depth": depth_map(self.estimate, image)}  # fmt: skip
        for name, row in rows.items():
            self.arrays[name][number] = row


_renderer: Renderer | None = None


def _start(*arguments: object) -> None:
    global _renderer
    _renderer = Renderer(*arguments)  # type: ignore[arg-type]


def _render(task: tuple[int, np.ndarray]) -> None:
    assert _renderer is not None
    _renderer.render(*task)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with photos/, paintings/ and clips/")
    parser.add_argument("--out", type=Path, default=Path("training/work"))
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--passes", type=int, default=1, help="crops of each photo: 10 GB and 6 core minutes each")
    parser.add_argument("--depth", type=Path, default=Path("src/stylize/pocket/depth"), help="the depth network")
    parser.add_argument("--limit", type=int, help="at most so many pictures, for a trial")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "looks.txt").write_text("\n".join(NAMES) + "\n")
    np.save(args.out / "paintings.npy", paintings(args.data))
    photos = sources(args.data, args.passes)
    photos = photos[:: max(1, len(photos) // args.limit)][: args.limit] if args.limit else photos
    for name, shape in SHAPES.items():
        path = args.out / f"{name}.npy"
        np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(len(photos), *shape)).flush()
    processes = multiprocessing.get_context("spawn")
    with processes.Pool(args.workers, _start, (args.out, args.depth, args.seed)) as pool:
        for i, _ in enumerate(pool.imap_unordered(_render, enumerate(photos)), start=1):
            if i % 50 == 0 or i == len(photos):
                print(f"{i}/{len(photos)}", flush=True)


if __name__ == "__main__":
    main()
