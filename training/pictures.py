"""The pictures to train on: crops of photos and frames, in other lights too, patterns and flat ones; paintings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

SIDE = 384
ROOM = 1.2
"""Side of a photo from which a window is cut, at most, in sides of the window; later passes come nearer."""
NEARER = 1.8
HELD_OUT_EVERY = 12
HELD_OUT_CLIPS = ("cockatoo", "city-night", "bigbuckbunny")
FRAMES_A_CLIP = 10
CROPS = 6
"""Windows of each painting."""
FLAT, PATTERNS = 24, 40
"""How many pictures of each kind a pass has; the flat ones are the last."""
NIGHT, RELIT = 0.2, 0.5
"""Shares of the later passes' pictures that are made nights, and that get another light."""


def split(folder: Path) -> tuple[list[Path], list[Path]]:
    """The pictures of a folder: to train on, and held out."""
    paths = sorted(folder.iterdir())
    return [p for i, p in enumerate(paths) if i % HELD_OUT_EVERY], paths[::HELD_OUT_EVERY]


def read(path: Path) -> np.ndarray:
    return cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def square(image: np.ndarray, rng: np.random.Generator, side: int = SIDE, room: float = ROOM) -> np.ndarray:
    """A crop of `side` x `side` at a random scale and place, mirrored half of the time."""
    short = min(image.shape[:2])
    scale = rng.uniform(side, max(side, min(short, int(room * side))) + 1) / short
    size = max(side, round(image.shape[1] * scale)), max(side, round(image.shape[0] * scale))
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    top, left = (int(rng.integers(0, n - side + 1)) for n in image.shape[:2])
    image = image[top : top + side, left : left + side]
    return np.ascontiguousarray(image[:, ::-1] if rng.random() < 0.5 else image)


def relight(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The picture at night, darker or brighter, or as it is."""
    kind = rng.random()
    light = image.astype(np.float32) / 255
    if kind < NIGHT:  # what is dark goes black, lamps and windows stay
        cast = np.float32([rng.uniform(0.5, 1), rng.uniform(0.7, 1), 1])[:: rng.choice([1, -1])]
        light = light ** rng.uniform(1.8, 3.5) * cast * rng.uniform(1.0, 1.4)
    elif kind < NIGHT + RELIT:
        light = light ** np.exp(rng.normal(0, 0.35)) * rng.uniform(0.8, 1.15) + rng.uniform(-0.05, 0.05)
        gray = light.mean(-1, keepdims=True)
        light = gray + (light - gray) * rng.uniform(0.5, 1.6)
    return np.round(255 * light.clip(0, 1)).astype(np.uint8)


def clip_frames(data: Path, number: int) -> Iterator[np.ndarray]:
    """Frames of the clips to train on."""
    from stylize import VideoReader

    for path in sorted(p for p in (data / "clips").iterdir() if not p.name.startswith(HELD_OUT_CLIPS)):
        with VideoReader(path) as reader:
            frames = np.concatenate([clip.frames for clip in reader.clips(64)])[:400]
        for k, i in enumerate(np.linspace(0, len(frames) - 1, FRAMES_A_CLIP).astype(int)):
            yield square(frames[i], np.random.default_rng([number, len(frames), k]))


def _plane(rng: np.random.Generator) -> np.ndarray:
    """A coordinate that grows in some direction, in pixels."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32) - SIDE / 2
    turn = rng.uniform(0, 2 * np.pi)
    bend = rng.uniform(-0.001, 0.001)
    across = x * np.cos(turn) + y * np.sin(turn)
    return across + bend * (y * np.cos(turn) - x * np.sin(turn)) ** 2


def pattern_picture(rng: np.random.Generator) -> np.ndarray:
    """Fine stripes or lit windows of two colours, strong or faint: lamellae, fences, the front of a house at night."""
    ground, mark = rng.uniform(0, 255, (2, 3))
    if rng.random() < 0.6:  # strong ones are where networks lose the look
        ground, mark = ground * 0.2, 255 - mark * 0.5
    coverage = np.ones((SIDE, SIDE), np.float32)
    for _ in range(rng.integers(1, 3)):
        period, share = np.exp(rng.uniform(np.log(3), np.log(28))), rng.uniform(0.3, 0.7)
        place = (_plane(rng) / period) % 1
        coverage *= np.clip((share / 2 - np.abs(place - 0.5)) * period + 0.5, 0, 1)
    if rng.random() < 0.5:  # some windows are dark
        cell = int(rng.integers(4, 24))
        lit = rng.random((SIDE // cell + 1,) * 2).astype(np.float32) < rng.uniform(0.3, 0.9)
        coverage *= cv2.resize(lit.astype(np.float32), None, fx=cell, fy=cell, interpolation=cv2.INTER_NEAREST)[
            :SIDE, :SIDE
        ]
    picture = ground + (mark - ground) * coverage[..., None]
    shade = 1 + rng.uniform(0, 0.4) * np.sin(_plane(rng) / rng.uniform(30, 120))
    return np.round(picture * shade[..., None]).clip(0, 255).astype(np.uint8)


def flat_picture(rng: np.random.Generator) -> np.ndarray:
    """One colour, or one that passes into another."""
    one, other = rng.uniform(0, 255, (2, 3))
    other = one if rng.random() < 0.5 else other
    y, x = np.mgrid[:SIDE, :SIDE] / (SIDE - 1) - 0.5
    turn = rng.uniform(0, 2 * np.pi)
    along = np.clip(0.5 + x * np.cos(turn) + y * np.sin(turn), 0, 1)[..., None]
    return np.round(one + (other - one) * along).astype(np.uint8)


def sources(data: Path, passes: int) -> list[np.ndarray]:
    """All pictures to train on, squares of `SIDE`; each pass has every photo once, later ones in other lights."""
    photos = [read(path) for path in split(data / "photos")[0]]
    made: list[np.ndarray] = []
    for number in range(passes):
        crops = [square(p, np.random.default_rng([5, number, i]), SIDE, NEARER if number else ROOM)
                 for i, p in enumerate(photos)]  # fmt: skip
        crops += clip_frames(data, number)
        if number:
            crops = [relight(crop, np.random.default_rng([6, number, i])) for i, crop in enumerate(crops)]
        made += crops
    made += [pattern_picture(np.random.default_rng([8, i])) for i in range(passes * PATTERNS)]
    return made + [flat_picture(np.random.default_rng([7, i])) for i in range(FLAT)]


def paintings(data: Path, crops: int = CROPS) -> np.ndarray:
    """Crops of the paintings to train on, uint8 `[N, SIDE, SIDE, 3]`."""
    paths = split(data / "paintings")[0]
    return np.stack([square(read(path), np.random.default_rng([9, i, k]), SIDE, NEARER)
                     for i, path in enumerate(paths) for k in range(crops)])  # fmt: skip
