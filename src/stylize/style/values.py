"""The types of values that a style is made of, and their description as options of the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Mode: TypeAlias = Literal["full", "fast"]
Part: TypeAlias = Literal["subject", "background"]
Layout: TypeAlias = Literal["whole", "tiled", "offloaded"]
"""Layout of the networks: all on the device; the same with decoding in tiles; or moved to the device layer by layer."""

FootageKind: TypeAlias = Literal["video", "storyboard", "render"]
"""Kind of source: an ordinary video, a mock-up of boxes and cardboard, a render without textures."""

Large: TypeAlias = Literal["near", "far"]
"""Meaning of large numbers in a depth map."""

View: TypeAlias = Literal["side-by-side", "split"]
"""Arrangement of source and result in one video."""


@dataclass(frozen=True)
class Temporal:
    """Weights of the two methods against flicker, in [0, 1]; 0 switches a method off."""

    attention: float = 1.0
    """Self-attention also reads the shot's first and the previous frame (`networks.attention`)."""
    fusion: float = 1.0
    """The previous result is warped along the source's motion and mixed with the new one (`motion.fusion`)."""


@dataclass(frozen=True)
class Control:
    """Weight of a ControlNet, and the part of the steps in which it counts."""

    weight: float = 1.0
    """In [0, 2]."""
    start: float = 0.0
    end: float = 1.0
    """The ControlNet counts from `start` to `end`, as shares of the steps, in [0, 1]."""

    def counts_at(self, step: int, steps: int) -> bool:
        """True if the ControlNet counts in `step` (from 0) of `steps`, by the rule of diffusers' pipelines."""
        return step / steps >= self.start and (step + 1) / steps <= self.end


@dataclass(frozen=True)
class Option:
    """Describes a field of `Style` as an option: on the command line, in style files, and in a result's settings."""

    help: str
    name: str = ""
    """Name of the option, with underscores; the field's name if empty."""
    type: Any = None
    """Type of the option; the field's type if `None`."""
    parse: Callable[[Any], Any] | None = None
    """Converts the option's value to the field's; not called for the value `None`."""
    show: Callable[[Any], Any] | None = None
    """Converts the field's value back to the option's; not called for the value `None`."""
    is_path: bool = False
    """True if it names a file; a relative path in a style file starts from the folder of that file."""
    is_carried: bool = True
    """True if it belongs to the look, so that a result records it; other options belong to one source."""


def option(default: Any, help: str, **more: Any) -> Any:
    """Makes a dataclass field with its `Option`."""
    return field(default=default, metadata={"option": Option(help, **more)})
