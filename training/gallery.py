"""The pictures of the documentation: every look on three clips that were not trained on.

python training/gallery.py --clips DATA/clips --out docs/looks.jpg
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

import prompts
from stylize import Style, VideoReader, load_stylizer

CLIPS = {"cockatoo.mp4": 12.0, "city-night-CC0.mpg": 2.0, "bigbuckbunny.mp4": 2.4}
TILE = (320, 180)
COLUMNS = 6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("docs/looks.jpg"))
    parser.add_argument("--frames", type=int, default=2, help="how far into the clip; the last frame is shown")
    parser.add_argument("--strength", type=float)
    parser.add_argument("--steps", type=int)
    args = parser.parse_args()
    stylizer, tiles = load_stylizer(), []
    clips = {}
    for name, start in CLIPS.items():
        with VideoReader(args.clips / name, start=start, size=(512, 288)) as reader:
            clips[name] = next(reader.clips(args.frames))
    names = list(prompts.LOOKS)
    for i, look in enumerate(names):
        clip = list(clips.values())[i // COLUMNS % len(clips)]
        style = Style(prompt=prompts.LOOKS[look][0], strength=args.strength, steps=args.steps)
        picture = list(stylizer.stream([clip], style))[-1].frames[-1]
        tile = cv2.resize(picture, TILE, interpolation=cv2.INTER_AREA)
        for colour, width in ((0, 3), (255, 1)):
            cv2.putText(tile, look, (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (colour,) * 3, width, cv2.LINE_AA)
        tiles.append(tile)
    sheet = np.vstack([np.hstack(tiles[i : i + COLUMNS]) for i in range(0, len(tiles), COLUMNS)])
    cv2.imwrite(str(args.out), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main()
