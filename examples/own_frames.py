"""Frames from anywhere: no file goes in; clips come out one by one, here into a GIF.

python examples/own_frames.py [--prompt "ink drawing"] [--out out/own-frames.gif]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import boxes
from PIL import Image

from stylize import Clip, Style, load_stylizer

SIZE, COUNT, RATE = (256, 144), 12, Fraction(12)


def clips() -> Iterator[Clip]:
    """One frame at a time, each with the exact time at which it is shown and for how long."""
    for i in range(COUNT):
        picture = boxes.frame(0.05 * i - 0.3, SIZE).storyboard
        yield Clip(picture[None], (i / RATE,), (1 / RATE,), index=i)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompt", default="ink drawing")
    parser.add_argument("--out", type=Path, default=Path("out/own-frames.gif"))
    args = parser.parse_args()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    stylizer = load_stylizer("pocket")
    pictures = [
        Image.fromarray(picture)
        for clip in stylizer.stream(clips(), Style(prompt=args.prompt, footage="storyboard"))
        for picture in clip.frames
    ]
    pictures[0].save(args.out, save_all=True, append_images=pictures[1:], duration=float(1000 / RATE), loop=0)
    print(f"{len(pictures)} frames in {args.out}")


if __name__ == "__main__":
    main()
