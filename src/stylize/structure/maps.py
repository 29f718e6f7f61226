"""Makes the maps that ControlNets take (edges, depth and others), in [0, 1] and steady over a shot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from stylize.frames import Clip, DepthEstimator, Map, StructureMaps
from stylize.structure.coarsen import blur_forms
from stylize.structure.detectors import detector
from stylize.structure.given import GivenControl, GivenDepth


@dataclass(frozen=True)
class DepthRange:
    """The raw depths that become 0 and 1 in a shot.

    The range starts at the first frame's 2nd and 98th percentiles and follows those of later frames slowly. If each
    frame were scaled by itself, an object that comes near would push everything else back in one frame.
    """

    low: float
    high: float

    FOLLOW: ClassVar[float] = 0.05
    """Share of the difference to the new frame's percentiles that is added per frame."""

    @classmethod
    def after(cls, previous: DepthRange | None, raw: Map) -> DepthRange:
        """Returns the range after a frame with this raw depth; every second pixel is enough to measure it."""
        low, high = (float(x) for x in np.percentile(raw[::2, ::2], (2, 98)))
        if previous is None:
            return cls(low, high)
        return cls(
            previous.low + cls.FOLLOW * (low - previous.low), previous.high + cls.FOLLOW * (high - previous.high)
        )

    def scale(self, raw: Map) -> Map:
        """Scales raw inverse depth to [0, 1], near is 1; a flat picture becomes 0 (far)."""
        span = max(self.high - self.low, 1e-6)
        return np.asarray(np.clip((raw - self.low) / span, 0, 1), np.float32)


def take_maps(
    clip: Clip,
    names: Iterable[str],
    estimate_depth: DepthEstimator,
    depth_range: DepthRange | None,
    device: str = "cpu",
    *,
    structure: float = 1.0,
    given: GivenDepth | None = None,
    drawn: Mapping[str, GivenControl] = {},  # only read
) -> tuple[StructureMaps, DepthRange | None]:
    """Returns the maps that the named controls need, and the shot's depth range after the clip.

    Args:
        depth_range: the shot's range before the clip; `None` at the start of a shot.
        device: device for detectors with weights.
        structure: how much of the structure is kept, in [0, 1]; below 1 the maps are made from coarser pictures.
        given: depth that comes with the source and replaces the estimate.
        drawn: controls whose pictures come with the source and replace those of detectors.

    Raises:
        ModelError: no detector is known for a control, or its weights cannot be loaded.
    """
    maps: dict[str, list[Map]] = {name: [] for name in names}
    estimates = "depth" in maps and "depth" not in drawn
    detectors = {name: detector(name, device) for name in maps if name != "depth" and name not in drawn}
    raws = _get_raw_depths(clip, estimate_depth, given) if estimates else []
    for i, picture in enumerate(clip.frames):
        coarse = blur_forms(picture, structure)
        for name, detect in detectors.items():
            maps[name].append(detect(coarse))
        for name, pictures in drawn.items():
            maps[name].append(blur_forms(pictures.at(clip.index + i, clip.size), structure))
        if estimates:
            raw = blur_forms(raws[i], structure)
            depth_range = DepthRange.after(depth_range, raw)
            maps["depth"].append(depth_range.scale(raw))
    return StructureMaps({name: _stack(values) for name, values in maps.items()}), depth_range


def _get_raw_depths(clip: Clip, estimate_depth: DepthEstimator, given: GivenDepth | None) -> list[Map]:
    """Returns the raw depth of every frame: given, known of a rendered scene, or estimated, all in one call."""
    if given is None and clip.geometry is not None:
        return [one.depth for one in clip.geometry]
    if given is None:
        return list(estimate_depth(clip.frames))
    return [given.at(clip.index + i, clip.size) for i in range(len(clip))]


def _stack(maps: list[Map]) -> Map:
    """Stacks the maps to `[T, C, H, W]`; C is 1 or 3."""
    stacked = np.stack(maps)
    return stacked[:, None] if stacked.ndim == 3 else np.ascontiguousarray(stacked.transpose(0, 3, 1, 2))
