"""A mock-up: boxes on a table, as a town would stand there, and a camera that goes around them.

python examples/boxes.py --out out/boxes [--frames 48] [--size 384x224]

Writes `storyboard/` (cardboard, tape, stickers), `render/` (grey, no textures) and `depth/` (distances as EXR where
OpenEXR is installed, 16-bit PNG, bright where it is near, where it is not), one picture a frame, for `--footage` and
`--depth-from`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from stylize.style import parse_size

LIGHT = np.array([0.45, 0.8, 0.35]) / np.linalg.norm([0.45, 0.8, 0.35])
CARDBOARD = np.array([0.72, 0.55, 0.36])
STICKERS = np.array([[0.85, 0.2, 0.2], [0.2, 0.4, 0.85], [0.95, 0.85, 0.2], [0.2, 0.65, 0.35], [0.9, 0.9, 0.9]])
BOXES = [
    ((-1.9, 0, -1.0), (-1.1, 1.5, -0.2)), ((-0.9, 0, -1.3), (-0.2, 2.3, -0.5)), ((0.1, 0, -0.9), (0.9, 1.1, -0.1)),
    ((1.2, 0, -1.2), (1.9, 1.9, -0.4)), ((-1.5, 0, 0.4), (-0.7, 0.7, 1.1)), ((-0.2, 0, 0.5), (0.5, 0.5, 1.2)),
    ((1.0, 0, 0.3), (1.6, 0.9, 0.9)),
]  # fmt: skip
"""Two corners of each, in metres; y is up, the table is y = 0."""


class Frame(NamedTuple):
    """One moment, three ways."""

    storyboard: np.ndarray
    render: np.ndarray
    distance: np.ndarray
    """Along the camera's axis, in metres, float32; infinite where nothing is."""


def rays(turn: float, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The camera's place, the direction of each pixel `[H, W, 3]`, and the camera's axis; `turn` in radians."""
    eye = np.array([4.6 * np.sin(turn), 2.1, 4.6 * np.cos(turn)])
    ahead = np.array([0, 0.65, 0]) - eye
    ahead /= np.linalg.norm(ahead)
    right = np.cross(ahead, [0, 1, 0])
    right /= np.linalg.norm(right)
    up = np.cross(right, ahead)
    width, height = size
    x, y = np.meshgrid((np.arange(width) + 0.5) / width - 0.5, 0.5 - (np.arange(height) + 0.5) / height)
    way = ahead + x[..., None] * right + y[..., None] * up * height / width
    return eye, way, ahead


def hit(eye: np.ndarray, way: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How far each ray goes, the surface's normal there, and which surface: -1 none, 0 the table, then the boxes."""
    with np.errstate(divide="ignore", invalid="ignore"):
        far = np.where(way[..., 1] < -1e-6, -eye[1] / way[..., 1], np.inf)
        far = np.where(far < 9, far, np.inf)
        which = np.where(np.isfinite(far), 0, -1)
        normal = np.broadcast_to(np.array([0.0, 1.0, 0.0]), way.shape)
        for number, corners in enumerate(BOXES, start=1):
            near_side, far_side = ((np.array(corner) - eye) / way for corner in corners)
            enters, leaves = np.minimum(near_side, far_side), np.maximum(near_side, far_side)
            reach = enters.max(-1)
            seen = (reach <= leaves.min(-1)) & (reach > 0) & (reach < far)
            side = np.eye(3)[enters.argmax(-1)] * -np.sign(way)
            far, which = np.where(seen, reach, far), np.where(seen, number, which)
            normal = np.where(seen[..., None], side, normal)
    return far, normal, which


def frame(turn: float, size: tuple[int, int]) -> Frame:
    """The scene from one side; `turn` in radians."""
    eye, way, axis = rays(turn, size)
    far, normal, which = hit(eye, way)
    point = eye + np.where(np.isfinite(far), far, 0)[..., None] * way
    light = 0.35 + 0.65 * np.clip(normal @ LIGHT, 0, 1)
    light *= np.where(shadowed(point + 1e-3 * normal), 0.6, 1)
    sky = (which < 0)[..., None]
    grey = np.where(sky, 0.86, 0.78 * light[..., None] * np.ones(3))
    colour = np.where(sky, [0.8, 0.84, 0.88], cardboard(point, normal, which) * light[..., None])
    distance = np.where(np.isfinite(far), far * (way @ axis), np.inf).astype(np.float32)
    return Frame(*((255 * picture.clip(0, 1)).astype(np.uint8) for picture in (colour, grey)), distance)


def shadowed(point: np.ndarray) -> np.ndarray:
    """Whether a box stands between a point and the light."""
    dark = np.zeros(point.shape[:2], bool)
    for corners in BOXES:
        one, other = ((np.array(corner) - point) / LIGHT for corner in corners)
        reach, end = np.minimum(one, other).max(-1), np.maximum(one, other).min(-1)
        dark |= (reach <= end) & (end > 0)
    return dark


def cardboard(point: np.ndarray, normal: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Corrugated boxes with tape and stickers on a wooden table."""
    across = np.where(np.abs(normal[..., 0]) > 0.5, point[..., 2], point[..., 0])
    wood = np.array([0.5, 0.42, 0.36]) * (1 + 0.08 * np.sin(18 * point[..., 2:] + 2 * np.sin(3 * point[..., :1])))
    board = CARDBOARD * (1 + 0.07 * np.sin(70 * across))[..., None]
    board = np.where((np.abs(across % 0.7 - 0.35) < 0.05)[..., None], [0.82, 0.74, 0.6], board)  # tape
    cell = np.floor(np.stack([across * 3.1, point[..., 1] * 3.1], -1)).astype(int)
    drawn = (cell[..., 0] * 7 + cell[..., 1] * 13 + which * 5) % 11
    middle = np.abs(np.stack([across, point[..., 1]], -1) * 3.1 - cell - 0.5).max(-1) < 0.22
    sticker = (middle & (drawn < len(STICKERS)))[..., None]
    board = np.where(sticker, STICKERS[np.minimum(drawn, len(STICKERS) - 1)], board)
    return np.where((which == 0)[..., None], wood, board)


def write(folder: Path, count: int, size: tuple[int, int]) -> None:
    """All frames, three folders of them."""
    for name in ("storyboard", "render", "depth"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for i in range(count):
        made = frame(np.radians(-22 + 44 * i / max(count - 1, 1)), size)
        for name, picture in (("storyboard", made.storyboard), ("render", made.render)):
            cv2.imwrite(str(folder / name / f"{i + 1:05d}.png"), picture[..., ::-1])
        write_depth(folder / "depth" / f"{i + 1:05d}", made.distance)


def write_depth(path: Path, distance: np.ndarray) -> None:
    """Distances as a renderer writes them."""
    try:
        import OpenEXR
    except ImportError:
        cv2.imwrite(f"{path}.png", (65535 * np.minimum(1, 1 / distance)).astype(np.uint16))
        return
    far = np.where(np.isfinite(distance), distance, 1e10).astype(np.float32)
    OpenEXR.File({"type": OpenEXR.scanlineimage}, {"Z": far}).write(f"{path}.exr")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/boxes"))
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--size", type=parse_size, default=(384, 224))
    args = parser.parse_args()
    write(args.out, args.frames, args.size)
    print(f"{args.frames} frames in {args.out}: storyboard, render, depth")


if __name__ == "__main__":
    main()
