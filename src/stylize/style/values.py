"""The values that a style is made of, and what the command line needs to know of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Mode: TypeAlias = Literal["full", "fast"]
Part: TypeAlias = Literal["subject", "background"]
Layout: TypeAlias = Literal["whole", "tiled", "offloaded"]
"""Where networks are: all on the device; decoding in tiles too; or brought to it layer by layer."""

FootageKind: TypeAlias = Literal["video", "storyboard", "render"]
"""What a source is: an ordinary video, a mock-up of boxes and cardboard, a render without textures."""

Large: TypeAlias = Literal["near", "far"]
"""What large numbers of a depth map mean."""

View: TypeAlias = Literal["side-by-side", "split"]
"""How source and result are shown in one video."""


@dataclass(frozen=True)
class Temporal:
    """How much each of the means against flicker counts, in [0, 1]; 0 switches it off."""

    attention: float = 1.0
    """Self-attention also reads the shot's first and the previous frame (`networks.attention`)."""
    fusion: float = 1.0
    """The previous result is carried along the source's motion and the new one mixed in (`motion.fusion`)."""


@dataclass(frozen=True)
class Control:
    """A ControlNet's part in a run."""

    weight: float = 1.0
    """In [0, 2]."""
    start: float = 0.0
    end: float = 1.0
    """The share of the steps from which on and up to which it counts, in [0, 1]."""

    def counts_at(self, step: int, steps: int) -> bool:
        """Whether it does in `step` of `steps`, from 0, as diffusers' pipelines reckon."""
        return step / steps >= self.start and (step + 1) / steps <= self.end


@dataclass(frozen=True)
class Option:
    """A field of `Style` on the command line, in style files, and in the settings that a result carries."""

    help: str
    name: str = ""
    """With underscores; the field's own where empty."""
    type: Any = None
    """Of the option; the field's own where `None`."""
    parse: Callable[[Any], Any] | None = None
    """From the option's value to the field's; not asked for `None`."""
    show: Callable[[Any], Any] | None = None
    """From the field's value back to the option's."""
    is_path: bool = False
    """Names a file; a relative one is meant from the style file's folder."""
    is_carried: bool = True
    """Belongs to the look, so that a result carries it; others belong to one source."""


def option(default: Any, help: str, **more: Any) -> Any:
    """A dataclass field with its `Option`."""
    return field(default=default, metadata={"option": Option(help, **more)})
