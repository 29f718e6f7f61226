"""A small picture of every look of the built-in model, for the page's gallery.

python training/thumbnails.py [--source examples/cockatoo.mp4] [--at 1.6]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2

from stylize import Style, VideoReader, load_stylizer
from stylize.page.page import LOOKS

SIZE, SIDE, MIDDLE = (512, 288), 128, 0.66
"""Of the frame and of the square cut out of it, and where its middle is across."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, default=Path("examples/cockatoo.mp4"))
    parser.add_argument("--at", type=float, default=1.6, help="second of the frame")
    args = parser.parse_args()
    stylizer = load_stylizer()
    with VideoReader(args.source, start=args.at, size=SIZE) as video:
        clip = next(video.clips(1))
    LOOKS.mkdir(exist_ok=True)
    assert stylizer.networks.vocabulary is not None
    for name, phrases in stylizer.networks.vocabulary.looks.items():
        (styled,) = stylizer.stream([clip], Style(prompt=phrases[0]))
        width, height = SIZE
        left = round(MIDDLE * width - height / 2)
        square = styled.frames[0][:, min(left, width - height) :][:, :height]
        small = cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(LOOKS / f"{name}.jpg"), small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])


if __name__ == "__main__":
    main()
