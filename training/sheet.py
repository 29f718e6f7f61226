"""Sixty frames to look at with an unbiased eye: held-out clips, all looks with tones, three strengths."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

import prompts
from stylize import Clip, Style, Stylizer, VideoReader
from tones import TONES

CLIPS = {"cockatoo.mp4": 2.0, "city-night-CC0.mpg": 2.0, "bigbuckbunny.mp4": 2.4}
STRENGTHS = (0.5, 0.8, 0.8, 1.0)
TILE, COLUMNS, COUNT = (256, 144), 6, 60


def read_frames(clips: Path, name: str, start: float, count: int, size: tuple[int, int] = (512, 288)) -> Clip:
    with VideoReader(clips / name, start=start, size=size) as reader:
        return next(reader.clips(count))


def label(picture: np.ndarray, text: str, size: tuple[int, int] = TILE) -> np.ndarray:
    tile = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    for colour, width in ((0, 3), (255, 1)):
        cv2.putText(tile, text, (6, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (colour,) * 3, width, cv2.LINE_AA)
    return tile


def grid(tiles: list[np.ndarray], columns: int) -> np.ndarray:
    return np.vstack([np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)])


def save(picture: np.ndarray, path: Path) -> None:
    cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])


def contact_sheet(stylizer: Stylizer, clips: Path, out: Path) -> None:
    """Drawn by counting through, not chosen: frame i has look i, clip i mod 3, every third a tone, and a strength."""
    sources = [read_frames(clips, name, start, 2) for name, start in CLIPS.items()]
    names, tones, tiles = list(prompts.LOOKS)[1:], list(TONES.values()), []
    for i in range(COUNT):
        look = names[i % len(names)]
        prompt = prompts.LOOKS[look][i % len(prompts.LOOKS[look])]
        if i % 3 == 2:
            prompt += f", {tones[i % len(tones)].words[0]}"
        strength = STRENGTHS[i % len(STRENGTHS)]
        style = Style(prompt=prompt, strength=strength)
        picture = list(stylizer.stream([sources[i % len(sources)]], style))[-1].frames[-1]
        tiles.append(label(picture, f"{i + 1} {prompt} {strength}"))
    save(grid(tiles, COLUMNS), out)
