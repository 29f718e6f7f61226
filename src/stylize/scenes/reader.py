"""Reads the frames that a camera sees in a scene, as if they came from a video."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from stylize.errors import StyleError
from stylize.frames import Clip, DepthEstimator, Map, Picture, resize
from stylize.scenes.made import MadeSource
from stylize.scenes.render import View, find_geometry
from stylize.scenes.scene import Scene, fit_still, frame_times, make_scene
from stylize.style.camera import CameraPath

LONGEST = 1280
"""Longer side of the result, if no size is asked for: stills have more pixels than a video needs."""
MOST_SECONDS = 36_000.0


@dataclass(frozen=True)
class Shot:
    """How a still is filmed."""

    camera: CameraPath = field(default_factory=CameraPath)
    seconds: float = 4.0
    rate: Fraction = Fraction(24)

    def __post_init__(self) -> None:
        if not 0 < self.seconds <= MOST_SECONDS:
            raise StyleError(f"{self.seconds:g} seconds are out of range", f"use more than 0, up to {MOST_SECONDS:g}")


class SceneReader(MadeSource):
    """Gives the frames of a still in motion, each with its exact depth and motion; the first one is the still.

    Args:
        path: the still's file, for messages and tags.
        still: uint8 RGB `[H, W, 3]`.
        depth: its relative inverse depth `[H, W]`, or what estimates it.
    """

    def __init__(self, path: Path, still: Picture, shot: Shot, depth: Map | DepthEstimator) -> None:
        self._still, self._shot, self._depth = still, shot, depth
        height, width = fit_still(still, None, LONGEST).shape[:2]
        super().__init__(path, (width, height), frame_times(shot.seconds, shot.rate), shot.rate)

    @property
    def facts(self) -> Mapping[str, Any]:
        """Camera path, duration, rate, and the still and depth themselves, which may have been made by a network."""
        digest = hashlib.sha256(self._still.tobytes())
        if isinstance(self._depth, np.ndarray):
            digest.update(self._depth.tobytes())
        path = {"text": self._shot.camera.text, "parts": [asdict(part) for part in self._shot.camera.parts]}  # type: ignore[call-overload]
        shot = {"seconds": self._shot.seconds, "rate": str(self._shot.rate), "still": digest.hexdigest()[:12]}
        return {"camera": repr(path), **shot}

    def make_scene(self) -> Scene:
        """Builds the scene at `size`."""
        still = fit_still(self._still, self.size, LONGEST)
        if isinstance(self._depth, np.ndarray):
            whole = resize(self._depth, (self._still.shape[1], self._still.shape[0]))  # type: ignore[arg-type]
            depth = np.asarray(fit_still(whole, self.size, LONGEST), np.float32)
        else:
            depth = self._depth(still)
        return make_scene(still, depth, self._shot.camera, self._shot.seconds)

    def clips(self, length: int = 8, *, skip: int = 0) -> Iterator[Clip]:
        """Yields clips of `length` frames with their geometry, without the first `skip` ones."""
        scene, before = self.make_scene(), None
        if 0 < skip < self.frame_count:
            before = scene.view(float(self._times[skip - 1]))
        for start in range(skip, self.frame_count, length):
            views = [scene.view(float(time)) for time in self._times[start : min(start + length, self.frame_count)]]
            yield self._make_clip(views, start, before)
            before = views[-1]

    def _make_clip(self, views: list[View], start: int, before: View | None) -> Clip:
        times = self._times[start : start + len(views) + 1]
        geometry = tuple(find_geometry(view, last) for view, last in zip(views, [before, *views], strict=False))
        return Clip(
            np.stack([view.picture for view in views]), times[:-1],
            tuple(end - begin for begin, end in itertools.pairwise(times)), start, start == 0,
            geometry=geometry,
        )  # fmt: skip
