"""Restyle the example clip and put source and result side by side: what `make demo` runs.

python examples/demo.py [--prompt "woodcut"] [--source examples/cockatoo.mp4]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

import stylize
from stylize.cli.console import progress_bar

HERE = Path(__file__).parent
ROWS = 3


def pictures(path: Path, count: int) -> np.ndarray:
    """`count` frames spread over the video, uint8 RGB `[count, H, W, 3]`."""
    with stylize.VideoReader(path) as reader:
        frames = np.concatenate([clip.frames for clip in reader.clips()])
    return frames[np.linspace(0, len(frames) - 1, count).round().astype(int)]


def before_after(source: Path, styled: Path, output: Path) -> None:
    """Writes a sheet: the source's frames on the left, the same frames restyled on the right."""
    pairs = zip(pictures(source, ROWS), pictures(styled, ROWS), strict=True)
    sheet = np.vstack([np.hstack(pair) for pair in pairs])
    cv2.imwrite(str(output), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, default=HERE / "cockatoo.mp4")
    parser.add_argument("--prompt", default="starry night painting")
    parser.add_argument("--end", type=float, help="second to stop at")
    parser.add_argument("--out", type=Path, default=HERE.parent / "out")
    args = parser.parse_args()
    args.out.mkdir(exist_ok=True)
    video, sheet = args.out / "demo.mp4", args.out / "before-after.png"

    stylizer = stylize.load_stylizer("pocket")
    style = stylize.Style(prompt=args.prompt)
    with progress_bar() as progress:
        report = stylizer.convert(args.source, video, style, end=args.end, force=True, progress=progress)
    before_after(args.source, video, sheet)

    print(f"{args.prompt}: {report.frames} frames in {report.seconds:.0f} s, with the source's timing and sound")
    print(f"  video    {video}")
    print(f"  picture  {sheet}")


if __name__ == "__main__":
    main()
