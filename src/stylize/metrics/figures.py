"""Measures steadiness, kept motion and kept forms of a restyled video, and whether it is restyled at all.

Doing nothing, or blurring, is enough for good consistency. So the guards (style change, sharpness, dynamic degree) are
reported with it, and the floors: the same figures for the source itself. All arithmetic is float32 on [0, 1]; optical
flow is computed on the source. The videos are read side by side, a few frames at a time; only their figures are kept.
"""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from stylize.frames import Image, Mask, Picture, to_floats
from stylize.motion import motion_between, warp

Figures: TypeAlias = dict[str, float]

EDGE_TOLERANCE = 2
DETAIL = 2.0
"""Standard deviation of the blur that tells detail from the rest, in pixels."""
BORDER = 16
"""Pixels that tOF leaves out on each side, as in TecoGAN's evaluation."""


def frame_figures(source: Picture, styled: Picture) -> Figures:
    """Returns the figures of a single frame."""
    difference = cv2.cvtColor(to_floats(source), cv2.COLOR_RGB2LAB) - cv2.cvtColor(to_floats(styled), cv2.COLOR_RGB2LAB)
    return {
        "edge_f1": edge_f1(styled, source),
        "style_change": float(np.linalg.norm(difference, axis=-1).mean()),
        "sharpness": sharpness(styled),
    }


def pair_figures(before: tuple[Picture, Picture], now: tuple[Picture, Picture]) -> tuple[Figures, Figures]:
    """Returns the figures of two consecutive frames, each (source, styled): the result's, and the source's own.

    `warp_error` is NaN if no pixel of the earlier frame is visible in the later one.
    """
    motion = motion_between(now[0], before[0])  # flow and mask are on the grid of the earlier frame (Lai et al. 2018)
    source, styled = (measure_change(b, a, motion.flow, motion.visible) for b, a in zip(before, now, strict=True))
    flows = [farneback(*pair) for pair in zip(before, now, strict=True)]
    inner = np.s_[BORDER:-BORDER, BORDER:-BORDER] if min(flows[0].shape[:2]) > 4 * BORDER else np.s_[:, :]
    figures = {
        "warp_error": styled[0],
        "flicker": styled[1],
        "tof": float(np.linalg.norm(flows[0] - flows[1], axis=-1)[inner].mean()),
        "dynamic_degree": float(_is_dynamic(flows[1])),
        "detail_along": correlate_detail(before[1], now[1], motion.visible, motion.flow),
        "detail_in_place": correlate_detail(before[1], now[1], motion.visible),
    }
    return figures, {"warp_error": source[0], "flicker": source[1], "dynamic_degree": float(_is_dynamic(flows[0]))}


def warp_error(one: Picture, other: Picture, flow: npt.NDArray[np.float32], mask: Mask) -> float:
    """Returns 1000 times the mean squared difference of `one` and `other` warped by `flow`, over `mask`, on [0, 1].

    Lai et al. 2018, eq. 12: mask and result are on the grid of `one`. NaN if the mask is empty.
    """
    return measure_change(one, other, flow, mask)[0]


def error_map(one: Picture, other: Picture, flow: npt.NDArray[np.float32], mask: Mask) -> Image:
    """Returns the root mean squared difference along the motion, `[H, W]` in [0, 1]; 0 where it cannot be known."""
    difference = to_floats(one) - warp(to_floats(other), flow)
    return np.asarray(np.sqrt((difference**2).mean(-1)) * mask, np.float32)


def correlate_detail(one: Picture, other: Picture, mask: Mask, flow: npt.NDArray[np.float32] | None = None) -> float:
    """Returns the correlation in [-1, 1] of the fine detail of two pictures, over `mask`.

    Detail is what a blur of `DETAIL` pixels removes from the lightness. Strokes that stick to surfaces agree along the
    motion; those that stick to the screen agree at the same place. 0 where there is no detail.

    Args:
        flow: from `one` to `other`; without it the same places are compared.
    """
    gray = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) for picture in (one, other)]
    before, after = (image - cv2.GaussianBlur(image, (0, 0), DETAIL) for image in gray)
    after = after if flow is None else warp(after, flow, cubic=True)
    pair = before[mask], after[mask]
    deviations = [float(values.std()) if len(values) else 0.0 for values in pair]
    return float(np.corrcoef(*pair)[0, 1]) if min(deviations) > 1e-3 else 0.0


def sharpness(picture: Picture) -> float:
    """Returns the standard deviation of the Laplacian of the lightness, in levels of 255."""
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float(cv2.Laplacian(gray, cv2.CV_32F).std())


def edge_f1(one: Picture, other: Picture, tolerance: int = EDGE_TOLERANCE) -> float:
    """Returns the F1 score of the Canny edges of `one` and `other`; edges up to `tolerance` pixels apart match."""
    edges = [cv2.Canny(cv2.GaussianBlur(x, (0, 0), 1), 60, 160) > 0 for x in (one, other)]
    kernel = np.ones((2 * tolerance + 1,) * 2, np.uint8)
    near = [cv2.dilate(e.astype(np.uint8), kernel) > 0 for e in edges]
    if not edges[0].any() and not edges[1].any():
        return 1.0
    precision = (edges[0] & near[1]).sum() / max(edges[0].sum(), 1)
    recall = (edges[1] & near[0]).sum() / max(edges[1].sum(), 1)
    return float(2 * precision * recall / max(precision + recall, 1e-9))


def spearman(one: Image, other: Image) -> float:
    """Returns the rank correlation in [-1, 1]; equal values share their mean rank; 0 if either picture is flat."""
    ranks = [_rank(x) for x in (one, other)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1]) if np.ptp(one) > 0 and np.ptp(other) > 0 else 0.0


def _rank(image: Image) -> npt.NDArray[np.float64]:
    _, inverse, counts = np.unique(image, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[inverse.reshape(-1)], np.float64)


def farneback(one: Picture, other: Picture) -> npt.NDArray[np.float32]:
    """Returns the optical flow that defines tOF (Chu et al. 2020): Farneback, 3 levels, window 15."""
    before, after = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (one, other))
    start = np.zeros((*before.shape, 2), np.float32)
    return np.asarray(cv2.calcOpticalFlowFarneback(before, after, start, 0.5, 3, 15, 3, 5, 1.2, 0), np.float32)


def mean_colour(picture: Picture) -> Image:
    """Returns the mean colour in CIE L*a*b*, float32 `[3]`."""
    return np.asarray(cv2.cvtColor(to_floats(picture), cv2.COLOR_RGB2LAB).reshape(-1, 3).mean(0), np.float32)


def drift(colours: list[Image]) -> float:
    """Returns Delta E (CIE 1976) between the mean colours of the first and the last tenth of the frames."""
    tenth = max(1, len(colours) // 10)
    return float(np.linalg.norm(np.mean(colours[:tenth], 0) - np.mean(colours[-tenth:], 0)))


def measure_change(one: Picture, other: Picture, flow: npt.NDArray[np.float32], mask: Mask) -> tuple[float, float]:
    """Returns the warp error, and the mean absolute change along the motion in levels of 255."""
    if not mask.any():
        return float("nan"), float("nan")
    difference = (to_floats(one) - warp(to_floats(other), flow))[mask]
    return float(1000 * (difference**2).mean()), float(255 * np.abs(difference).mean())


def _is_dynamic(flow: npt.NDArray[np.float32]) -> bool:
    """True if the fastest 5 % of pixels move by more than 6 pixels at a short side of 256 (VBench's dynamic degree)."""
    lengths = np.linalg.norm(flow, axis=-1).ravel()
    fastest = np.sort(lengths)[-max(1, lengths.size // 20) :]
    return bool(fastest.mean() > 6 * min(flow.shape[:2]) / 256)
