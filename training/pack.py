"""Packs the pictures that the training needs, as small as it uses them, to travel to a machine with a GPU.

    python training/pack.py --data DATA --out pack

`renditions.py --data pack` then makes the same of them as of the whole data; frames of the clips come as pictures.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from renditions import ROOM, SIDE, frame_pairs, read


def shrunk(picture: np.ndarray, short: int) -> np.ndarray:
    """With a shorter side of at most `short`."""
    scale = short / min(picture.shape[:2])
    return picture if scale >= 1 else cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with photos/, paintings/ and clips/")
    parser.add_argument("--out", type=Path, default=Path("pack"))
    parser.add_argument("--quality", type=int, default=85, help="of the JPEG files")
    args = parser.parse_args()

    def write(picture: np.ndarray, folder: str, name: str) -> None:
        (args.out / folder).mkdir(parents=True, exist_ok=True)
        path = args.out / folder / f"{name}.jpg"  # names are kept: they say what is held out
        cv2.imwrite(str(path), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, args.quality])

    for folder in ("photos", "paintings"):
        for path in sorted((args.data / folder).iterdir()):
            write(shrunk(read(path), int(ROOM * SIDE) + 1), folder, path.stem)
    for i, frame in enumerate(frame_pairs(args.data)):
        write(frame, "frames", f"{i:04}")
    size = sum(p.stat().st_size for p in args.out.rglob("*.jpg"))
    print(f"{args.out}: {size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
