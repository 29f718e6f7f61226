"""The whole flow: clips in, shots found, maps taken, frames restyled, steadied, masked, clips out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from stylize.frames import Clip, Image, StructureMaps, join_clips, join_maps, one_by_one
from stylize.motion import FlowPool, split_shots
from stylize.pipeline.finisher import Finisher
from stylize.pipeline.plan import Plan, State
from stylize.pipeline.preparer import PreparedBatch, Preparer
from stylize.restyle import Restyler
from stylize.restyle.batches import cut_batches
from stylize.restyle.keyframes import batch_gaps, cut_gaps
from stylize.structure import coarsen, take_maps
from stylize.structure.stroke_maps import STROKES


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
