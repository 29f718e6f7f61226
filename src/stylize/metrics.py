"""How steady a restyled video is, how much of the source's motion and forms it kept, and whether it is restyled at all.

Consistency alone is won by doing nothing or by blur, so the guards (style change, sharpness, dynamic degree) stand
beside it, and so do the floors: the same figures for the source itself. All arithmetic is float32 on [0, 1]; flow is
taken on the source. The videos are read side by side, a few frames at a time; of every frame only its figures are kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from stylize.frames import Picture
from stylize.motion import Mask, motion_between, warp

Image: TypeAlias = npt.NDArray[np.float32]
Figures: TypeAlias = dict[str, float]
DepthOf: TypeAlias = Callable[[Picture], Image]
Similarity: TypeAlias = Callable[[Picture], tuple[Image, float | None]]

GAP = 8
"""Frames apart, for the long-range warp error."""
EDGE_TOLERANCE = 2
BORDER = 16
"""Pixels left out on each side for tOF, as in TecoGAN's evaluation."""
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
    "frame_consistency": "CLIP similarity of neighbours",
    "prompt_consistency": "CLIP similarity of frame and prompt",
}


@dataclass(frozen=True)
class Measurement:
    """Figures of a restyled video and, where they mean something, the source's own (`floors`)."""

    frames: int
    figures: Figures
    """By the names of `MEANING`."""
    floors: Figures
    """The same of the source itself: what flow and camera noise alone give."""
    curves: Mapping[str, list[float]] = field(repr=False)
    """Figures a frame or pair, in order."""


class Meter:
    """Takes frame after frame of a source and its restyled version; `result` sums up.

    It keeps the last few frames and a dozen numbers a frame.

    Args:
        depth: relative inverse depth of a picture; leave it out to skip `depth_spearman`.
        similarity: a picture's unit CLIP embedding and its cosine with the prompt (`stylize.similarity`).
    """

    def __init__(self, *, depth: DepthOf | None = None, similarity: Similarity | None = None) -> None:
        self._depth, self._similarity = depth, similarity
        self._past: deque[tuple[Picture, Picture]] = deque(maxlen=GAP)
        self._figures: dict[str, list[float]] = {}
        self._floors: dict[str, list[float]] = {}
        self._colours: tuple[list[Image], list[Image]] = ([], [])
        self._embedding: Image | None = None

    def add(self, source: Picture, styled: Picture) -> Figures:
        """The figures of the next frame, both uint8 RGB; a source of another size is resized to the result's."""
        if source.shape != styled.shape:
            source = np.asarray(cv2.resize(source, styled.shape[1::-1], interpolation=cv2.INTER_AREA), np.uint8)
        now = source, styled
        figures, floors = alone(*now), {"sharpness": sharpness(source)}
        if self._depth is not None:
            figures["depth_spearman"] = spearman(self._depth(source), self._depth(styled))
        if self._past:
            of_pair, of_source = together(self._past[-1], now)
            figures, floors = figures | of_pair, floors | of_source
        if len(self._past) == GAP:
            figures["long_warp_error"], floors["long_warp_error"] = _warp_errors(self._past[0], now)
        if self._similarity is not None:
            figures |= self._likeness(self._similarity(styled))
        self._past.append(now)
        for kept, picture in zip(self._colours, now, strict=True):
            kept.append(mean_colour(picture))
        for curves, values in ((self._figures, figures), (self._floors, floors)):
            for name, value in values.items():
                curves.setdefault(name, []).append(value)
        return figures

    def result(self) -> Measurement:
        """The means over all frames or pairs so far.

        Raises:
            ValueError: there was none.
        """
        if not self._colours[0]:
            raise ValueError("no frames")
        figures, floors = _means(self._figures), _means(self._floors)
        floors["colour_drift"], figures["colour_drift"] = map(drift, self._colours)
        walk = [float(np.linalg.norm(colour - self._colours[1][0])) for colour in self._colours[1]]
        return Measurement(len(walk), figures, floors, self._figures | {"colour_drift": walk})

    def _likeness(self, seen: tuple[Image, float | None]) -> Figures:
        embedding, agreement = seen
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


def alone(source: Picture, styled: Picture) -> Figures:
    """The figures that one frame has by itself."""
    difference = cv2.cvtColor(unit(source), cv2.COLOR_RGB2LAB) - cv2.cvtColor(unit(styled), cv2.COLOR_RGB2LAB)
    return {
        "edge_f1": edge_f1(styled, source),
        "style_change": float(np.linalg.norm(difference, axis=-1).mean()),
        "sharpness": sharpness(styled),
    }


def together(before: tuple[Picture, Picture], now: tuple[Picture, Picture]) -> tuple[Figures, Figures]:
    """What a frame and the one before it, each (source, styled), give: the result's figures and the source's own.

    `warp_error` is NaN where nothing of the earlier frame can be found again.
    """
    motion = motion_between(now[0], before[0])  # seen from the earlier frame, whose mask it is (Lai et al. 2018)
    source, styled = (_change(b, a, motion.flow, motion.visible) for b, a in zip(before, now, strict=True))
    moves = [farneback(*pair) for pair in zip(before, now, strict=True)]
    inner = np.s_[BORDER:-BORDER, BORDER:-BORDER] if min(moves[0].shape[:2]) > 4 * BORDER else np.s_[:, :]
    figures = {
        "warp_error": styled[0],
        "flicker": styled[1],
        "tof": float(np.linalg.norm(moves[0] - moves[1], axis=-1)[inner].mean()),
        "dynamic_degree": float(_moves(moves[1])),
    }
    return figures, {"warp_error": source[0], "flicker": source[1], "dynamic_degree": float(_moves(moves[0]))}


def warp_error(one: Picture, other: Picture, flow: npt.NDArray[np.float32], mask: Mask) -> float:
    """Mean squared difference of `one` and `other` brought to it by `flow`, over `mask`, times 1000, on [0, 1].

    Lai et al. 2018, eq. 12: mask and result stand on the grid of `one`. NaN if the mask is empty.
    """
    return _change(one, other, flow, mask)[0]


def error_map(one: Picture, other: Picture, flow: npt.NDArray[np.float32], mask: Mask) -> Image:
    """Root mean squared difference along the motion, `[H, W]` in [0, 1]; 0 where it is not to be known."""
    difference = unit(one) - warp(unit(other), flow)
    return np.asarray(np.sqrt((difference**2).mean(-1)) * mask, np.float32)


def sharpness(picture: Picture) -> float:
    """Standard deviation of the Laplacian of the lightness, in levels of 255."""
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float(cv2.Laplacian(gray, cv2.CV_32F).std())


def edge_f1(one: Picture, other: Picture, tolerance: int = EDGE_TOLERANCE) -> float:
    """F1 score of the Canny edges of `one` against those of `other`, at most `tolerance` pixels apart."""
    edges = [cv2.Canny(cv2.GaussianBlur(x, (0, 0), 1), 60, 160) > 0 for x in (one, other)]
    kernel = np.ones((2 * tolerance + 1,) * 2, np.uint8)
    near = [cv2.dilate(e.astype(np.uint8), kernel) > 0 for e in edges]
    if not edges[0].any() and not edges[1].any():
        return 1.0
    precision = (edges[0] & near[1]).sum() / max(edges[0].sum(), 1)
    recall = (edges[1] & near[0]).sum() / max(edges[1].sum(), 1)
    return float(2 * precision * recall / max(precision + recall, 1e-9))


def spearman(one: Image, other: Image) -> float:
    """Rank correlation in [-1, 1], equal values sharing their mean rank; 0 if either is flat."""
    ranks = [_ranks(x) for x in (one, other)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1]) if np.ptp(one) > 0 and np.ptp(other) > 0 else 0.0


def _ranks(image: Image) -> npt.NDArray[np.float64]:
    _, place, counts = np.unique(image, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[place.reshape(-1)], np.float64)


def farneback(one: Picture, other: Picture) -> npt.NDArray[np.float32]:
    """Flow as tOF is defined with (Chu et al. 2020): Farneback, 3 levels, window 15."""
    before, after = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (one, other))
    start = np.zeros((*before.shape, 2), np.float32)
    return np.asarray(cv2.calcOpticalFlowFarneback(before, after, start, 0.5, 3, 15, 3, 5, 1.2, 0), np.float32)


def mean_colour(picture: Picture) -> Image:
    """Mean of CIE L*a*b*, float32 `[3]`."""
    return np.asarray(cv2.cvtColor(unit(picture), cv2.COLOR_RGB2LAB).reshape(-1, 3).mean(0), np.float32)


def drift(colours: list[Image]) -> float:
    """Delta E (CIE 1976) between the mean colours of the first and the last tenth of the frames."""
    tenth = max(1, len(colours) // 10)
    return float(np.linalg.norm(np.mean(colours[:tenth], 0) - np.mean(colours[-tenth:], 0)))


def unit(picture: Picture) -> Image:
    """uint8 to float32 in [0, 1]; differences of uint8 would wrap around."""
    return picture.astype(np.float32) / np.float32(255)


def _warp_errors(before: tuple[Picture, Picture], now: tuple[Picture, Picture]) -> tuple[float, float]:
    """Of the result and of the source."""
    motion = motion_between(now[0], before[0])
    source, styled = (_change(b, a, motion.flow, motion.visible)[0] for b, a in zip(before, now, strict=True))
    return styled, source


def _change(one: Picture, other: Picture, flow: npt.NDArray[np.float32], mask: Mask) -> tuple[float, float]:
    """Warp error, and mean absolute change along the motion in levels of 255."""
    if not mask.any():
        return float("nan"), float("nan")
    difference = (unit(one) - warp(unit(other), flow))[mask]
    return float(1000 * (difference**2).mean()), float(255 * np.abs(difference).mean())


def _moves(flow: npt.NDArray[np.float32]) -> bool:
    """VBench's dynamic degree: the fastest 5 % of the pixels move by more than 6 at a short side of 256, scaled."""
    lengths = np.linalg.norm(flow, axis=-1).ravel()
    fastest = np.sort(lengths)[-max(1, lengths.size // 20) :]
    return bool(fastest.mean() > 6 * min(flow.shape[:2]) / 256)


def _means(curves: Mapping[str, list[float]]) -> Figures:
    return {name: float(np.nanmean(values)) for name, values in curves.items() if not np.isnan(values).all()}
