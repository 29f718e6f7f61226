"""The pictures of docs/beyond.md: a still in motion, a larger canvas, a painted frame, control pictures of one's own.

python examples/beyond.py [--out docs/modes] [--size 384x216] [--only expand]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import boxes
import cv2
import numpy as np
from PIL import Image

from stylize import Style, Stylizer, VideoReader, load_stylizer
from stylize.frames import Picture, resize
from stylize.runs.expand import CanvasJob
from stylize.runs.generate import SceneJob
from stylize.runs.jobs import Job
from stylize.runs.sheets import lay_out, write_sheet
from stylize.scenes import Shot
from stylize.style import parse_size
from stylize.style.camera import parse_camera

HERE = Path(__file__).parent
CLIP, STILL = HERE / "cockatoo.mp4", HERE / "church.jpg"
SHOWN = (0, 11, 23)
Sheet = dict[str, list[Picture]]
"""Pictures by their captions."""


def make(stylizer: Stylizer, job: Job, style: Style | None) -> list[Picture]:
    """Three frames of what a job makes."""
    job.run(stylizer, style)
    with VideoReader(job.output) as reader:
        frames = [frame for clip in reader.clips() for frame in clip.frames]
    return [frames[i] for i in SHOWN]


def read(size: tuple[int, int]) -> list[Picture]:
    """The same frames of the clip."""
    with VideoReader(CLIP, size=size) as reader:
        frames = next(reader.clips(SHOWN[-1] + 1)).frames
    return [frames[i] for i in SHOWN]


def generate(stylizer: Stylizer, size: tuple[int, int], folder: Path) -> Sheet:
    sheet: Sheet = {}
    for text, look in (("push in + handheld", ""), ("orbit left", "stained glass"), ("dolly zoom", "pencil sketch")):
        shot = Shot(parse_camera(text), 1.0, Fraction(24))
        job = SceneJob(source=str(STILL), output=folder / f"{text}.mkv", shot=shot, size=size)
        words = f'--image church.jpg --camera "{text}"' + (f' --prompt "{look}"' if look else "")
        sheet[words] = make(stylizer, job, Style(look, size=size) if look else None)
    return sheet


def expand(stylizer: Stylizer, size: tuple[int, int], folder: Path) -> Sheet:
    sheet: Sheet = {}
    for look in ("", "woodcut print"):
        job = CanvasJob(source=str(write_clip(folder, size)), output=folder / "wide.mkv", canvas="21:9", force=True)
        words = "--canvas 21:9" + (f' --prompt "{look}"' if look else "")
        sheet[words] = make(stylizer, job, Style(look) if look else None)
    return sheet


def keyframe(stylizer: Stylizer, size: tuple[int, int], folder: Path) -> Sheet:
    source = read(size)
    painted = paint(source[0])
    Image.fromarray(painted).save(folder / "painted.png")
    job = Job(str(write_clip(folder, size)), folder / "keyframe.mkv")
    style = Style(keyframes={Fraction(0): folder / "painted.png"})
    return {"source": source, "--keyframe 0:painted.png": make(stylizer, job, style)}


def control(stylizer: Stylizer, size: tuple[int, int], folder: Path) -> Sheet:
    boxes.write(folder, SHOWN[-1] + 1, size)
    pictures, storyboard = folder / "own", sorted((folder / "storyboard").iterdir())
    pictures.mkdir()
    for i in range(SHOWN[-1] + 1):
        distance = boxes.frame(0.6 * (i / SHOWN[-1] - 0.5), size).distance
        near = np.where(np.isfinite(distance), 1 / np.maximum(distance, 0.1), 0)
        grey = (255 * np.clip(near / np.percentile(near, 98), 0, 1)).astype(np.uint8)
        Image.fromarray(grey).save(pictures / f"{i:03d}.png")
    own = sorted(pictures.iterdir())
    style = Style("oil painting, autumn", footage="storyboard", control_from={"depth": pictures})
    job = Job(str(folder / "storyboard"), folder / "town.mkv", fps=Fraction(24))
    return {
        "source": [np.asarray(Image.open(storyboard[i])) for i in SHOWN],
        "own/*.png": [np.asarray(Image.open(own[i]).convert("RGB")) for i in SHOWN],
        "--control-from depth:own/": make(stylizer, job, style),
    }


def write_clip(folder: Path, size: tuple[int, int]) -> Path:
    """A second of the clip as pictures, so that it is quick to make again."""
    pictures = folder / "clip"
    if not pictures.exists():
        pictures.mkdir()
        with VideoReader(CLIP, size=size) as reader:
            for i, frame in enumerate(next(reader.clips(SHOWN[-1] + 1)).frames):
                Image.fromarray(frame).save(pictures / f"{i:03d}.png")
    return pictures


def paint(picture: Picture) -> Picture:
    """What a person might paint over a frame: flat colours, dark lines, a red sky; here a few filters do."""
    flat = cv2.pyrMeanShiftFiltering(picture, 12, 40)
    hsv = cv2.cvtColor(flat, cv2.COLOR_RGB2HSV).astype(np.int32)
    hsv[..., 0] = (hsv[..., 0] + 115) % 180
    hsv[..., 1] = np.clip(hsv[..., 1] * 1.7 + 30, 0, 255)
    colours = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB)
    grey = cv2.medianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), 5)
    lines = cv2.adaptiveThreshold(grey, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, 9, 4)
    return resize(np.where(lines[..., None] == 0, 30, colours).astype(np.uint8), picture.shape[1::-1])


WAYS: dict[str, Callable[[Stylizer, tuple[int, int], Path], Sheet]] = {
    "generate": generate, "expand": expand, "keyframe": keyframe, "control": control,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/modes"))
    parser.add_argument("--size", type=parse_size, default=(384, 216))
    parser.add_argument("--only", choices=list(WAYS), nargs="*", default=list(WAYS))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    stylizer = load_stylizer("pocket")
    for way in args.only:
        with tempfile.TemporaryDirectory() as name:
            sheet = WAYS[way](stylizer, args.size, Path(name))
        write_sheet(args.out / f"{way}.jpg", lay_out(list(sheet.values()), list(sheet)))
        print(args.out / f"{way}.jpg")


if __name__ == "__main__":
    main()
