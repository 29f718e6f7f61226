"""Clips for the tests, and what becomes of them."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np

from media import picture
from stylize import Clip, Style, Stylizer
from stylize.networks import Networks
from stylize.pipeline import State, make_plan, restyle_clips
from stylize.restyle import ImageRestyler


def restyled(networks: Networks) -> np.ndarray:
    clip = Clip(picture(0)[None], (Fraction(0),), (Fraction(1, 25),))
    return next(Stylizer(networks).stream([clip], Style(prompt="ink", steps=2, strength=0.5))).frames


def restyled_states(
    networks: Networks, clips: Iterable[Clip], style: Style, batch: int = 1, state: State | None = None,
    source: Path | None = None,
) -> list[tuple[Clip, State]]:  # fmt: skip
    """Restyled clips, each with the state after it."""
    restyler = ImageRestyler(networks, batch)
    return list(restyle_clips(clips, restyler, make_plan(restyler, style, source), state))


SIZE = (64, 48)


def make_clip(count: int, *, first: int = 0, size: tuple[int, int] = SIZE, starts_shot: bool = True) -> Clip:
    frames = np.stack([picture(first + i, *size) for i in range(count)])
    times = tuple(Fraction(first + i, 25) for i in range(count))
    return Clip(frames, times, (Fraction(1, 25),) * count, first, starts_shot)


def cut_up(clip: Clip, lengths: list[int]) -> list[Clip]:
    """The same frames in clips of these lengths, over and over."""
    parts, start, i = [], 0, 0
    while start < len(clip):
        stop = min(len(clip), start + lengths[i % len(lengths)])
        parts.append(clip.part(start, stop, starts_shot=False))
        start, i = stop, i + 1
    return parts


def joined(clips: list[Clip]) -> np.ndarray:
    return np.concatenate([clip.frames for clip in clips])
