"""The loop of a run: frames are read ahead, restyled, encoded in a thread, and saved segment by segment."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from stylize.decode import ReadAhead
from stylize.decode.source import Source
from stylize.encode import Target, VideoWriter
from stylize.frames import Clip, resize
from stylize.networks.image_networks import Evaluations
from stylize.pipeline import Plan, State, restyle_clips
from stylize.restyle import Restyler
from stylize.runs.state import to_bytes
from stylize.runs.units import WHOLE, Unit, is_border


@dataclass(frozen=True)
class Run:
    """Everything that a run needs, checked."""

    restyler: Restyler
    plan: Plan
    reader: Source
    target: Target
    identity: Mapping[str, Any]
    """Everything that the frames depend on."""

    def restyle(
        self, writer: VideoWriter, state: State | None, evaluations: Evaluations, unit: Unit = WHOLE
    ) -> Generator[tuple[Mapping[str, int], State], None, None]:
        """Restyles the video, a unit of it, or the rest of either, and writes it.

        Yields, after every batch, the counts of frames, shots, keyframes and UNet samples so far, and the state.

        Args:
            writer: with the manifest of an unfinished run that is resumed, if there is one.
            state: after the last frame of that manifest, or the one that the unit begins with.
            evaluations: counts what goes through the networks during the run.
        """
        before, resumed = writer.counts, bool(writer.manifest.segments)
        frames, shots, keyframes = unit.first + writer.manifest.frames, before.get("shots", 0), 0
        border = before.get("border", unit.first if unit.border is None else unit.border)

        def sum_up() -> dict[str, int]:
            # the networks are a batch ahead: count only the samples of written keyframes, which all cost the same
            samples = keyframes * evaluations.unet // max(evaluations.frames, 1)
            return {
                "frames": frames, "shots": shots, "keyframes": before.get("keyframes", 0) + keyframes,
                "unet": before.get("unet", 0) + samples, "border": border,
            }  # fmt: skip

        if writer.manifest.complete:
            with writer:  # only the segments are left to be joined
                return
        to_drop = 0 if resumed else unit.warm_up
        # clips of one frame, so that hardly more than one batch is read ahead
        clips = self.reader.clips(length=1, skip=frames - to_drop)
        if unit.last is not None:
            clips = itertools.islice(clips, unit.last - frames + to_drop)
        with writer, ReadAhead(clips, depth=max(4, self.restyler.batch)) as ahead:
            for clip, after in restyle_clips(ahead, self.restyler, self.plan, state):
                if clip.starts_shot and state is not None and is_border(frames, border):
                    writer.checkpoint(functools.partial(to_bytes, state), sum_up(), short=True)
                    border = frames
                earlier = 0 if clip.starts_shot or state is None else state.memory.frames_in_shot
                keyframes, state = keyframes + after.memory.frames_in_shot - earlier, after
                dropped = min(to_drop, len(clip))
                to_drop -= dropped
                if dropped == len(clip):
                    continue
                kept = clip.part(dropped, len(clip), starts_shot=clip.starts_shot and not dropped)
                writer.write(resize_clip(kept, self.target.size))
                shots, frames = shots + kept.starts_shot, frames + len(kept)
                yield sum_up(), after
                writer.checkpoint(functools.partial(to_bytes, after), sum_up())
            writer.counts = sum_up()


def resize_clip(clip: Clip, size: tuple[int, int]) -> Clip:
    """Returns the clip at the size of the result, enlarged by Lanczos."""
    if clip.size == size:
        return clip
    alpha = None
    if clip.alpha is not None:
        alpha = np.stack([resize(one, size, enlarge=cv2.INTER_LANCZOS4) for one in clip.alpha])
    frames = np.stack([resize(one, size, enlarge=cv2.INTER_LANCZOS4) for one in clip.frames])
    return replace(clip, frames=frames, alpha=alpha)
