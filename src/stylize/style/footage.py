"""The kinds of footage, after the modes of Gen-1, and the numbers that follow from each.

An ordinary video keeps its forms, its edges and its light. A storyboard of boxes and cardboard stands for something
else: its depth leads, and its colours and textures are dropped. A render without textures has exact forms and little
else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stylize.style.values import FootageKind


@dataclass(frozen=True)
class Footage:
    """The values that a kind of footage sets where a style leaves them open."""

    strength: float | None = None
    """`None` is the model's default."""
    controls: Mapping[str, float] = field(default_factory=dict)
    """Factors on the model's own ControlNet weights; controls that are not named keep their weight."""
    structure: float = 1.0
    smooth: float = 0.0
    """Share of the source's textures that is removed before noise is added, in [0, 1]."""
    grey: float = 0.0
    """Share of the source's colours that is removed, in [0, 1]."""

    def weights(self, own: Mapping[str, float]) -> dict[str, float]:
        """Returns the weights of the controls, at most 2, from the model's weights `own`."""
        return {name: min(2.0, weight * self.controls.get(name, 1.0)) for name, weight in own.items()}


FOOTAGE: dict[FootageKind, Footage] = {
    "video": Footage(),
    "storyboard": Footage(
        strength=0.9, controls={"depth": 1.5, "canny": 0.75, "strokes": 0.75}, structure=0.95, smooth=1.0, grey=0.8
    ),
    "render": Footage(strength=1.0, controls={"depth": 2.0}, smooth=0.5),
}
