"""Estimates optical flow between frames, finds where it can be trusted, and warps pictures along it."""

from __future__ import annotations

import functools
import os
from concurrent.futures import Future, ThreadPoolExecutor

import cv2
import numpy as np
import numpy.typing as npt

from stylize.frames import Flow, Mask, Motion, Picture, Value


def optical_flow(one: Picture, other: Picture) -> Flow:
    """Computes dense inverse search flow (Kroeger et al. 2016) from `one` to `other`, uint8 RGB `[H, W, 3]`.

    Uses OpenCV's medium preset with fewer patches and iterations: a third quicker and slightly more accurate
    (docs/log.md).
    """
    before, after = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (one, other))
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setPatchStride(4)
    search.setGradientDescentIterations(8)
    return np.asarray(search.calc(before, after, None), np.float32)


def warp(image: npt.NDArray[np.float32], flow: Flow, *, cubic: bool = False) -> npt.NDArray[np.float32]:
    """Warps `image` of the other frame, `[H, W]` or `[H, W, C]`, to the frame where `flow` starts; edges repeat.

    Args:
        cubic: interpolate bicubically, which keeps fine detail but overshoots a little; bilinearly otherwise.
    """
    interpolation = cv2.INTER_CUBIC if cubic else cv2.INTER_LINEAR
    return np.asarray(
        cv2.remap(image, _get_targets(flow), None, interpolation, borderMode=cv2.BORDER_REPLICATE), np.float32
    )


def visible(flow: Flow, back: Flow) -> Mask:
    """Returns where `flow` and the opposite flow `back` agree and stay inside the frame, `[H, W]`.

    `|flow + back| <= 0.01 (|flow| + |back|) + 0.5` with `back` taken where the flow leads: UnFlow's occlusion check
    (Meister et al. 2018), in the form without squares that later video papers use.
    """
    inside = is_inside(flow).astype(np.uint8)
    returned = warp(back, flow)
    bound = cv2.addWeighted(length(flow), 0.01, length(returned), 0.01, 0.5)
    agrees = cv2.compare(length(cv2.add(flow, returned)), bound, cv2.CMP_LE)
    return np.asarray(cv2.bitwise_and(inside, agrees), np.bool_)


def is_inside(flow: Flow) -> Mask:
    """Returns where a flow stays inside the frame, `[H, W]`."""
    height, width = flow.shape[:2]
    return np.asarray(cv2.inRange(_get_targets(flow), (0, 0), (width - 1, height - 1)), np.bool_)


def length(flow: Flow) -> npt.NDArray[np.float32]:
    """Returns the length of each vector, `[H, W]`."""
    return np.asarray(cv2.magnitude(flow[..., 0], flow[..., 1]), np.float32)


def motion_between(earlier: Picture, later: Picture) -> Motion:
    """Returns the motion from `earlier` to `later`, both uint8 RGB `[H, W, 3]`."""
    flow = optical_flow(later, earlier)
    return Motion(flow, visible(flow, optical_flow(earlier, later)))


def motions_between(earlier: Picture, later: Picture) -> tuple[Motion, Motion]:
    """Returns the motion from `earlier` to `later`, and the reverse motion, on the grid of `earlier`."""
    flow, back = optical_flow(later, earlier), optical_flow(earlier, later)
    return Motion(flow, visible(flow, back)), Motion(back, visible(back, flow))


def _get_targets(flow: Flow) -> npt.NDArray[np.float32]:
    """Returns the coordinates x and y that the flow leads to, `[H, W, 2]`."""
    return np.asarray(cv2.add(_make_grid(*flow.shape[:2]), flow), np.float32)


@functools.lru_cache(maxsize=4)
def _make_grid(height: int, width: int) -> npt.NDArray[np.float32]:
    return np.ascontiguousarray(np.mgrid[:height, :width][::-1].transpose(1, 2, 0), np.float32)


def known(value: Value) -> Future[Value]:
    """Returns a result that needs no finding, as `FlowPool` gives those that do."""
    future: Future[Value] = Future()
    future.set_result(value)
    return future


class FlowPool:
    """Finds the motion of pairs of frames in threads; a context manager.

    Args:
        workers: threads; half of the cores, up to 8, if left out: optical flow itself uses several.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or max(1, min(8, (os.cpu_count() or 2) // 2))
        self._threads = ThreadPoolExecutor(self.workers, "stylize-flow")

    def __enter__(self) -> FlowPool:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)

    def between(self, earlier: Picture, later: Picture) -> Future[Motion]:
        """Starts `motion_between`."""
        return self._threads.submit(motion_between, earlier, later)

    def both_ways(self, earlier: Picture, later: Picture) -> Future[tuple[Motion, Motion]]:
        """Starts `motions_between`."""
        return self._threads.submit(motions_between, earlier, later)
