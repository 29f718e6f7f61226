"""Measures a restyled video frame by frame against its source, and averages the figures."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from stylize.frames import Image, Picture, resize
from stylize.metrics.figures import (
    Figures,
    drift,
    frame_figures,
    mean_colour,
    measure_change,
    pair_figures,
    sharpness,
    spearman,
)
from stylize.motion import motion_between

DepthOf: TypeAlias = Callable[[Picture], Image]
Similarity: TypeAlias = Callable[[Picture], tuple[Image, float | None]]

GAP = 8
"""Distance in frames for the long-range warp error."""
MEANING: Mapping[str, str] = {
    "warp_error": "what the motion does not explain, x1000 (lower is steadier)",
    "long_warp_error": f"the same, {GAP} frames apart",
    "flicker": "change along the motion, in levels of 255",
    "tof": "motion that is not the source's, in pixels",
    "edge_f1": "edges shared with the source, 0 to 1 (higher is nearer)",
    "depth_spearman": "rank correlation of near and far with the source",
    "colour_drift": "change of mean colour from beginning to end, Delta E",
    "style_change": "colour difference from the source, Delta E (0: nothing was restyled)",
    "sharpness": "deviation of the Laplacian, in levels of 255",
    "dynamic_degree": "share of pairs that move",
    "detail_along": "agreement of fine detail with the frame before along the motion, -1 to 1 (higher: it sticks)",
    "detail_in_place": "the same at the same place of the screen (high in motion: it sticks to the screen)",
    "frame_consistency": "CLIP similarity of neighbours",
    "prompt_consistency": "CLIP similarity of frame and prompt",
}


@dataclass(frozen=True)
class Measurement:
    """Figures of a restyled video and, where meaningful, the same figures of its source (`floors`)."""

    frames: int
    figures: Figures
    """By the names in `MEANING`."""
    floors: Figures
    """The same figures of the source itself: the values that errors of the flow and camera noise alone cause."""
    curves: Mapping[str, list[float]] = field(repr=False)
    """Figures of each frame or pair, in order."""


class Meter:
    """Measures a source and its restyled version frame by frame; `result` returns the means.

    Only the last few frames and a dozen numbers per frame are kept.

    Args:
        depth: returns the relative inverse depth of a picture; leave it out to skip `depth_spearman`.
        similarity: returns a picture's unit CLIP embedding and its cosine with the prompt (`ClipSimilarity`).
    """

    def __init__(self, *, depth: DepthOf | None = None, similarity: Similarity | None = None) -> None:
        self._depth, self._similarity = depth, similarity
        self._past: deque[tuple[Picture, Picture]] = deque(maxlen=GAP)
        self._figures: dict[str, list[float]] = {}
        self._floors: dict[str, list[float]] = {}
        self._colours: tuple[list[Image], list[Image]] = ([], [])
        self._embedding: Image | None = None

    def add(self, source: Picture, styled: Picture) -> Figures:
        """Returns the next frame's figures; both are uint8 RGB; a source of another size is resized to the result's."""
        if source.shape != styled.shape:
            source = resize(source, (styled.shape[1], styled.shape[0]))
        now = source, styled
        figures, floors = frame_figures(*now), {"sharpness": sharpness(source)}
        if self._depth is not None:
            figures["depth_spearman"] = spearman(self._depth(source), self._depth(styled))
        if self._past:
            pair, pair_floors = pair_figures(self._past[-1], now)
            figures, floors = figures | pair, floors | pair_floors
        if len(self._past) == GAP:
            figures["long_warp_error"], floors["long_warp_error"] = _measure_warp_errors(self._past[0], now)
        if self._similarity is not None:
            figures |= self._compare_embeddings(*self._similarity(styled))
        self._past.append(now)
        for colours, picture in zip(self._colours, now, strict=True):
            colours.append(mean_colour(picture))
        for curves, values in ((self._figures, figures), (self._floors, floors)):
            for name, value in values.items():
                curves.setdefault(name, []).append(value)
        return figures

    def result(self) -> Measurement:
        """Returns the means over all frames or pairs so far.

        Raises:
            ValueError: no frame was added.
        """
        if not self._colours[0]:
            raise ValueError("no frames")
        figures, floors = _average(self._figures), _average(self._floors)
        floors["colour_drift"], figures["colour_drift"] = map(drift, self._colours)
        distances = [float(np.linalg.norm(colour - self._colours[1][0])) for colour in self._colours[1]]
        return Measurement(len(distances), figures, floors, self._figures | {"colour_drift": distances})

    def _compare_embeddings(self, embedding: Image, agreement: float | None) -> Figures:
        figures = {} if agreement is None else {"prompt_consistency": agreement}
        if self._embedding is not None:
            figures["frame_consistency"] = float(self._embedding @ embedding)
        self._embedding = embedding
        return figures


def measure_frames(pairs: Iterable[tuple[Picture, Picture]], **options: Any) -> Measurement:
    """Measures pairs of source and restyled frames with a `Meter`.

    Raises:
        ValueError: there is no frame.
    """
    meter = Meter(**options)
    for source, styled in pairs:
        meter.add(source, styled)
    return meter.result()


def _measure_warp_errors(before: tuple[Picture, Picture], now: tuple[Picture, Picture]) -> tuple[float, float]:
    """Returns the warp errors of the result and of the source."""
    motion = motion_between(now[0], before[0])
    source, styled = (measure_change(b, a, motion.flow, motion.visible)[0] for b, a in zip(before, now, strict=True))
    return styled, source


def _average(curves: Mapping[str, list[float]]) -> Figures:
    return {name: float(np.nanmean(values)) for name, values in curves.items() if not np.isnan(values).all()}
