"""Fuses restyled frames along the source's motion, and makes the frames between two keyframes.

Frames that are restyled one by one flicker in details that the source does not determine: strokes, grain, the decoder's
rounding. The source's motion says where these details move. So the previous result is warped along the motion, and the
new one is mixed in, more strongly where the motion cannot be trusted. This is Rerender-A-Video's pixel-aware fusion
(Yang et al. 2023), but after decoding, and the result is never encoded again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np

from stylize.frames import Cover, Flow, Image, Mask, Motion, Picture, to_floats
from stylize.motion.flow import length, warp

SHARE = 0.955
"""Share of the previous frame that is kept where it shows the same; details that it lacks come in some 20 frames."""
TOLERANCE = 0.11
"""Difference between the source and its prediction by the motion, in [0, 1], at which the share falls to 1/e."""
LIGHT_RADIUS = 4.0
"""Standard deviation of the blur that measures the light around a pixel, in pixels."""
LIGHT, LIGHT_BLUR = 0.035, 8.0
"""Change of the blurred source, in [0, 1], at which the colours follow the light; and the blur of these colours, in
pixels."""
TONE, TONE_FLOOR = 24.0, 0.02
"""Blur that separates tone from detail, in pixels; and the share below which almost no tone is carried over."""
STILL = 0.002
"""A pixel counts as still if its error without motion exceeds its error along the flow by no more than this."""


@dataclass(frozen=True)
class FramePair:
    """A source frame and its result."""

    source: Picture
    styled: Image


Fuse: TypeAlias = Callable[[FramePair, Picture, Image, Motion], Image]
"""`fuse` at some weight, on the CPU or on a device."""


def fuse(before: FramePair, source: Picture, diffused: Image, motion: Motion, weight: float = 1.0) -> Image:
    """Returns the restyled frame, steadied: `a warp(before) + (1 - a) diffused`.

    `a = weight SHARE visible exp(-(|warp(source before) - source| / TOLERANCE)^2)`. Where the light changes (a fade, a
    passing shadow), colours follow `diffused` at once, and only detail is carried over. Tone is carried over more
    softly than detail: its change `blur(a (warp(before) - diffused))` has no hard borders, as `a` has.

    Args:
        before: the previous frame, or a keyframe if `motion` leads there.
        motion: from `source` back to `before`.
    """
    now = to_floats(source)
    flow, error, expected = _remove_jitter(to_floats(before.source), now, motion)
    trusted = cv2.erode(motion.visible.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(np.float32)
    share = weight * SHARE * trusted * cv2.GaussianBlur(trusted, (0, 0), 1) * _gaussian(error / TOLERANCE)
    change = _scale(cv2.subtract(warp(before.styled, flow, cubic=True), diffused), share)
    # tone fades out where the share ends: old and new tone side by side would be seen as a patch
    tone = _blur(change, TONE)
    tone = _scale(tone, 1 - share / (_blur(share, TONE) + TONE_FLOOR))
    mixed = cv2.add(cv2.add(diffused, change), tone)
    follow = 1 - _gaussian(_average_channels(np.abs(_blur(cv2.subtract(expected, now), LIGHT_RADIUS))) / LIGHT)
    if follow.max() > 1e-3:
        mixed = cv2.add(mixed, _scale(_blur(cv2.subtract(diffused, mixed), LIGHT_BLUR), follow))
    return _clip(mixed)


def steady(
    frames: Sequence[Picture],
    styled: Iterable[Image],
    last: FramePair | None,
    motions: Sequence[Motion | None],
    fuse: Fuse | None,
    covers: Sequence[Cover] | None = None,
) -> list[Image]:
    """Fuses consecutive restyled frames, each with the previous one.

    Args:
        frames: the source frames, uint8 RGB.
        last: the frame before the first one; `None` at the start of a video or shot.
        motions: from each frame back to the previous one; `None` leaves the frame unchanged.
        fuse: carries a result along the motion; `None` leaves all frames unchanged.
        covers: what lies over each result.
    """
    results = []
    for i, (source, image, motion) in enumerate(zip(frames, styled, motions, strict=True)):
        result = image if last is None or motion is None or fuse is None else fuse(last, source, image, motion)
        result = result if covers is None else covers[i].over(result)
        last = FramePair(source, result)
        results.append(result)
    return results


def between(
    first: FramePair, last: FramePair, frames: Sequence[Picture], back: Sequence[Motion], ahead: Sequence[Motion]
) -> list[Image]:
    """Returns the frames between two keyframes, blended from both by the motion; the nearer keyframe counts more.

    Args:
        back: the motion from each frame to `first`.
        ahead: the motion from each frame to `last`.
    """
    results, sources = [], (to_floats(first.source), to_floats(last.source))
    for i, (picture, *motions) in enumerate(zip(frames, back, ahead, strict=True), start=1):
        part, now = i / (len(frames) + 1), to_floats(picture)
        weights, pictures = [], []
        for key, source, motion, near in zip((first, last), sources, motions, (1 - part, part), strict=True):
            flow, error, _ = _remove_jitter(source, now, motion)
            known = cv2.GaussianBlur(motion.visible.astype(np.float32), (0, 0), 1) * motion.visible
            weights.append(near * (known + 1e-3) * _gaussian(error / TOLERANCE) + 1e-6)
            pictures.append(warp(key.styled, flow, cubic=True))
        change = _scale(cv2.subtract(pictures[1], pictures[0]), weights[1] / (weights[0] + weights[1]))
        results.append(_clip(cv2.add(pictures[0], change)))
    return results


def chain(steps: Sequence[Motion]) -> list[Motion]:
    """Joins motions, each from a frame to the one before it, into motions from each frame to the first one."""
    whole: list[Motion] = []
    for step in steps:
        if not whole:
            whole.append(step)
            continue
        flow = step.flow + warp(whole[-1].flow, step.flow)
        visible: Mask = step.visible & (warp(whole[-1].visible.astype(np.float32), step.flow) > 0.5)
        whole.append(Motion(flow, visible))
    return whole


def _remove_jitter(earlier: Image, later: Image, motion: Motion) -> tuple[Flow, Image, Image]:
    """Returns the flow without its errors on still ground, the error that remains `[H, W]`, and the predicted frame.

    Flow jitters by fractions of a pixel where nothing moves; warping a picture by it again and again would blur it.
    """
    expected = warp(earlier, motion.flow)
    moved, stayed = _average_channels(cv2.absdiff(expected, later)), _average_channels(cv2.absdiff(earlier, later))
    still = (cv2.blur(stayed, (5, 5)) <= cv2.blur(moved, (5, 5)) + STILL) & (length(motion.flow) < 1)
    mask = still.view(np.uint8)
    flow = np.asarray(cv2.copyTo(motion.flow, 1 - mask), np.float32)
    error = cv2.blur(np.where(still, np.minimum(moved, stayed), moved), (3, 3))
    return flow, np.asarray(error, np.float32), np.asarray(cv2.copyTo(earlier, mask, expected), np.float32)


def _clip(image: Image) -> Image:
    """Clips to [0, 1]; otherwise the overshoot of cubic interpolation at edges would grow from frame to frame."""
    return np.asarray(image.clip(0, 1), np.float32)


def _scale(image: Image, by: Image) -> Image:
    """Multiplies every channel of `image` by `by`, `[H, W]`."""
    by = np.asarray(by, np.float32)
    return np.asarray(cv2.multiply(image, cv2.merge([by] * image.shape[-1])), np.float32)


def _gaussian(x: Image) -> Image:
    """Returns exp(-x^2), the weight of a pixel whose error is `x` times the tolerance."""
    return np.asarray(cv2.exp(cv2.multiply(x, x, scale=-1)), np.float32)


def _average_channels(image: Image) -> Image:
    """Returns the mean over the channels, `[H, W]`."""
    return np.asarray(cv2.transform(image, np.full((1, 3), 1 / 3, np.float32)), np.float32)


def _blur(image: Image, deviation: float) -> Image:
    """Applies a Gaussian blur of `deviation` pixels, at least 2; works at half the resolution or less, for speed."""
    height, width = image.shape[:2]
    factor = max(2, 2 ** int(np.log2(deviation / 3)))
    small = cv2.resize(image, (-(-width // factor), -(-height // factor)), interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(small, (0, 0), deviation / factor)
    return np.asarray(cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
