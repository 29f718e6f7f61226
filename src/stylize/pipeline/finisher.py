"""Steadies, tones and masks results in a thread, a batch behind the networks."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from stylize.frames import Clip, Image, Picture, to_bytes
from stylize.masks import Bars, apply_mask, find_bars
from stylize.motion import Fuse, fuse
from stylize.pipeline.plan import Plan, State
from stylize.pipeline.preparer import PreparedBatch


class Finisher:
    """Steadies, tones and masks restyled batches in a thread, in their order, while the networks have the next one.

    Args:
        ahead: batches that the networks may take before one of this class is waited for.
    """

    def __init__(self, plan: Plan, state: State, ahead: int = 1) -> None:
        self._ahead = ahead
        self._plan, self._fuse = plan, _choose_fuse(plan)
        # of the batch that was finished last
        self._last, self._tones, self._matte, self._bars = state.last, state.tones, state.matte, state.bars
        self._finished = deque[Future[tuple[Clip, State]]]()
        self._thread = ThreadPoolExecutor(1, "stylize-finish")

    def __enter__(self) -> Finisher:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    def finish(self, prepared: PreparedBatch, styled: Iterable[Image], state: State) -> Iterator[tuple[Clip, State]]:
        """Adds a restyled batch, and yields those that need not wait any longer.

        Args:
            state: after the batch; this class adds `last`, `tones`, `matte` and `bars`.
        """
        self._finished.append(self._thread.submit(self._finish, prepared, styled, state))
        while len(self._finished) > self._ahead:
            yield self._finished.popleft().result()

    def rest(self) -> Iterator[tuple[Clip, State]]:
        """Yields the batches that were not yielded yet."""
        while self._finished:
            yield self._finished.popleft().result()

    def _finish(self, prepared: PreparedBatch, styled: Iterable[Image], state: State) -> tuple[Clip, State]:
        batch = prepared.batch
        if batch.clip.starts_shot:
            self._last = self._matte = self._bars = None
            self._tones = ()
        motions_found = [None if motion is None else motion.result() for motion in prepared.motions]
        images, self._last = batch.finish(styled, self._last, motions_found, self._fuse)
        frames = batch.clip.frames.copy()  # bars stay as they are
        for frame, image, time in zip(frames, images, batch.clip.times, strict=True):
            inside = self._find_inside(batch.clip, frame)
            (toned,), self._tones = self._plan.conditions.finish.apply([image[inside]], [time], self._tones)
            frame[inside] = to_bytes(toned)
        if self._plan.masking is not None:
            frames, self._matte = apply_mask(self._plan.masking, batch.clip, frames, self._matte)
        after = replace(state, last=self._last, tones=self._tones, matte=self._matte, bars=self._bars)
        return replace(batch.clip, frames=frames), after

    def _find_inside(self, clip: Clip, frame: Picture) -> tuple[slice, slice]:
        """Returns the rows and columns of a source frame between its black bars."""
        if self._bars is None and clip.known is None and clip.geometry is None:  # what we make ourselves has none
            self._bars = find_bars(frame)
        return (self._bars or Bars()).inside(*frame.shape[:2])


def _choose_fuse(plan: Plan) -> Fuse | None:
    """Chooses where results are fused: on a GPU where there is one; `None` without fusion."""
    weight = plan.conditions.temporal.fusion
    if weight == 0:
        return None
    if plan.device.startswith("cuda"):
        from stylize.motion.gpu import fuse_on

        return fuse_on(plan.device, weight)
    return functools.partial(fuse, weight=weight)
