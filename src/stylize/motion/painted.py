"""Carries painted frames through a video, both ways along its motion, as covers of the restyled frames."""

from __future__ import annotations

import functools
import itertools
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt

from stylize.frames import Clip, Cover, Image, Map, Motion, Picture, one_by_one, to_bytes, to_floats
from stylize.motion.flow import is_inside, motion_between, warp
from stylize.motion.fusion import chain
from stylize.motion.shots import CutDetector, correlate, split_shots

TOLERANCE = 0.16
"""Difference between a frame and its prediction by the motion, in [0, 1], at which the share falls to 1/e."""
FLAT = 0.06
"""Change of the brightness within nine pixels, in [0, 1], below which a surface is flat."""
BINS, SPREAD = 16, 0.05
"""Levels of each channel in a palette, and the weight of neighbouring colours against each colour's own."""
SQUARE = np.ones((3, 3), np.uint8)
SIDE = 96
"""Longer side at which a painting is compared with its frame."""


@dataclass(frozen=True, eq=False)
class Carried:
    """A painting on its way: the frame that it was painted on, and the motion from the current frame back to that."""

    source: Picture
    painting: Picture
    motion: Motion | None = None
    """`None` at the painted frame itself."""

    def step(self, motion: Motion) -> Carried:
        """Returns it one frame on.

        Args:
            motion: from the next frame to the current one.
        """
        return replace(self, motion=motion if self.motion is None else chain([self.motion, motion])[-1])

    def cover(self, picture: Picture) -> Cover:
        """Returns the painting as it lies over a frame: where it is seen, and the frame looks as predicted.

        On flat surfaces optical flow is chance, but any of their points will do: there, looking alike is enough.
        """
        if self.motion is None:
            return Cover(self.painting, np.ones(picture.shape[:2], np.float32))
        flow, seen = self.motion.flow, self.motion.visible.astype(np.float32)
        now = to_floats(picture)
        error = cv2.blur(np.abs(warp(to_floats(self.source), flow) - now).mean(-1), (3, 3))
        trusted = np.maximum(cv2.erode(seen, SQUARE), is_inside(flow) * _find_flat(now))
        share = cv2.GaussianBlur(trusted, (0, 0), 1.5) * trusted * np.exp(-((error / TOLERANCE) ** 2))
        painted = to_bytes(warp(to_floats(self.painting), flow, cubic=True).clip(0, 1))
        return Cover(painted, np.asarray(share, np.float32))

    @functools.cached_property
    def palette(self) -> Picture:
        """The painting's mean colour for each colour of the frame, `[BINS, BINS, BINS, 3]`."""
        bins = np.minimum(self.source.reshape(-1, 3) // (256 // BINS), BINS - 1)
        sums, counts = np.zeros((BINS,) * 3 + (3,), np.float32), np.zeros((BINS,) * 3, np.float32)
        np.add.at(sums, tuple(bins.T), self.painting.reshape(-1, 3).astype(np.float32))
        np.add.at(counts, tuple(bins.T), 1)
        total, weight = sums, counts
        for _ in range(BINS):  # colours that the frame lacks take those of the nearest that it has
            sums, counts = _spread(sums), _spread(counts[..., None])[..., 0]
            total, weight = total + SPREAD * sums, weight + SPREAD * counts
            sums, counts = sums * SPREAD, counts * SPREAD
        return np.asarray((total / np.maximum(weight, 1e-12)[..., None]).clip(0, 255), np.uint8)

    def tones(self, picture: Picture) -> Picture:
        """Returns the colours that the painter would have taken for a frame, uint8 `[H, W, 3]`."""
        bins = np.minimum(cv2.GaussianBlur(picture, (0, 0), 1) // (256 // BINS), BINS - 1)
        return np.asarray(self.palette[bins[..., 0], bins[..., 1], bins[..., 2]], np.uint8)


def _spread(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Adds up the six neighbours in a cube of colours, `[B, B, B, C]`."""
    padded = np.pad(values, ((1, 1), (1, 1), (1, 1), (0, 0)))
    near = (padded[2:, 1:-1, 1:-1], padded[:-2, 1:-1, 1:-1], padded[1:-1, 2:, 1:-1], padded[1:-1, :-2, 1:-1],
            padded[1:-1, 1:-1, 2:], padded[1:-1, 1:-1, :-2])  # fmt: skip
    return np.asarray(sum(near) / 6, np.float32)


def _find_flat(image: Image) -> Map:
    """Returns where a frame, `[H, W, 3]` in [0, 1], has neither edges nor texture, 0 or 1 for each pixel."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    change = cv2.dilate(grey, np.ones((9, 9), np.uint8)) - cv2.erode(grey, np.ones((9, 9), np.uint8))
    return np.asarray(change < FLAT, np.float32)


def carry_paintings(
    clips: Iterable[Clip], paintings: Sequence[tuple[Fraction, Picture]], skip: int = 0
) -> Iterator[Clip]:
    """Yields the frames in clips of one, each with the cover that the paintings of its shot give.

    Frames between two paintings take from both, more from the nearer one; what neither shows has a share of 0. Frames
    up to the next painting wait on disk, so that memory does not grow with the distance of the paintings.

    Args:
        clips: all frames from the beginning.
        paintings: each with a time at which its frame is shown, in seconds on the clips' clock; at the frames' size.
        skip: leave out this many frames in the result.
    """
    return itertools.islice(_carry(clips, paintings), skip, None)


def _carry(clips: Iterable[Clip], paintings: Sequence[tuple[Fraction, Picture]]) -> Iterator[Clip]:
    forward: Carried | None = None
    with _Stretch() as stretch:
        for frame, _ in split_shots(one_by_one(clips), CutDetector()):
            if frame.starts_shot:  # nothing is carried over a cut
                yield from stretch.finish(forward, None)
                forward = None
            painting = next((picture for second, picture in paintings if is_shown(frame, second)), None)
            if painting is not None:
                painted = Carried(frame.frames[0], painting)
                here = _cover(frame, painted.cover(frame.frames[0]))
                yield from stretch.finish(forward, painted)
                yield here
                stretch.begin(frame)
                forward = painted
                continue
            stretch.add(frame)
            if all(second < frame.times[0] for second, _ in paintings):  # nothing comes back from a later painting
                yield from stretch.finish(forward, None)
                forward = stretch.carried
        yield from stretch.finish(forward, None)


def is_shown(frame: Clip, second: Fraction) -> bool:
    """Whether a clip's first frame is the one that is shown at a time."""
    return frame.times[0] <= second < frame.times[0] + frame.durations[0]


def _cover(frame: Clip, cover: Cover) -> Clip:
    return replace(frame, covers=(cover,), starts_shot=False)


class _Stretch:
    """The frames since the last painting or cut, on disk until the next painting is there."""

    def __init__(self) -> None:
        self._before: Picture | None = None  # the frame that the stretch follows
        self._waiting: list[tuple[Fraction, Fraction, int]] = []  # time, duration and number of its frames
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the object
        self._shape: tuple[int, int, int] = (0, 0, 0)
        self.carried: Carried | None = None
        """The painting before, as it is at the last frame that was finished."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def begin(self, frame: Clip) -> None:
        """Lets the stretch follow a frame."""
        self._before, self.carried = frame.frames[0], None

    def add(self, frame: Clip) -> None:
        """Adds a frame."""
        if frame.starts_shot:
            self._before = None
        pixels = frame.frames[0] if frame.alpha is None else np.dstack([frame.frames[0], frame.alpha[0]])
        self._shape = pixels.shape
        self._file.seek(len(self._waiting) * pixels.size)
        self._file.write(pixels.tobytes())
        self._waiting.append((frame.times[0], frame.durations[0], frame.index))

    def finish(self, forward: Carried | None, backward: Carried | None) -> Iterator[Clip]:
        """Yields the frames with their covers, and empties the stretch.

        Args:
            forward: the painting before the stretch, as it is at the frame that the stretch follows.
            backward: the painted frame that follows it.
        """
        count = len(self._waiting)
        behind = self._carry_back(backward) if backward is not None and count else None
        for i in range(count):
            frame = self._read(i)
            picture, covers = frame.frames[0], []
            if forward is not None and self._before is not None:
                forward = forward.step(motion_between(self._before, picture))
                covers.append((forward.cover(picture), 1 - (i + 1) / (count + 1)))
            if behind is not None:
                covers.append((_unpack(behind[i]), (i + 1) / (count + 1)))
            nothing = Cover(picture, np.zeros(picture.shape[:2], np.float32))
            merged = _merge(covers) if covers else nothing
            nearest = backward if forward is None or (backward and 2 * i >= count) else forward
            yield _cover(frame, merged if nearest is None else replace(merged, tones=nearest.tones(picture)))
            self._before = picture
        self.carried = forward
        self._waiting.clear()

    def _read(self, i: int) -> Clip:
        self._file.seek(i * int(np.prod(self._shape)))
        pixels = np.frombuffer(self._file.read(int(np.prod(self._shape))), np.uint8).reshape(self._shape)
        alpha = pixels[None, ..., 3] if self._shape[2] == 4 else None
        time, duration, index = self._waiting[i]
        return Clip(np.ascontiguousarray(pixels[None, ..., :3]), (time,), (duration,), index, alpha=alpha)

    def _carry_back(self, carried: Carried) -> npt.NDArray[np.uint8]:
        """Returns the painting at every frame of the stretch, with its share as a fourth channel, in a file."""
        height, width, _ = self._shape
        with tempfile.TemporaryFile() as file:  # the map keeps it until the array is gone
            covers = np.memmap(file, np.uint8, "w+", shape=(len(self._waiting), height, width, 4))
        later = carried.source
        for i in reversed(range(len(self._waiting))):
            picture = self._read(i).frames[0]
            carried, later = carried.step(motion_between(later, picture)), picture
            cover = carried.cover(picture)
            covers[i, ..., :3], covers[i, ..., 3] = cover.picture, np.round(255 * cover.share)
        return covers


def _unpack(cover: npt.NDArray[np.uint8]) -> Cover:
    return Cover(np.ascontiguousarray(cover[..., :3]), (cover[..., 3] / np.float32(255)).astype(np.float32))


def _merge(covers: Sequence[tuple[Cover, float]]) -> Cover:
    """Merges covers with their nearness; what one alone shows is taken from that one."""
    if len(covers) == 1:
        return covers[0][0]
    (one, near), (other, far) = covers
    weight = one.share * near + 1e-6
    part = np.asarray(weight / (weight + other.share * far + 1e-6), np.float32)[..., None]
    mixed = to_floats(one.picture) * part + to_floats(other.picture) * (1 - part)
    return Cover(to_bytes(np.asarray(mixed, np.float32)), np.maximum(one.share, other.share))


def likeness(painting: Picture, source: Picture) -> float:
    """Returns how well a painting shows a frame, from about 0 for another picture to 1 for the frame itself.

    The larger one of two correlations: of the brightness, either way round, and of the strength of edges.
    """
    height, width = source.shape[:2]
    scale = SIDE / max(height, width)
    size = (max(16, round(width * scale)), max(16, round(height * scale)))
    grey = [
        cv2.GaussianBlur(cv2.cvtColor(cv2.resize(x, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY), (0, 0), 1)
        .astype(np.float32)
        for x in (painting, source)
    ]  # fmt: skip
    edges = [cv2.GaussianBlur(np.hypot(cv2.Sobel(x, -1, 1, 0), cv2.Sobel(x, -1, 0, 1)), (0, 0), 1.5) for x in grey]
    return max(abs(correlate(*grey)), correlate(*edges))
