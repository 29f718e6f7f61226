"""What flows between the stages: pictures with their exact times, and the maps taken of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

Map: TypeAlias = npt.NDArray[np.float32]

Image: TypeAlias = npt.NDArray[np.float32]
"""RGB `[H, W, 3]` in [0, 1]."""

Picture: TypeAlias = npt.NDArray[np.uint8]
"""RGB, uint8 `[H, W, 3]`, or a stack of them `[T, H, W, 3]`."""


@dataclass(frozen=True, repr=False)
class Clip:
    """Consecutive frames of one shot."""

    frames: Picture
    """uint8 RGB `[T, H, W, 3]`, T at least 1."""
    times: tuple[Fraction, ...]
    """When each frame is shown, in seconds on the source's clock, strictly increasing."""
    durations: tuple[Fraction, ...]
    """How long each frame is shown, in seconds."""
    index: int = 0
    """Number of the first frame in the source, from 0."""
    starts_shot: bool = False
    """The first frame does not continue what was before it."""
    alpha: npt.NDArray[np.uint8] | None = None
    """Opacity `[T, H, W]`, where the source has transparency; carried along, the networks do not see it."""

    def __post_init__(self) -> None:
        if self.frames.ndim != 4 or self.frames.shape[-1] != 3 or self.frames.dtype != np.uint8:
            raise ValueError(f"frames must be uint8 [T, H, W, 3], got {self.frames.dtype} {self.frames.shape}")
        if not len(self.frames) == len(self.times) == len(self.durations) > 0:
            raise ValueError(f"{len(self.frames)} frames, {len(self.times)} times, {len(self.durations)} durations")
        if self.alpha is not None and self.alpha.shape != self.frames.shape[:3]:
            raise ValueError(f"alpha must be {self.frames.shape[:3]}, got {self.alpha.shape}")

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.frames.shape[2], self.frames.shape[1]

    def __repr__(self) -> str:
        width, height = self.size
        return f"Clip({len(self)} frames {width}x{height} from {self.index}, starts_shot={self.starts_shot})"

    def part(self, start: int, stop: int, *, starts_shot: bool) -> Clip:
        """Frames `start` to `stop`, counted within this clip."""
        cut = slice(start, stop)
        alpha = None if self.alpha is None else self.alpha[cut]
        return Clip(self.frames[cut], self.times[cut], self.durations[cut], self.index + start, starts_shot, alpha)


def one_by_one(clips: Iterable[Clip]) -> Iterator[Clip]:
    """The same frames in clips of one."""
    for clip in clips:
        for i in range(len(clip)):
            yield clip.part(i, i + 1, starts_shot=clip.starts_shot and i == 0)


@dataclass(frozen=True, repr=False)
class StructureMaps:
    """What holds the forms: one map a control, named as ControlNets are."""

    maps: Mapping[str, npt.NDArray[np.float32]]
    """By name ("depth", "canny"): float32 `[T, C, H, W]` in [0, 1], C is 1 or 3; in depth, near is 1."""

    def __post_init__(self) -> None:
        for name, values in self.maps.items():
            if values.ndim != 4 or values.shape[1] not in (1, 3):
                raise ValueError(f"{name} must be [T, 1 or 3, H, W], got {values.shape}")

    def part(self, i: int) -> StructureMaps:
        """Those of frame `i` by itself."""
        return StructureMaps({name: values[i : i + 1] for name, values in self.maps.items()})

    def __repr__(self) -> str:
        return f"StructureMaps({', '.join(f'{n} {v.shape}' for n, v in self.maps.items())})"


def unit(picture: Picture) -> Image:
    """uint8 to float32 in [0, 1]."""
    return np.multiply(picture, np.float32(1 / 255), dtype=np.float32)


def to_bytes(image: Image) -> Picture:
    """[0, 1] to uint8."""
    return np.asarray(cv2.convertScaleAbs(image, alpha=255), np.uint8)
