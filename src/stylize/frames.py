"""The values that flow between the stages: clips with exact times, their maps, pictures as bytes and floats."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol, TypeAlias, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

Picture: TypeAlias = npt.NDArray[np.uint8]
"""RGB, uint8 `[H, W, 3]`, or a stack of them `[T, H, W, 3]`."""
Image: TypeAlias = npt.NDArray[np.float32]
"""RGB `[H, W, 3]` in [0, 1]."""
Map: TypeAlias = npt.NDArray[np.float32]
"""One number a pixel, `[H, W]`, or a stack of them `[T, H, W]`."""
Flow: TypeAlias = npt.NDArray[np.float32]
"""`[H, W, 2]` in pixels: the point at (x, y) in one picture is at (x + u, y + v) in the other; x right, y down."""
Mask: TypeAlias = npt.NDArray[np.bool_]
Value = TypeVar("Value")
TONE_BLUR = 5.0
"""Standard deviation of the blur that separates tones from detail, in pixels."""


class DepthEstimator(Protocol):
    """Relative inverse depth of a picture, near is large; scale and shift are unknown but do not jump."""

    def __call__(self, picture: Picture) -> Map:
        """Maps uint8 RGB `[H, W, 3]` to float32 `[H, W]`; a stack `[T, H, W, 3]` to `[T, H, W]` in one call."""
        ...


@dataclass(frozen=True)
class Motion:
    """The motion between two frames, on the grid of the later one."""

    flow: Flow
    """From the later frame to the earlier one."""
    visible: Mask
    """`[H, W]`: True where the flow can be trusted, as the point is visible in the earlier frame, too."""


@dataclass(frozen=True, eq=False)
class Geometry:
    """What is known of a rendered frame without any estimation."""

    depth: Map
    """Inverse depth `[H, W]`, near is large, in a unit that is the same for all frames of the scene."""
    back: Motion | None = None
    """From this frame to the one before; `None` for a scene's first frame."""
    ahead: Motion | None = None
    """From the frame before to this one, on the grid of the frame before."""


@dataclass(frozen=True, eq=False)
class Cover:
    """What lies over a restyled frame, and how much of it: a painting that was carried along the motion."""

    picture: Picture
    """uint8 RGB `[H, W, 3]`."""
    share: Map
    """`[H, W]` in [0, 1]."""
    tones: Picture | None = None
    """Colours that the restyled frame takes beside the cover, uint8 `[H, W, 3]`; its detail stays."""

    def over(self, image: Image) -> Image:
        """Lays the cover over a restyled frame, `[H, W, 3]`."""
        share = self.share[..., None]
        if self.tones is not None:
            blurred = [cv2.GaussianBlur(x, (0, 0), TONE_BLUR) for x in (to_floats(self.tones), image)]
            image = (image + blurred[0] - blurred[1]).clip(0, 1)
        return np.asarray(to_floats(self.picture) * share + image * (1 - share), np.float32)


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
    geometry: tuple[Geometry, ...] | None = None
    """Depth and motion of each frame, where they are known: of rendered scenes."""
    covers: tuple[Cover, ...] | None = None
    """What lies over each restyled frame, if anything does."""
    known: Mask | None = None
    """`[T, H, W]`: True where frames show something; the rest is to be painted. `None` is everywhere."""

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
        """Returns frames `start` to `stop`, counted within this clip."""
        cut = slice(start, stop)
        alpha = None if self.alpha is None else self.alpha[cut]
        geometry = None if self.geometry is None else self.geometry[cut]
        covers = None if self.covers is None else self.covers[cut]
        return Clip(
            self.frames[cut], self.times[cut], self.durations[cut], self.index + start, starts_shot, alpha, geometry,
            covers, None if self.known is None else self.known[cut],
        )  # fmt: skip


def one_by_one(clips: Iterable[Clip]) -> Iterator[Clip]:
    """Yields the same frames in clips of one."""
    for clip in clips:
        for i in range(len(clip)):
            yield clip.part(i, i + 1, starts_shot=clip.starts_shot and i == 0)


def join_clips(clips: Sequence[Clip]) -> Clip:
    """Joins consecutive clips of one shot."""
    if len(clips) == 1:
        return clips[0]
    return Clip(
        np.concatenate([clip.frames for clip in clips]),
        tuple(time for clip in clips for time in clip.times),
        tuple(duration for clip in clips for duration in clip.durations),
        clips[0].index,
        clips[0].starts_shot,
        None if clips[0].alpha is None else np.concatenate([clip.alpha for clip in clips if clip.alpha is not None]),
        None if clips[0].geometry is None else tuple(one for clip in clips for one in clip.geometry or ()),
        None if clips[0].covers is None else tuple(one for clip in clips for one in clip.covers or ()),
        None if clips[0].known is None else np.concatenate([clip.known for clip in clips if clip.known is not None]),
    )


def batches(frames: Iterable[tuple[Clip, Value]], size: int) -> Iterator[tuple[Clip, Value]]:
    """Yields groups of up to `size` consecutive frames of a shot; a full one before the next frame is read.

    Args:
        frames: clips of one frame, each with a value that belongs to it.

    Yields:
        The frames as one clip, with the value of the last one.
    """
    group: list[tuple[Clip, Value]] = []
    for frame, value in frames:
        if group and (frame.starts_shot or frame.index != group[-1][0].index + 1):
            yield join_clips([clip for clip, _ in group]), group[-1][1]
            group = []
        group.append((frame, value))
        if len(group) == size:
            yield join_clips([clip for clip, _ in group]), value
            group = []
    if group:
        yield join_clips([clip for clip, _ in group]), group[-1][1]


def to_floats(picture: Picture) -> Image:
    """Converts uint8 to float32 in [0, 1]."""
    return np.multiply(picture, np.float32(1 / 255), dtype=np.float32)


def to_bytes(image: Image) -> Picture:
    """Converts [0, 1] to uint8."""
    return np.asarray(cv2.convertScaleAbs(image, alpha=255), np.uint8)


def resize(picture: Picture, size: tuple[int, int], *, enlarge: int = cv2.INTER_CUBIC) -> Picture:
    """Resizes a picture to `size` (width, height): averages areas where it shrinks, interpolates where it grows.

    Args:
        enlarge: OpenCV's interpolation for growing.
    """
    height, width = picture.shape[:2]
    if (width, height) == size:
        return picture
    interpolation = cv2.INTER_AREA if size[0] * size[1] < width * height else enlarge
    return np.asarray(cv2.resize(picture, size, interpolation=interpolation), picture.dtype)


def fit_inside(picture: Picture, size: tuple[int, int]) -> Picture:
    """Fits a picture of any shape into `size` (width, height), with black (or clear) bars where its shape differs."""
    height, width = picture.shape[:2]
    scale = min(size[0] / width, size[1] / height)
    inner = min(size[0], max(1, round(scale * width))), min(size[1], max(1, round(scale * height)))
    left, top = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    fitted = np.zeros((size[1], size[0], picture.shape[2]), np.uint8)
    fitted[top : top + inner[1], left : left + inner[0]] = resize(picture, inner)
    return fitted


@dataclass(frozen=True, repr=False)
class StructureMaps:
    """The maps that hold the forms of frames: one a control, named as ControlNets are."""

    maps: Mapping[str, npt.NDArray[np.float32]]
    """By name ("depth", "canny"): float32 `[T, C, H, W]` in [0, 1], C is 1 or 3; in depth, near is 1."""

    def __post_init__(self) -> None:
        for name, values in self.maps.items():
            if values.ndim != 4 or values.shape[1] not in (1, 3):
                raise ValueError(f"{name} must be [T, 1 or 3, H, W], got {values.shape}")

    def __repr__(self) -> str:
        return f"StructureMaps({', '.join(f'{n} {v.shape}' for n, v in self.maps.items())})"


def join_maps(parts: Sequence[StructureMaps]) -> StructureMaps:
    """Joins the maps of consecutive clips."""
    if len(parts) == 1:
        return parts[0]
    return StructureMaps({name: np.concatenate([part.maps[name] for part in parts]) for name in parts[0].maps})
