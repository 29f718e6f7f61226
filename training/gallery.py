"""The pictures of the documentation: looks on four clips, and clips after reference pictures.

python training/gallery.py --data DATA --out docs/looks.jpg
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import cv2
import numpy as np

import prompts
from pictures import read, split
from sheet import CLIPS, label, read_frames, save
from stylize import Style, load_stylizer

MORE_CLIPS = {"walk-sports2d.mp4": 2.0}
"""Some of its frames were trained on; the three of `CLIPS` were not seen."""
REFERENCES = 3
TILE = (224, 126)


def references(folder: Path) -> list[Path]:
    """Paintings that were not trained on."""
    return split(folder)[1][:REFERENCES]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("docs/looks.jpg"))
    parser.add_argument("--frames", type=int, default=2, help="how far into the clip; the last frame is shown")
    args = parser.parse_args()
    stylizer = load_stylizer()
    clips = [read_frames(args.data / "clips", n, s, args.frames) for n, s in (CLIPS | MORE_CLIPS).items()]
    rows = [[label(clip.frames[-1], "source", TILE) for clip in clips]]
    for words in prompts.LOOKS.values():
        results = [list(stylizer.stream([clip], Style(prompt=words[0])))[-1].frames[-1] for clip in clips]
        rows.append([label(picture, words[0], TILE) for picture in results])
    with tempfile.TemporaryDirectory() as folder:
        for i, painting in enumerate(references(args.data / "paintings")):
            picture, path = read(painting), Path(folder) / f"{i}.png"
            cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
            results = [list(stylizer.stream([clip], Style(reference=path)))[-1].frames[-1] for clip in clips]
            for tile in results:  # the reference itself in the corner
                small = cv2.resize(picture, (128, 128), interpolation=cv2.INTER_AREA)
                tile[-128:, -128:] = small
            rows.append([label(tile, "after the picture in the corner", TILE) for tile in results])
    half = (len(rows) + 1) // 2
    blank = [np.full_like(rows[0][0], 255)] * len(clips)
    columns = rows[:half], [*rows[half:], blank][:half]
    save(np.hstack([np.vstack([np.hstack(row) for row in column]) for column in columns]), args.out)


if __name__ == "__main__":
    main()
