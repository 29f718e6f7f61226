"""Steadies, tones and masks results in a thread, a batch behind the networks."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from stylize.frames import Clip, Image, to_bytes
from stylize.masks import apply_mask
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
        self._last, self._tones, self._matte = state.last, state.tones, state.matte
        self._finished = deque[Future[tuple[Clip, State]]]()
        self._thread = ThreadPoolExecutor(1, "stylize-finish")

    def __enter__(self) -> Finisher:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    def finish(self, prepared: PreparedBatch, styled: Iterable[Image], state: State) -> Iterator[tuple[Clip, State]]:
        """Adds a restyled batch, and yields those that need not wait any longer.

        Args:
            state: after the batch; this class adds `last`, `tones` and `matte`.
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
            self._last = self._tones = self._matte = None
        motions_found = [None if motion is None else motion.result() for motion in prepared.motions]
        images, self._last = batch.finish(styled, self._last, motions_found, self._fuse)
        inside = self._plan.bars.inside(*batch.clip.frames.shape[1:3])
        images = [image[inside] for image in images]
        images, self._tones = self._plan.conditions.finish.apply(images, batch.clip.times, self._tones)
        frames = batch.clip.frames.copy()  # what lies outside stays
        for frame, image in zip(frames, images, strict=True):
            frame[inside] = to_bytes(image)
        if self._plan.masking is not None:
            frames, self._matte = apply_mask(self._plan.masking, batch.clip, frames, self._matte)
        return replace(batch.clip, frames=frames), replace(state, last=self._last, tones=self._tones, matte=self._matte)


def _choose_fuse(plan: Plan) -> Fuse | None:
    """Chooses where results are fused: on a GPU where there is one; `None` without fusion."""
    weight = plan.conditions.temporal.fusion
    if weight == 0:
        return None
    if plan.device.startswith("cuda"):
        from stylize.motion.gpu import fuse_on

        return fuse_on(plan.device, weight)
    return functools.partial(fuse, weight=weight)
