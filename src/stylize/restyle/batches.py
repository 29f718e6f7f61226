"""Batches of the full mode: every frame goes through the networks, then is steadied along the source's motion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from stylize.frames import Clip, Image, Picture, batches
from stylize.motion import CutDetector, FramePair, Fuse, Motion, steady

PicturePair: TypeAlias = tuple[Picture, Picture]


@dataclass(frozen=True, eq=False)
class Batch:
    """Consecutive frames of a shot that are restyled together, and steadied afterwards."""

    clip: Clip
    cuts: CutDetector
    """The cut detector after the last frame."""

    @property
    def to_restyle(self) -> Sequence[Clip]:
        """The frames that go through the networks together, in clips of consecutive ones."""
        return (self.clip,)

    def list_pairs(self, before: Picture | None) -> Sequence[PicturePair | None]:
        """Lists the frames whose motion `finish` needs, each with the one before it; `None` where there is none.

        Args:
            before: the source frame before the batch; `None` at the start of a shot.
        """
        earlier = [before, *self.clip.frames[:-1]]
        return [None if one is None else (one, other) for one, other in zip(earlier, self.clip.frames, strict=True)]

    def list_steps(self, motions: Sequence[Motion | None]) -> Sequence[tuple[Picture, Motion | None, Fraction]]:
        """Lists the restyled frames, each with the motion back to the restyled frame before it, and its second.

        Args:
            motions: of the pairs of `list_pairs`.
        """
        return list(zip(self.clip.frames, motions, self.clip.times, strict=True))

    def finish(
        self, styled: Iterable[Image], last: FramePair | None, motions: Sequence[Motion | None], fuse: Fuse | None
    ) -> tuple[list[Image], FramePair]:
        """Turns restyled frames into the result.

        Args:
            styled: the restyled frames of `to_restyle`.
            last: the frame before the batch; `None` at the start of a shot.
            motions: of the pairs of `list_pairs`; `None` leaves a frame as it is.
            fuse: carries a result along the motion; `None` leaves all frames as they are.

        Returns:
            The frames, and the pair that the next batch goes on from.
        """
        images = steady([*self.clip.frames], styled, last, motions, fuse, self.clip.covers)
        return images, FramePair(self.clip.frames[-1], images[-1])


def cut_batches(frames: Iterable[tuple[Clip, CutDetector]], size: int) -> Iterator[Batch]:
    """Cuts frames into batches of up to `size`; see `frames.batches`."""
    return (Batch(clip, cuts) for clip, cuts in batches(frames, size))
