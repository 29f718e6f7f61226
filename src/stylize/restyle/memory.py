"""What earlier frames leave to later ones: keys and values, or latents; a value with a bound, handed in and out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import torch

from stylize.networks.attention import StepCache

FrameCache: TypeAlias = Sequence[StepCache]
"""One frame's keys and values at every denoising step."""


@dataclass(frozen=True)
class Memory:
    """Keys and values of at most three frames, whatever the length of the video.

    A cut empties it but for `style_anchor`, which keeps the shots of one video alike.
    """

    style_anchor: FrameCache = field(default=(), repr=False)
    """The video's first frame; only the first frame of each later shot attends to it."""
    anchor: FrameCache = field(default=(), repr=False)
    """The shot's first frame; never replaced within the shot, so that the look cannot drift."""
    previous: FrameCache = field(default=(), repr=False)
    """The frame before."""
    window: Mapping[str, torch.Tensor] = field(default_factory=dict, repr=False)
    """What a video model hands from one window of frames to the next."""
    shot: int = -1
    """Number of the current shot; -1 before the first frame."""
    frames_in_shot: int = 0
    """Frames done since the cut."""

    def cut(self) -> Memory:
        """Returns the memory with which the next shot starts."""
        return Memory(style_anchor=self.style_anchor, shot=self.shot + 1)

    def after(self, first: FrameCache, last: FrameCache, frames: int) -> Memory:
        """Returns the memory after a batch.

        Args:
            first: of the batch's first frame; counts only where that is the shot's first.
            last: of its last frame.
            frames: how many they were.
        """
        starts = self.frames_in_shot == 0
        return replace(
            self,
            style_anchor=first if starts and not self.style_anchor else self.style_anchor,
            anchor=first if starts else self.anchor,
            previous=last,
            frames_in_shot=self.frames_in_shot + frames,
        )

    def tensors(self) -> Iterator[torch.Tensor]:
        """Yields every tensor held, each once."""
        yielded: set[int] = set()
        yield from self.window.values()
        for frame in (self.style_anchor, self.anchor, self.previous):
            for keys, values in (pair for step in frame for pair in step.values()):
                for tensor in (keys, values):
                    if id(tensor) not in yielded:
                        yielded.add(id(tensor))
                        yield tensor

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(tensor.nbytes for tensor in self.tensors())
