"""What a frame takes over from restyled frames beside it, along the motion of the source: fusion, and frames between.

A restyle a frame flickers in what the source does not fix: strokes, grain, the decoder's rounding. The source's motion
says where each of them should have gone, so the result of the frame before is carried along and the new one only mixed
in, more where the motion cannot be trusted (Rerender-A-Video's pixel-aware fusion, Yang et al. 2023, after decoding and
never encoded again).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from stylize.frames import Image, Picture, to_floats
from stylize.motion.flow import Flow, Mask, Motion, length, warp

SHARE = 0.955
"""How much of the frame before is kept where it shows the same; what it misses is made up for in some 20 frames."""
TOLERANCE = 0.11
"""Difference of the source to what the motion predicts, in [0, 1], at which the share falls to 1/e."""
AROUND = 4.0
"""Deviation of the blur by which the light around a pixel is judged, in pixels."""
LIGHT, LIGHT_BLUR = 0.035, 8.0
"""Change of the blurred source from which on the light has changed and the colours follow, in [0, 1]; and the blur."""
TONE, TONE_FLOOR = 24.0, 0.02
"""Blur by which tone is told from detail, in pixels; and the share under which next to no tone is taken over."""
STILL = 0.002
"""Standing still explains a frame as well as the flow does, if its error is not higher than that by more than this."""


@dataclass(frozen=True)
class FramePair:
    """A source frame and its result."""

    source: Picture
    styled: Image


def fuse(before: FramePair, source: Picture, diffused: Image, motion: Motion, weight: float = 1.0) -> Image:
    """The restyled frame, steadied: `a warp(before) + (1 - a) diffused`.

    `a = weight SHARE visible exp(-(|warp(source before) - source| / TOLERANCE)^2)`. Where the light changes (a fade, a
    passing shadow), colours follow `diffused` at once; only detail is carried. Tone is taken over more softly than
    detail: its change `blur(a (warp(before) - diffused))` has no borders, `a` has.

    Args:
        before: the frame before, or a keyframe if `motion` leads there.
        motion: from `source` back to `before`.
    """
    now = to_floats(source)
    flow, error, expected = _settle(to_floats(before.source), now, motion)
    trusted = cv2.erode(motion.visible.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(np.float32)
    share = weight * SHARE * trusted * cv2.GaussianBlur(trusted, (0, 0), 1) * _bell(error / TOLERANCE)
    change = _scale(cv2.subtract(warp(before.styled, flow, cubic=True), diffused), share)
    tone = _blur(change, TONE)  # where the share ends, tone fades out: a new tone beside an old one is a patch
    tone = _scale(tone, 1 - share / (_blur(share, TONE) + TONE_FLOOR))
    mixed = cv2.add(cv2.add(diffused, change), tone)
    follow = 1 - _bell(_mean(np.abs(_blur(cv2.subtract(expected, now), AROUND))) / LIGHT)
    if follow.max() > 1e-3:
        mixed = cv2.add(mixed, _scale(_blur(cv2.subtract(diffused, mixed), LIGHT_BLUR), follow))
    return _clip(mixed)


def steady(
    frames: Sequence[Picture],
    styled: Sequence[Image],
    last: FramePair | None,
    motions: Sequence[Motion | None],
    weight: float = 1.0,
) -> list[Image]:
    """Consecutive restyled frames, each fused with the one before it.

    Args:
        frames: of the source, uint8 RGB.
        last: the frame before them; `None` where there is none.
        motions: from each frame back to the one before it; `None` leaves the frame as it is.
        weight: as in `fuse`.
    """
    results = []
    for source, image, motion in zip(frames, styled, motions, strict=True):
        result = image if last is None or motion is None else fuse(last, source, image, motion, weight)
        last = FramePair(source, result)
        results.append(result)
    return results


def between(
    first: FramePair, last: FramePair, frames: Sequence[Picture], back: Sequence[Motion], ahead: Sequence[Motion]
) -> list[Image]:
    """Frames between two keyframes, each made of both by its motion to them; the nearer one counts more.

    Args:
        back: of each frame, to `first`.
        ahead: of each frame, to `last`.
    """
    results, sources = [], (to_floats(first.source), to_floats(last.source))
    for i, (picture, *motions) in enumerate(zip(frames, back, ahead, strict=True), start=1):
        part, now = i / (len(frames) + 1), to_floats(picture)
        weights, pictures = [], []
        for key, source, motion, near in zip((first, last), sources, motions, (1 - part, part), strict=True):
            flow, error, _ = _settle(source, now, motion)
            known = cv2.GaussianBlur(motion.visible.astype(np.float32), (0, 0), 1) * motion.visible
            weights.append(near * (known + 1e-3) * _bell(error / TOLERANCE) + 1e-6)
            pictures.append(warp(key.styled, flow, cubic=True))
        news = _scale(cv2.subtract(pictures[1], pictures[0]), weights[1] / (weights[0] + weights[1]))
        results.append(_clip(cv2.add(pictures[0], news)))
    return results


def chain(steps: Sequence[Motion]) -> list[Motion]:
    """Motions to the frame before, each from one frame further on, joined to motions all the way to the first one."""
    whole: list[Motion] = []
    for step in steps:
        if not whole:
            whole.append(step)
            continue
        flow = step.flow + warp(whole[-1].flow, step.flow)
        seen: Mask = step.visible & (warp(whole[-1].visible.astype(np.float32), step.flow) > 0.5)
        whole.append(Motion(flow, seen))
    return whole


def _settle(earlier: Image, later: Image, motion: Motion) -> tuple[Flow, Image, Image]:
    """The flow with its errors on still ground taken out, what remains unexplained `[H, W]`, and what it predicts.

    Flow trembles by fractions of a pixel where nothing moves; resampled again and again, that blurs.
    """
    expected = warp(earlier, motion.flow)
    moved, stayed = _mean(cv2.absdiff(expected, later)), _mean(cv2.absdiff(earlier, later))
    still = (cv2.blur(stayed, (5, 5)) <= cv2.blur(moved, (5, 5)) + STILL) & (length(motion.flow) < 1)
    mask = still.view(np.uint8)
    flow = np.asarray(cv2.copyTo(motion.flow, 1 - mask), np.float32)
    error = cv2.blur(np.where(still, np.minimum(moved, stayed), moved), (3, 3))
    return flow, np.asarray(error, np.float32), np.asarray(cv2.copyTo(earlier, mask, expected), np.float32)


def _clip(image: Image) -> Image:
    """Within [0, 1]: what cubic resampling adds at edges would grow from frame to frame otherwise."""
    return np.asarray(image.clip(0, 1), np.float32)


def _scale(image: Image, by: Image) -> Image:
    """`image` times `by`, `[H, W]`, in every channel."""
    by = np.asarray(by, np.float32)
    return np.asarray(cv2.multiply(image, cv2.merge([by] * image.shape[-1])), np.float32)


def _bell(x: Image) -> Image:
    """exp(-x^2), by which a share falls."""
    return np.asarray(cv2.exp(cv2.multiply(x, x, scale=-1)), np.float32)


def _mean(image: Image) -> Image:
    """Over the channels, `[H, W]`."""
    return np.asarray(cv2.transform(image, np.full((1, 3), 1 / 3, np.float32)), np.float32)


def _blur(image: Image, deviation: float) -> Image:
    """A Gaussian blur by `deviation` pixels, at least 2; done at half the resolution or less, which is quicker."""
    height, width = image.shape[:2]
    factor = max(2, 2 ** int(np.log2(deviation / 3)))
    small = cv2.resize(image, (-(-width // factor), -(-height // factor)), interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(small, (0, 0), deviation / factor)
    return np.asarray(cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
