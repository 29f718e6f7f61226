"""The pictures of docs/modes.md: each way to begin, source above result.

python examples/five_modes.py [--out docs/modes] [--size 384x216] [--only mask]
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import boxes
import numpy as np

from stylize import Style, Stylizer, VideoReader, load_stylizer
from stylize.runs.sheets import lay_out, write_sheet
from stylize.style import parse_size

HERE = Path(__file__).parent
CLIP, PAINTING, LORA = HERE / "cockatoo.mp4", HERE / "church.jpg", HERE / "riso.safetensors"
COUNT, SHOWN = 16, (3, 9, 15)
"""Frames that are made, and those that are shown."""
Sheet = dict[str, np.ndarray]
"""Pictures `[T, H, W, 3]` by their captions."""


def styled(
    stylizer: Stylizer, source: str | Path, size: tuple[int, int], style: Style
) -> tuple[np.ndarray, np.ndarray]:
    """The first frames of a source, as they are and restyled."""
    fps = None if Path(source).is_file() else Fraction(24)  # a video has times of its own
    with VideoReader(source, size=size, fps=fps) as video:
        frames = next(video.clips(COUNT)).frames
    with VideoReader(source, size=size, fps=fps) as video:
        made = [clip.frames for clip in itertools.islice(stylizer.stream(video, style), COUNT)]
    return frames[list(SHOWN)], np.concatenate(made)[list(SHOWN)]


def stylization(stylizer: Stylizer, size: tuple[int, int], folder: Path) -> Sheet:
    source, prompt = styled(stylizer, CLIP, size, Style(prompt="woodcut print"))
    _, picture = styled(stylizer, CLIP, size, Style(reference=PAINTING))
    _, both = styled(stylizer, CLIP, size, Style(prompt="oil painting", reference=PAINTING, style_weight=0.7))
    return {
        "source": source, '--prompt "woodcut print"': prompt, "--reference church.jpg": picture,
        '--prompt "oil painting" --reference church.jpg --style-weight 0.7': both,
    }  # fmt: skip


def storyboard(stylizer: Stylizer, size: tuple[int, int], folder: Path) -> Sheet:
    source, plain = styled(stylizer, folder / "storyboard", size, Style(prompt="oil painting, autumn"))
    _, board = styled(stylizer, folder / "storyboard", size, Style(prompt="oil painting, autumn", footage="storyboard"))
    _, print_ = styled(stylizer, folder / "storyboard", size, Style(prompt="ukiyo-e print", footage="storyboard"))
    words = '--prompt "oil painting, autumn"'
    return {
        "source": source, words: plain, f"{words} --footage storyboard": board,
        '--prompt "ukiyo-e print" --footage storyboard': print_,
    }  # fmt: skip


def mask(stylizer: Stylizer, size: tuple[int, int], folder: Path) -> Sheet:
    look = "pencil sketch"
    source, subject = styled(stylizer, CLIP, size, Style(prompt=look, mask_from="motion"))
    _, ground = styled(stylizer, CLIP, size, Style(prompt=look, mask_from="motion", mask_part="background"))
    words = f'--prompt "{look}" --mask-from motion'
    return {"source": source, words: subject, f"{words} --mask-part background": ground}


def render(stylizer: Stylizer, size: tuple[int, int], folder: Path) -> Sheet:
    given = {"footage": "render", "depth_from": folder / "depth"}
    source, ukiyo = styled(stylizer, folder / "render", size, Style(prompt="ukiyo-e print, autumn", **given))
    _, ink = styled(stylizer, folder / "render", size, Style(prompt="van gogh painting", **given))
    words = '--footage render --depth-from "depth/*.exr"'
    return {
        "source": source,
        f'--prompt "ukiyo-e print, autumn" {words}': ukiyo,
        f'... "van gogh painting" {words}': ink,
    }


def customization(stylizer: Stylizer, size: tuple[int, int], folder: Path) -> Sheet:
    source, whole = styled(load_stylizer("pocket", loras={LORA: 1.0}), CLIP, size, Style(prompt="photo"))
    _, half = styled(load_stylizer("pocket", loras={LORA: 0.5}), CLIP, size, Style(prompt="photo"))
    return {"source": source, "--lora riso.safetensors": whole, "--lora riso.safetensors:0.5": half}


MODES: dict[str, Callable[[Stylizer, tuple[int, int], Path], Sheet]] = {
    "stylization": stylization, "storyboard": storyboard, "mask": mask, "render": render,
    "customization": customization,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/modes"))
    parser.add_argument("--size", type=parse_size, default=(384, 216))
    parser.add_argument("--only", choices=list(MODES), nargs="*", default=list(MODES))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    stylizer = load_stylizer("pocket")
    with tempfile.TemporaryDirectory() as name:
        boxes.write(Path(name), COUNT, args.size)
        for mode in args.only:
            sheet = MODES[mode](stylizer, args.size, Path(name))
            write_sheet(args.out / f"{mode}.jpg", lay_out(list(sheet.values()), list(sheet)))
            print(args.out / f"{mode}.jpg")


if __name__ == "__main__":
    main()
