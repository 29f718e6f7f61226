"""How near pictures that no camera took are to the truth, on the rendered sequences of a data folder.

python benchmarks/beyond.py --data ../shared/data

For each sequence: frames rendered from frame 0 and its depth; frames whose sides were cut off, expanded; and the look
of a painted frame 0 twelve frames later. Peak signal-to-noise ratios in dB; see docs/beyond.md.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from stylize import Clip, Style, Stylizer, VideoReader, load_stylizer
from stylize.frames import Picture
from stylize.motion import motion_between, warp
from stylize.scenes.beyond import expand_clips
from stylize.scenes.camera import Camera
from stylize.scenes.canvas import Canvas
from stylize.scenes.layers import make_layers
from stylize.scenes.render import find_geometry, render

LATER = 12
Flags = np.ndarray


@dataclass(frozen=True)
class Sequence:
    """Frames of a renderer with depth, motion and poses."""

    folder: Path

    @cached_property
    def frames(self) -> list[Picture]:
        files = sorted(self.folder.glob("frame_*.png"))
        return [np.ascontiguousarray(cv2.imread(str(file))[..., ::-1]) for file in files]

    @cached_property
    def depth(self) -> np.ndarray:
        distance = np.load(self.folder / "depth.npz")["depth"].astype(np.float32)
        inverse = np.where(np.isfinite(distance), 1 / np.maximum(distance, 1e-3), 1e-4)
        return inverse.clip(1e-4, None).astype(np.float32)

    @cached_property
    def flow(self) -> dict[str, np.ndarray]:
        stored = np.load(self.folder / "flow.npz")
        return {name: stored[name] for name in stored.files}

    @cached_property
    def meta(self) -> dict[str, object]:
        return dict(json.loads((self.folder / "meta.json").read_text()))

    @property
    def moves(self) -> bool:
        """Whether its camera moves."""
        return self.meta["mode"] == "cam"

    @property
    def grid(self) -> np.ndarray:
        height, width = self.frames[0].shape[:2]
        return np.ascontiguousarray(np.mgrid[:height, :width][::-1].transpose(1, 2, 0), np.float32)

    def camera(self, t: int) -> Camera:
        poses, axes = np.array(self.meta["cam_to_world"]), np.diag([1, -1, -1])
        first, now = poses[0][:3, :3] @ axes, poses[t][:3, :3] @ axes
        height, width = self.frames[0].shape[:2]
        focal = float(self.meta["focal_px"])  # type: ignore[arg-type]
        return Camera((width, height), focal, first.T @ now, first.T @ (poses[t][:3, 3] - poses[0][:3, 3]))


def ratio(one: Picture, other: Picture, where: Flags | None = None) -> float:
    error = (one.astype(np.float64) - other) ** 2
    return float(10 * np.log10(255**2 / (error if where is None else error[where]).mean()))


def rendered(sequence: Sequence) -> str:
    """Views from frame 0, where frame 0 saw what they show; and their motion against the renderer's."""
    still = sequence.camera(0)
    layers = make_layers(sequence.frames[0], sequence.depth[0], 32)
    views = {t: render(layers, still, sequence.camera(t)) for t in (0, 1, LATER)}
    figures = []
    for t in (1, LATER):
        x, y = sequence.grid[..., 0], sequence.grid[..., 1]
        u, v, seen = still.project(sequence.camera(t).unproject(x, y, sequence.depth[t]))
        known = cv2.remap(sequence.depth[0], u, v, cv2.INTER_LINEAR, borderValue=-1)
        figures.append(ratio(views[t].picture, sequence.frames[t], np.abs(seen - known) < 0.03 * seen))
    back = find_geometry(views[1], views[0]).back
    assert back is not None
    error = np.hypot(*np.moveaxis(back.flow - sequence.flow["bwd"][0].astype(np.float32), -1, 0))
    exact = error[sequence.flow["occ_bwd"][0] == 0].mean()
    return f"{figures[0]:.1f} dB after 1 frame, {figures[1]:.1f} after {LATER}; motion off by {exact:.3f} pixels"


def expanded(sequence: Sequence) -> str:
    """The middle three fifths, expanded: where other frames showed what was cut off."""
    frames = sequence.frames
    height, width = frames[0].shape[:2]
    canvas = Canvas((width, height), width // 5, 0, (width - 2 * (width // 5), height))
    clips = [
        Clip(np.ascontiguousarray(frame[canvas.inside])[None], (Fraction(i),), (Fraction(1),), i)
        for i, frame in enumerate(frames)
    ]
    ours = [clip.frames[0] for clip in expand_clips(clips, canvas)]
    back, ahead = shown_elsewhere(sequence, canvas, forward=True), shown_elsewhere(sequence, canvas, forward=False)
    figures = []
    for i, frame in enumerate(frames):
        where = (back[i] | ahead[i]) & ~canvas.known
        if where.sum() > 200:
            laid = np.where(canvas.known[..., None], frame, 0).astype(np.uint8)
            painted = cv2.inpaint(laid, (~canvas.known).astype(np.uint8), 5, cv2.INPAINT_TELEA)
            figures.append((ratio(ours[i], frame, where), ratio(np.asarray(painted), frame, where)))
    mine, theirs = np.mean(figures, 0)
    return f"{mine:.1f} dB, {theirs:.1f} by inpainting"


def shown_elsewhere(sequence: Sequence, canvas: Canvas, *, forward: bool) -> list[Flags]:
    """What earlier (or later) frames showed of each frame's canvas, by the renderer's own motion."""
    count, shown = len(sequence.frames), canvas.known.astype(np.float32)
    found = [canvas.known] * count
    for i in range(1, count) if forward else range(count - 2, -1, -1):
        name, number = ("bwd", i - 1) if forward else ("fwd", i)
        to = sequence.grid + sequence.flow[name][number].astype(np.float32)
        carried = cv2.remap(shown, to, None, cv2.INTER_LINEAR) * (sequence.flow[f"occ_{name}"][number] == 0)
        shown = np.maximum((carried > 0.99).astype(np.float32), canvas.known)
        found[i] = shown > 0
    return found


def painted(sequence: Sequence, stylizer: Stylizer, folder: Path) -> tuple[float, ...]:
    """Frame 12 after a painted frame 0, after two painted frames, and copied along the flow: directly, step by step."""
    frames, source = sequence.frames, folder / "source"
    source.mkdir()
    for i, frame in enumerate(frames):
        Image.fromarray(frame).save(source / f"{i:03d}.png")
    for i in (0, len(frames) - 1):
        Image.fromarray(paint(frames[i])).save(folder / f"{i}.png")
    results = []
    for keys in ((0,), (0, len(frames) - 1)):
        style = Style(keyframes={Fraction(i, 25): folder / f"{i}.png" for i in keys})
        stylizer.convert(source, folder / "out.mkv", style, force=True)
        with VideoReader(folder / "out.mkv") as reader:
            results.append([frame for clip in reader.clips() for frame in clip.frames][LATER])
    stepwise = paint(frames[0]).astype(np.float32)
    for i in range(1, LATER + 1):
        stepwise = warp(stepwise, motion_between(frames[i - 1], frames[i]).flow)
    direct = warp(paint(frames[0]).astype(np.float32), motion_between(frames[0], frames[LATER]).flow, cubic=True)
    truth = paint(frames[LATER])
    return tuple(ratio(one, truth) for one in (*results, direct.clip(0, 255), stepwise))


def paint(picture: Picture) -> Picture:
    """A painter who does the same to every frame: flat colours of another hue, and dark lines."""
    flat = cv2.pyrMeanShiftFiltering(picture, 12, 30)
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    lines = cv2.adaptiveThreshold(grey, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, 9, 6)
    hsv = cv2.cvtColor(flat, cv2.COLOR_RGB2HSV).astype(np.int32)
    hsv[..., 0], hsv[..., 1] = (hsv[..., 0] + 40) % 180, np.clip(hsv[..., 1] * 1.6, 0, 255)
    colours = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB)
    return np.where(lines[..., None] == 0, (20, 10, 40), colours).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with depth/sequences")
    args = parser.parse_args()
    sequences = [Sequence(folder) for folder in sorted((args.data / "depth" / "sequences").iterdir())]
    stylizer, copies = load_stylizer("pocket"), []
    words = "{:.1f} dB, {:.1f} with two, {:.1f} copied, {:.1f} step by step"
    for sequence in sequences:
        print(f"{sequence.folder.name}, {sequence.meta['motion']}", flush=True)
        if sequence.moves:
            print(f"  rendered  {rendered(sequence)}\n  expanded  {expanded(sequence)}", flush=True)
        with tempfile.TemporaryDirectory() as name:
            copies.append(painted(sequence, stylizer, Path(name)))
        print(f"  painted   {words.format(*copies[-1])}", flush=True)
    print(f"painted, mean: {words.format(*np.mean(copies, 0))}")


if __name__ == "__main__":
    main()
