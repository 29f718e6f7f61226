"""Finds the look whose strokes come nearest to those of each painting: what a painting teaches as a reference.

    python training/hands.py --work training/work

Real paintings have no rendition of our photos to learn from. Each gets the look whose renditions, given the painting's
palette and contrasts as results are, have the nearest Gram matrices. Only looks with strokes or lines and no cells
count: a reference says nothing about cells.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
import torch

from pictures import CROPS
from stylize.finish import match_tones, measure_tones
from stylize.frames import to_bytes, to_floats
from vgg import Vgg, distance

HANDS = (
    "oil", "van-gogh", "watercolour", "pastel", "coloured-pencil", "crayon", "charcoal", "pencil", "etching",
    "engraving", "ukiyo-e", "cartoon", "linocut", "woodcut", "ink",
)  # fmt: skip
PHOTOS, BLOCKS, WINDOW = 3, 3, slice(64, 320)
"""Photos that are compared, blocks of VGG16, and the part of the pictures that is looked at."""


def find_hands(renditions: np.ndarray, paintings: np.ndarray) -> np.ndarray:
    """The nearest look of each painting, as its place in `HANDS`.

    Args:
        renditions: uint8 `[N, len(HANDS), H, W, 3]`.
        paintings: uint8 `[P, H, W, 3]`.
    """
    vgg, found = Vgg(blocks=BLOCKS), []
    for painting in paintings:
        tones, wanted = measure_tones(painting, painting.shape[0]), vgg.grams(painting[WINDOW, WINDOW])
        apart = [
            [
                distance(vgg.grams(to_bytes(match_tones(to_floats(one), tones)[0])[WINDOW, WINDOW]), wanted)
                for one in photo
            ]
            for photo in renditions
        ]
        found.append(int(np.mean(apart, 0).argmin()))
    return np.array(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("training/work"))
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    looks = (args.work / "looks.txt").read_text().split()
    pictures, paintings = (np.load(args.work / f"{name}.npy", mmap_mode="r") for name in ("pictures", "paintings"))
    photos = np.linspace(0, len(pictures) // 2, PHOTOS).astype(int)
    renditions = np.stack([pictures[photo][[looks.index(hand) for hand in HANDS]] for photo in photos])
    hands = find_hands(renditions, paintings[::CROPS])
    print(Counter(HANDS[hand] for hand in hands).most_common())
    np.save(args.work / "hands.npy", np.repeat([looks.index(HANDS[hand]) for hand in hands], CROPS))


if __name__ == "__main__":
    main()
