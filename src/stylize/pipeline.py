"""The whole flow: clips in, shots found, maps taken, frames restyled, steadied, masked, clips out."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from stylize.decode import read_picture
from stylize.errors import StyleError
from stylize.finish import Tones
from stylize.frames import (
    Clip,
    DepthEstimator,
    Image,
    Map,
    Picture,
    StructureMaps,
    join_clips,
    join_maps,
    one_by_one,
    to_bytes,
)
from stylize.masks import Masking, MattedFrame, apply_mask, masking_for
from stylize.motion import CutDetector, FlowPool, FramePair, Fuse, Motion, fuse, known, split_shots
from stylize.restyle import Conditions, Memory, Restyler
from stylize.restyle.batches import Batch, PicturePair, cut_batches
from stylize.restyle.keyframes import batch_gaps, cut_gaps
from stylize.structure import (
    DepthRange,
    DrawField,
    GivenControl,
    GivenDepth,
    StrokeOrder,
    StrokeState,
    coarsen,
    draw_field,
    take_maps,
    take_strokes,
)
from stylize.structure.stroke_maps import STROKES
from stylize.style import Style


@dataclass(frozen=True)
class Plan:
    """Everything that a style asks of a run, opened and checked; the same for all frames."""

    conditions: Conditions
    estimate_depth: DepthEstimator
    device: str = "cpu"
    """Where detectors with weights run."""
    given_depth: GivenDepth | None = None
    """Depth that came with the source, in place of an estimate."""
    drawn: Mapping[str, GivenControl] = field(default_factory=dict)
    """Controls whose pictures came with the source, in place of a detector's."""
    masking: Masking | None = None
    """Only a part of the picture is restyled."""
    fast: bool = False
    """Only keyframes are restyled."""
    strokes: StrokeOrder | None = None
    """The strokes that the model draws with, if it is asked for any."""


@dataclass(frozen=True)
class State:
    """Everything that the past of a video contributes to its next frame; a run can go on from it."""

    cuts: CutDetector = field(default_factory=CutDetector, repr=False)
    depth_range: DepthRange | None = None
    """Of the shot's depth; `None` at its start, as are the following."""
    memory: Memory = field(default_factory=Memory)
    strokes: StrokeState | None = field(default=None, repr=False)
    """Of the last restyled frame of the shot."""
    last: FramePair | None = field(default=None, repr=False)
    """The frame, or in fast mode the keyframe, that results are carried on from."""
    tones: Tones | None = None
    """Of the shot's results before they were given those of the reference."""
    matte: MattedFrame | None = field(default=None, repr=False)
    """The frame before with its matte, where only a part is restyled."""

    def cut(self) -> State:
        """The state with which the next shot starts."""
        return State(self.cuts, memory=self.memory.cut())


def make_plan(restyler: Restyler, style: Style, source: Path | None = None) -> Plan:
    """Opens everything that a style names.

    Args:
        source: the file that the clips will come from; a mask from motion looks at its beginning.

    Raises:
        StylizeError: a setting does not fit the model, or a file cannot be read.
    """
    referred = style.reference is not None and style.reference_weight > 0
    reference = read_picture(style.reference) if referred and style.reference is not None else None
    conditions = restyler.prepare(style, reference)
    given = None if style.depth_from is None else GivenDepth(style.depth_from, style.depth_large)
    if given is not None and "depth" not in conditions.controls:
        raise StyleError(f"{restyler.name} is asked for no depth", "add --control depth:1, or leave depth out")
    drawn = {n: GivenControl(n, path) for n, path in (style.control_from or {}).items() if n in conditions.controls}
    masking = masking_for(style, source, restyler.device)
    lays = STROKES in conditions.controls
    strokes = StrokeOrder(style.seed, conditions.cells, conditions.structure) if lays else None
    return Plan(
        conditions, restyler.estimate_depth, restyler.device, given, drawn, masking, style.mode == "fast", strokes
    )


def restyle_clips(
    clips: Iterable[Clip], restyler: Restyler, plan: Plan, state: State | None = None, *, at_once: bool = False
) -> Iterator[tuple[Clip, State]]:
    """Yields restyled clips, each with the state after it; how `clips` is cut changes no pixel.

    Args:
        state: of a run that was broken off; `clips` then begin with the first frame that it did not restyle.
        at_once: yield each batch before a frame of the next one is read, as a live picture wants it: the least delay,
            but less speed, as stages do not work beside each other.
    """
    ahead = 0 if at_once else 1
    state = state or State()
    frames, conditions = split_shots(one_by_one(clips), state.cuts), plan.conditions
    with FlowPool() as flows, Finisher(plan, state, ahead) as finisher, Preparer(plan, state, flows, ahead) as preparer:
        gaps = batch_gaps(cut_gaps(frames, flows, state.last), restyler.batch) if plan.fast else None
        for prepared in preparer.prepare(gaps or cut_batches(frames, restyler.batch)):
            batch = prepared.batch
            state = replace(state.cut() if batch.clip.starts_shot else state, cuts=batch.cuts)
            styled: Iterable[Image] = ()
            if batch.to_restyle:
                maps, state = _take_maps(prepared, plan, state)
                start = coarsen(join_clips(batch.to_restyle), conditions.footage, conditions.structure)
                styled, memory = restyler.restyle(start, maps, state.memory, conditions)
                state = replace(state, memory=memory)
            yield from finisher.finish(prepared, styled, state)
        yield from finisher.rest()


def _take_maps(prepared: PreparedBatch, plan: Plan, state: State) -> tuple[StructureMaps, State]:
    """Takes the maps of a batch, one clip after the other, and returns the state with what they leave."""
    maps, depth_range = [], state.depth_range
    names = [name for name in plan.conditions.controls if name != STROKES]
    for clip in prepared.batch.to_restyle:
        one, depth_range = take_maps(
            clip, names, plan.estimate_depth, depth_range, plan.device, structure=plan.conditions.structure,
            given=plan.given_depth, drawn=plan.drawn,
        )  # fmt: skip
        maps.append(one)
    taken, state = join_maps(maps), replace(state, depth_range=depth_range)
    if prepared.strokes is not None:
        drawn, strokes = prepared.strokes.result()
        taken, state = StructureMaps({**taken.maps, STROKES: drawn}), replace(state, strokes=strokes)
    return taken, state


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
        images, self._tones = self._plan.conditions.finish.apply(images, batch.clip.times, self._tones)
        frames = np.stack([to_bytes(image) for image in images])
        if self._plan.masking is not None:
            frames, self._matte = apply_mask(self._plan.masking, batch.clip, frames, self._matte)
        return replace(batch.clip, frames=frames), replace(state, last=self._last, tones=self._tones, matte=self._matte)


def _choose_draw(plan: Plan) -> DrawField:
    """Chooses where stroke fields are drawn: on a GPU where there is one."""
    if not plan.device.startswith("cuda"):
        return draw_field
    from stylize.structure.stroke_gpu import draw_on

    return draw_on(plan.device)


def _choose_fuse(plan: Plan) -> Fuse | None:
    """Chooses where results are fused: on a GPU where there is one; `None` without fusion."""
    weight = plan.conditions.temporal.fusion
    if weight == 0:
        return None
    if plan.device.startswith("cuda"):
        from stylize.motion.gpu import fuse_on

        return fuse_on(plan.device, weight)
    return functools.partial(fuse, weight=weight)
