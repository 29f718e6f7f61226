"""The whole flow: clips in, shots found, maps taken, frames restyled, steadied, masked, clips out."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType

import numpy as np

from stylize.decode import read_picture
from stylize.errors import StyleError
from stylize.frames import (
    Clip,
    DepthEstimator,
    Image,
    Picture,
    StructureMaps,
    join_clips,
    join_maps,
    one_by_one,
    to_bytes,
)
from stylize.masks import Masking, MattedFrame, apply_mask, masking_for
from stylize.motion import CutDetector, FlowPool, FramePair, Fuse, Motion, fuse, split_shots
from stylize.restyle import Conditions, Memory, Restyler
from stylize.restyle.batches import Batch, cut_batches
from stylize.restyle.keyframes import batch_gaps, cut_gaps
from stylize.structure import DepthRange, GivenDepth, coarsen, take_maps
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
    masking: Masking | None = None
    """Only a part of the picture is restyled."""
    fast: bool = False
    """Only keyframes are restyled."""


@dataclass(frozen=True)
class State:
    """Everything that the past of a video contributes to its next frame; a run can go on from it."""

    cuts: CutDetector = field(default_factory=CutDetector, repr=False)
    depth_range: DepthRange | None = None
    """Of the shot's depth; `None` at its start, as are the following."""
    memory: Memory = field(default_factory=Memory)
    last: FramePair | None = field(default=None, repr=False)
    """The frame, or in fast mode the keyframe, that results are carried on from."""
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
    masking = masking_for(style, source, restyler.device)
    return Plan(conditions, restyler.estimate_depth, restyler.device, given, masking, style.mode == "fast")


def restyle_clips(
    clips: Iterable[Clip], restyler: Restyler, plan: Plan, state: State | None = None
) -> Iterator[tuple[Clip, State]]:
    """Yields restyled clips, each with the state after it; how `clips` is cut changes no pixel.

    Args:
        state: of a run that was broken off; `clips` then begin with the first frame that it did not restyle.
    """
    state = state or State()
    frames, conditions = split_shots(one_by_one(clips), state.cuts), plan.conditions
    with FlowPool() as flows, Finisher(plan, state, flows) as finisher:
        gaps = batch_gaps(cut_gaps(frames, flows, state.last), restyler.batch) if plan.fast else None
        for batch in gaps or cut_batches(frames, restyler.batch):
            state = replace(state.cut() if batch.clip.starts_shot else state, cuts=batch.cuts)
            finisher.find_motion(batch)
            styled: Iterable[Image] = ()
            if batch.to_restyle:
                maps, depth_range = _take_maps(batch.to_restyle, plan, state.depth_range)
                start = coarsen(join_clips(batch.to_restyle), conditions.footage, conditions.structure)
                styled, memory = restyler.restyle(start, maps, state.memory, conditions)
                state = replace(state, depth_range=depth_range, memory=memory)
            yield from finisher.finish(batch, styled, state)
        yield from finisher.rest()


def _take_maps(
    clips: Sequence[Clip], plan: Plan, depth_range: DepthRange | None
) -> tuple[StructureMaps, DepthRange | None]:
    """Takes the maps of clips of one shot, one after the other, as `take_maps`."""
    maps = []
    for clip in clips:
        one, depth_range = take_maps(
            clip, plan.conditions.controls, plan.estimate_depth, depth_range, plan.device,
            structure=plan.conditions.structure, given=plan.given_depth,
        )  # fmt: skip
        maps.append(one)
    return join_maps(maps), depth_range


class Finisher:
    """Steadies and masks restyled batches in a thread, in their order, while the networks have the next one."""

    def __init__(self, plan: Plan, state: State, flows: FlowPool) -> None:
        self._masking, self._flows = plan.masking, flows
        self._fuse = _choose_fuse(plan)
        self._last, self._matte = state.last, state.matte  # of the batch that was finished last
        self._before = None if state.last is None else state.last.source
        self._motions = deque[list[Future[Motion] | None]]()
        self._finished = deque[Future[tuple[Clip, State]]]()
        self._thread = ThreadPoolExecutor(1, "stylize-finish")

    def __enter__(self) -> Finisher:
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(cancel_futures=True)

    def find_motion(self, batch: Batch) -> None:
        """Starts finding the motion of the source, which needs no result of the networks."""
        before: Picture | None = None if batch.clip.starts_shot else self._before
        self._before = batch.clip.frames[-1]
        pairs = batch.list_pairs(before)
        wanted = self._fuse is not None
        self._motions.append([self._flows.between(*pair) if pair and wanted else None for pair in pairs])

    def finish(self, batch: Batch, styled: Iterable[Image], state: State) -> Iterator[tuple[Clip, State]]:
        """Adds a restyled batch, and yields those that were added before it.

        Args:
            state: after the batch; this class adds `last` and `matte`.
        """
        self._finished.append(self._thread.submit(self._finish, batch, styled, state, self._motions.popleft()))
        while len(self._finished) > 1:
            yield self._finished.popleft().result()

    def rest(self) -> Iterator[tuple[Clip, State]]:
        """Yields the batches that were not yielded yet."""
        while self._finished:
            yield self._finished.popleft().result()

    def _finish(
        self, batch: Batch, styled: Iterable[Image], state: State, motions: Sequence[Future[Motion] | None]
    ) -> tuple[Clip, State]:
        if batch.clip.starts_shot:
            self._last = self._matte = None
        motions_found = [None if motion is None else motion.result() for motion in motions]
        images, self._last = batch.finish(styled, self._last, motions_found, self._fuse)
        frames = np.stack([to_bytes(image) for image in images])
        if self._masking is not None:
            frames, self._matte = apply_mask(self._masking, batch.clip, frames, self._matte)
        return replace(batch.clip, frames=frames), replace(state, last=self._last, matte=self._matte)


def _choose_fuse(plan: Plan) -> Fuse | None:
    """Chooses where results are fused: on a GPU where there is one; `None` without fusion."""
    weight = plan.conditions.temporal.fusion
    if weight == 0:
        return None
    if plan.device.startswith("cuda"):
        from stylize.motion.gpu import fuse_on

        return fuse_on(plan.device, weight)
    return functools.partial(fuse, weight=weight)
