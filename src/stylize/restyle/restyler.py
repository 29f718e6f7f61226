"""The interface of everything that restyles a batch of frames."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from PIL import Image as PillowImage

from stylize.frames import Clip, DepthEstimator, Image, StructureMaps
from stylize.restyle.conditions import Conditions
from stylize.restyle.memory import Memory
from stylize.style import Style


class Restyler(Protocol):
    """A model that gives consecutive frames of a shot a new look, a batch at a time.

    `restyle` is pure: the same arguments give the same frames, and what the past contributes comes in and goes out as
    a `Memory`.
    """

    @property
    def name(self) -> str:
        """The model's name, for messages."""
        ...

    @property
    def batch(self) -> int:
        """Frames that are restyled together."""
        ...

    @property
    def device(self) -> str:
        """The device that it computes on; detectors with weights run there, too."""
        ...

    @property
    def estimate_depth(self) -> DepthEstimator:
        """Makes the depth control."""
        ...

    def prepare(self, style: Style, reference: PillowImage.Image | None) -> Conditions:
        """Turns a style into the conditions that are the same for all frames.

        Raises:
            StylizeError: a setting does not fit the model.
        """
        ...

    def restyle(
        self, start: Clip, maps: StructureMaps, memory: Memory, conditions: Conditions
    ) -> tuple[Iterable[Image], Memory]:
        """Restyles up to `batch` consecutive frames of a shot.

        Args:
            start: the frames that the new look begins with.
            maps: what holds their forms.
            memory: what the frames before left; `Memory.cut` at the start of a shot.

        Returns:
            As many frames, each `[H, W, 3]` in [0, 1], and the memory after them. The frames may still be on their way
            from a device: they are waited for as they are iterated, in another thread.
        """
        ...
