"""What the past of a video contributes to its next frame: a value with a bound, handed in and handed out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch

from stylize.motion.fusion import Seen
from stylize.networks.attention import FrameCache, StepCache
from stylize.structure import DepthRange


@dataclass(frozen=True)
class Memory:
    """State between two frames: at most three frames' keys and values and one frame's pictures, whatever the length.

    A cut empties it but for `style_anchor`, which keeps the shots of one video alike.
    """

    style_anchor: FrameCache = field(default=(), repr=False)
    """The video's first frame; only the first frame of each later shot looks at it."""
    anchor: FrameCache = field(default=(), repr=False)
    """The shot's first frame; never replaced within the shot, so that the look cannot drift."""
    previous: FrameCache = field(default=(), repr=False)
    """The frame before."""
    last: Seen | None = field(default=None, repr=False)
    """The frame before, as it was and as it became."""
    depth_range: DepthRange | None = None
    shot: int = -1
    """Number of the current shot; -1 before the first frame."""
    frames_in_shot: int = 0
    """Frames done since the cut."""

    def cut(self) -> Memory:
        """The memory with which the next shot starts."""
        return Memory(style_anchor=self.style_anchor, shot=self.shot + 1)

    def references(self, step: int) -> tuple[StepCache, ...]:
        """What a frame of this shot looks at in denoising step `step`."""
        if self.frames_in_shot == 0:
            frames: tuple[FrameCache, ...] = (self.style_anchor,)
        elif self.frames_in_shot == 1:  # the anchor is the predecessor; twice the same would count double
            frames = (self.anchor,)
        else:
            frames = (self.anchor, self.previous)
        return tuple(frame[step] for frame in frames if frame)

    def after(self, frame: FrameCache, last: Seen | None) -> Memory:
        """The memory once a frame is done, or under way: its keys and values, and its pictures if there are any yet."""
        return replace(
            self,
            style_anchor=self.style_anchor if self.style_anchor or self.frames_in_shot else frame,
            anchor=self.anchor if self.frames_in_shot else frame,
            previous=frame,
            last=last,
            frames_in_shot=self.frames_in_shot + 1,
        )

    def tensors(self) -> Iterator[torch.Tensor]:
        """Every tensor held, each once."""
        seen: set[int] = set()
        for frame in (self.style_anchor, self.anchor, self.previous):
            for keys, values in (pair for step in frame for pair in step.values()):
                for tensor in (keys, values):
                    if id(tensor) not in seen:
                        seen.add(id(tensor))
                        yield tensor

    @property
    def nbytes(self) -> int:
        """Bytes held in tensors and pictures."""
        pictures = self.last.source.nbytes + self.last.styled.nbytes if self.last else 0
        return pictures + sum(tensor.nbytes for tensor in self.tensors())
