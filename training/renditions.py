"""Makes the training pairs: every photo in every look, as one memory-mapped array.

    python training/renditions.py --data DATA --out training/work --part 0 --parts 2

`renditions-P.npy` is uint8 `[N, L + 1, 384, 384, 3]`: the photo, then its looks in the order of `looks.txt`.
`photos-P.txt` names the photos. Every twelfth photo is held out for the evaluation and never trained on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

import looks

SIDE = 384
HELD_OUT_EVERY = 12


def square(path: Path, rng: np.random.Generator) -> np.ndarray:
    """A crop of 384 x 384 from the photo at a random scale and place."""
    image = cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    short = min(image.shape[:2])
    scale = rng.uniform(SIDE, max(SIDE, min(short, 460)) + 1) / short
    size = max(SIDE, round(image.shape[1] * scale)), max(SIDE, round(image.shape[0] * scale))
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    top, left = (int(rng.integers(0, n - SIDE + 1)) for n in image.shape[:2])
    image = image[top : top + SIDE, left : left + SIDE]
    return np.ascontiguousarray(image[:, ::-1] if rng.random() < 0.5 else image)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with photos/ and paintings/")
    parser.add_argument("--out", type=Path, default=Path("training/work"))
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--parts", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    args.out.mkdir(parents=True, exist_ok=True)

    renderers = looks.DRAWN_LOOKS | looks.painted_looks(args.data / "paintings")
    (args.out / "looks.txt").write_text("\n".join([looks.PHOTO, *renderers]) + "\n")
    photos = sorted((args.data / "photos").iterdir())
    photos = [p for i, p in enumerate(photos) if i % HELD_OUT_EVERY][args.part :: args.parts]
    (args.out / f"photos-{args.seed}-{args.part}.txt").write_text("\n".join(p.name for p in photos) + "\n")

    shape = (len(photos), len(renderers) + 1, SIDE, SIDE, 3)
    name = args.out / f"renditions-{args.seed}-{args.part}.npy"
    array = np.lib.format.open_memmap(name, mode="w+", dtype=np.uint8, shape=shape)
    for i, path in enumerate(photos):
        photo = square(path, np.random.default_rng([args.seed, args.part, i]))
        array[i, 0] = photo
        for j, render in enumerate(renderers.values(), start=1):
            array[i, j] = render(photo)
        if i % 20 == 0:
            print(f"{i + 1}/{len(photos)}", flush=True)
    array.flush()


if __name__ == "__main__":
    main()
