"""The clips of the temporal benchmark: real ones, rendered ones, and synthetic ones for the hard cases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from stylize import VideoReader
from stylize.motion import CutDetector

EXAMPLE = Path(__file__).parent.parent / "examples" / "cockatoo.mp4"
STARTS = {"bigbuckbunny": 2.0, "city-night-CC0": 1.0, "rocket-launch-nasa": 3.0, "walk-sports2d": 1.0}
"""Seconds to skip, where a clip begins with a title or stands still."""


@dataclass(frozen=True)
class Scene:
    name: str
    kind: str
    """"real", "rendered" or "synthetic"."""
    frames: np.ndarray
    """uint8 RGB `[T, H, W, 3]`."""
    moves: bool = True
    cuts: bool = False
    """There is a cut in it, across which nothing can be steady: left out of the means."""


def scenes(data: Path | None, frames: int, size: tuple[int, int]) -> Iterator[Scene]:
    """All clips, `frames` long where the material is."""
    if data is None:
        yield Scene("cockatoo", "real", _video(EXAMPLE, frames, size, 0))
    else:
        for path in sorted((data / "clips").iterdir()):
            pictures = _video(path, frames, size, STARTS.get(path.stem, 0))
            yield Scene(path.stem, "real", pictures, cuts=has_cut(pictures))
        for folder in (data / "depth" / "sequences").glob("seq[047]"):
            pictures = [_fit(_read(p), size) for p in sorted(folder.glob("frame_*.png"))[:frames]]
            yield Scene(f"rendered-{folder.name}", "rendered", np.stack(pictures))
    texture = landscape(3 * size[0], 2 * size[1])
    for make in SYNTHETIC:
        yield make(texture, frames, size)


def has_cut(pictures: np.ndarray) -> bool:
    """Whether a shot ends within the pictures."""
    detector, starts = CutDetector(), 0
    for picture in pictures:
        starts_shot, detector = detector.see(picture)
        starts += starts_shot
    return starts > 1


def landscape(width: int, height: int) -> np.ndarray:
    """A made-up large picture with texture at all scales and hard edges: clouds of noise and coloured polygons."""
    rng = np.random.default_rng(7)
    picture = np.full((height, width, 3), 128, np.float32)
    for step in (2, 4, 8, 16, 32, 64):
        coarse = rng.standard_normal((height // step + 2, width // step + 2, 3)).astype(np.float32)
        picture += 5 * step**0.4 * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(40):
        centre, points = rng.uniform((0, 0), (width, height)), rng.normal(0, height / 14, (5, 2))
        shape = cv2.convexHull((centre + points).astype(np.int32))
        mask = cv2.fillConvexPoly(np.zeros((height, width), np.float32), shape, 1.0, cv2.LINE_AA)[..., None]
        picture += mask * (0.8 * (rng.uniform(20, 235, 3).astype(np.float32) - picture))
    return picture.clip(0, 255).astype(np.uint8)


def still(texture: np.ndarray, frames: int, size: tuple[int, int]) -> Scene:
    """A camera on a tripod: nothing but sensor noise."""
    rng, picture = np.random.default_rng(0), _window(texture, 0, 0, size)
    noise = rng.normal(0, 1.5, (frames, *picture.shape))
    return Scene("still", "synthetic", np.clip(picture + noise, 0, 255).astype(np.uint8), moves=False)


def fast_pan(texture: np.ndarray, frames: int, size: tuple[int, int]) -> Scene:
    """12 pixels a frame."""
    windows = [_window(texture, min(12 * i, texture.shape[1] - size[0]), 0, size) for i in range(frames)]
    return Scene("fast-pan", "synthetic", np.stack(windows))


def occlusion(texture: np.ndarray, frames: int, size: tuple[int, int]) -> Scene:
    """A patch of another place crosses the picture, hiding and showing what is behind it."""
    side = size[1] // 2
    patch = _window(texture, texture.shape[1] - side, texture.shape[0] - side, (side, side))
    pictures = []
    for i in range(frames):
        picture = _window(texture, 0, 0, size).copy()
        left = (6 * i) % (size[0] - side)
        picture[side // 2 : side // 2 + side, left : left + side] = patch
        pictures.append(picture)
    return Scene("occlusion", "synthetic", np.stack(pictures))


def cut(texture: np.ndarray, frames: int, size: tuple[int, int]) -> Scene:
    """Two pans with a cut between them."""

    def window(i: int) -> np.ndarray:
        if i < frames // 2:
            return _window(texture, 2 * i, 0, size)
        return 255 - _window(texture, 2 * i, texture.shape[0] - size[1], size)[::-1]

    return Scene("cut", "synthetic", np.stack([window(i) for i in range(frames)]), cuts=True)


def fade(texture: np.ndarray, frames: int, size: tuple[int, int]) -> Scene:
    """A slow pan that goes dark by two thirds."""
    light = np.linspace(1, 0.35, frames)
    windows = [(_window(texture, 2 * i, 0, size) * light[i]).astype(np.uint8) for i in range(frames)]
    return Scene("fade", "synthetic", np.stack(windows))


def compressed(texture: np.ndarray, frames: int, size: tuple[int, int]) -> Scene:
    """A slow pan with sensor noise and coarse JPEG blocks."""
    rng, pictures = np.random.default_rng(1), []
    for i in range(frames):
        noisy = _window(texture, 2 * i, 0, size) + rng.normal(0, 6, (size[1], size[0], 3))
        _, coded = cv2.imencode(".jpg", noisy.clip(0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 25])
        pictures.append(cv2.imdecode(coded, cv2.IMREAD_COLOR))
    return Scene("compressed", "synthetic", np.stack(pictures))


SYNTHETIC: tuple[Callable[[np.ndarray, int, tuple[int, int]], Scene], ...] = (
    still, fast_pan, occlusion, cut, fade, compressed,
)  # fmt: skip


def _window(texture: np.ndarray, x: int, y: int, size: tuple[int, int]) -> np.ndarray:
    return np.ascontiguousarray(texture[y : y + size[1], x : x + size[0]])


def _read(path: Path) -> np.ndarray:
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def _fit(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Scaled to fill `size`, the rest cropped."""
    scale = max(size[0] / picture.shape[1], size[1] / picture.shape[0])
    scaled = cv2.resize(
        picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    )
    y, x = (scaled.shape[0] - size[1]) // 2, (scaled.shape[1] - size[0]) // 2
    return _window(scaled, x, y, size)


def _video(path: Path, frames: int, size: tuple[int, int], start: float) -> np.ndarray:
    pictures: list[np.ndarray] = []
    with VideoReader(path, start=start or None) as reader:
        for clip in reader.clips():
            pictures += [_fit(frame, size) for frame in clip.frames]
            if len(pictures) >= frames:
                break
    return np.stack(pictures[:frames])
