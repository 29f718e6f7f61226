"""What kind of footage a source is, and the numbers that follow from it: Gen-1's ways to begin.

An ordinary video keeps its forms, its edges and its light. A storyboard of boxes and cardboard stands for something
else: its depth leads, its colours and textures are let go. A render without textures has exact forms and little else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stylize.style.values import FootageKind


@dataclass(frozen=True)
class Footage:
    """What a style leaves open, this kind of footage settles."""

    strength: float | None = None
    """`None` is the model's own."""
    controls: Mapping[str, float] = field(default_factory=dict)
    """Factors on the model's own weights; controls that are not named keep theirs."""
    structure: float = 1.0
    smooth: float = 0.0
    """How much of the source's textures goes before it is noised, in [0, 1]."""
    grey: float = 0.0
    """How much of its colours."""

    def weights(self, own: Mapping[str, float]) -> dict[str, float]:
        """The controls' weights, from the model's own."""
        return {name: min(2.0, weight * self.controls.get(name, 1.0)) for name, weight in own.items()}


FOOTAGE: dict[FootageKind, Footage] = {
    "video": Footage(),
    "storyboard": Footage(strength=0.9, controls={"depth": 1.5, "canny": 0.75}, structure=0.95, smooth=1.0, grey=0.8),
    "render": Footage(strength=1.0, controls={"depth": 2.0}, smooth=0.5),
}
