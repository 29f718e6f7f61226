"""Computes in threads, a batch ahead of the networks, what frames need: their motion and their strokes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from stylize.frames import Clip, Map, Picture
from stylize.motion import FlowPool, Motion, known
from stylize.pipeline.plan import Plan, State
from stylize.restyle.batches import Batch, PicturePair
from stylize.structure import DrawField, StrokeOrder, StrokeState, draw_field, take_strokes


@dataclass(frozen=True)
class PreparedBatch:
    """A batch with what is computed from its source alone, while the networks have the one before."""

    batch: Batch
    motions: Sequence[Future[Motion] | None]
    """Of the pairs of `Batch.list_pairs`."""
    strokes: Future[tuple[Map, StrokeState]] | None
    """Maps of the strokes of the restyled frames, and the state after them."""


class Preparer:
    """Finds the motion of batches and lays their strokes, in threads.

    Args:
        ahead: batches that are begun before the networks take them, if there are strokes to lay.
    """

    def __init__(self, plan: Plan, state: State, flows: FlowPool, ahead: int = 1) -> None:
        self._order, self._flows, self._ahead = plan.strokes, flows, 0 if plan.strokes is None else ahead
        self._draw = _choose_draw(plan)
        # in fast mode the motion is known already
        self._needs_motion = plan.conditions.temporal.fusion > 0 or plan.strokes is not None
        self._before = None if state.last is None else state.last.source
        self._strokes, self._shot = state.strokes, state.memory.shot
        self._thread = ThreadPoolExecutor(1, "stylize-strokes")

    def __enter__(self) -> Preparer:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    def prepare(self, batches: Iterable[Batch]) -> Iterator[PreparedBatch]:
        """Yields the batches with what is computed for them."""
        waiting = deque[PreparedBatch]()
        for batch in batches:
            waiting.append(self._start(batch))
            if len(waiting) > self._ahead:
                yield waiting.popleft()
        yield from waiting

    def _start(self, batch: Batch) -> PreparedBatch:
        starts = batch.clip.starts_shot
        before: Picture | None = None if starts else self._before
        self._before = batch.clip.frames[-1]
        self._shot += starts
        pairs = batch.list_pairs(before)
        motions = self._find_motions(batch.clip, pairs) if self._needs_motion else [None] * len(pairs)
        strokes = None
        if self._order is not None and batch.to_restyle:
            strokes = self._thread.submit(self._lay_strokes, self._order, batch, motions, self._shot)
        return PreparedBatch(batch, motions, strokes)

    def _find_motions(self, clip: Clip, pairs: Sequence[PicturePair | None]) -> list[Future[Motion] | None]:
        """Starts to find the motion of pairs; that of rendered frames is known."""
        if clip.geometry is None:
            return [self._flows.between(*pair) if pair else None for pair in pairs]
        return [known(one.back) if pair and one.back else None for pair, one in zip(pairs, clip.geometry, strict=False)]

    def _lay_strokes(
        self, order: StrokeOrder, batch: Batch, motions: Sequence[Future[Motion] | None], shot: int
    ) -> tuple[Map, StrokeState]:
        state = None if batch.clip.starts_shot else self._strokes
        steps = batch.list_steps([None if motion is None else motion.result() for motion in motions])
        maps, self._strokes = take_strokes(steps, order, state, shot, self._draw)
        return maps, self._strokes


def _choose_draw(plan: Plan) -> DrawField:
    """Chooses where stroke fields are drawn: on a GPU where there is one."""
    if not plan.device.startswith("cuda"):
        return draw_field
    from stylize.structure.stroke_gpu import draw_on

    return draw_on(plan.device)
