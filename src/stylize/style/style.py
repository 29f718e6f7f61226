"""Everything that a user may ask of a restyle, in one value: Python argument and command line alike."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Literal, TypeAlias, get_args

from stylize.errors import StyleError

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

MAX_SIDE = 8192
MIN_SIDE = 16


@dataclass(frozen=True)
class Temporal:
    """How much each of the means against flicker counts, in [0, 1]; 0 switches it off."""

    attention: float = 1.0
    """Self-attention also reads the shot's first and the previous frame (`stylize.attention`)."""
    fusion: float = 1.0
    """The previous result is carried along the source's motion and the new one mixed in (`stylize.fill`)."""


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
class Style:
    """How a video shall look.

    `None` means "as the model is made for"; what that is stands in the model's folder (`stylize.json`).

    Raises:
        StyleError: a value is out of its range; the message names the value, the range and what to do.
    """

    prompt: str = ""
    """The look in words, such as "ukiyo-e woodblock print"; may be empty beside a reference."""
    negative_prompt: str = ""
    """What to stay away from; it needs `guidance_scale` above 1."""
    reference: str | PathLike[str] | None = None
    """A picture whose look the video shall have; the words then say what to change about it."""
    reference_weight: float = 1.0
    """How much of the reference, in [0, 1.5]; 0 is the prompt alone."""
    style_weight: float = 1.0
    """How much of the prompt's look, in [0, 1.5]: 0 is none, as if nothing were said; above 1 exaggerates."""
    footage: FootageKind = "video"
    """What the source is: of a storyboard depth leads and colours and textures are let go; of a render forms lead."""
    structure: float | None = None
    """How tightly forms are held, in [0, 1]: 1 as they are; less lets go of details, then of shapes (Gen-1's t_s)."""
    strength: float | None = None
    """How far from the source, in (0, 1]: the share of the noise schedule that the source goes through (SDEdit)."""
    guidance_scale: float | None = None
    """Classifier-free guidance; 1 switches it off and halves the work."""
    steps: int | None = None
    """Steps of the whole noise schedule, of which `strength` are run; with few-step schedulers (LCM, TCD) all are."""
    guidance_rescale: float = 0.0
    """Brings guidance's contrast back to the plain prediction's, in [0, 1] (Lin et al. 2023, sec. 3.4)."""
    clip_skip: int = 0
    """Last layers of the text encoder that are not used, 0 to 11; some checkpoints were trained with 1."""
    controls: Mapping[str, float | Control] | None = None
    """Weight of each ControlNet by name, in [0, 2], or a `Control`; 0 leaves it out, and so does not naming it."""
    depth_from: str | PathLike[str] | None = None
    """Depth of each frame of the source in place of an estimate: a folder or pattern of EXR, PNG or TIFF, a video."""
    depth_large: Large | None = None
    """What large numbers in it mean; `None`: far in EXR, near in all else."""
    mode: Mode = "full"
    """"full" diffuses every frame; "fast" only keyframes, and fills in between them along the motion."""
    temporal: float | Temporal = 1.0
    """How much a frame holds on to earlier ones, by attention and along the motion, in [0, 1]; 0 is frame by frame."""
    mask: str | PathLike[str] | None = None
    """Matte of the subject: a still, a video, or a folder of pictures; only there the video is restyled."""
    mask_from: str = ""
    """Makes it instead: "motion", "box:X,Y,WIDTH,HEIGHT", or a network as MODEL#LABEL or MODEL#box:X,Y,W,H."""
    mask_part: Part = "subject"
    """What is restyled."""
    mask_feather: float = 3.0
    """Deviation of the blur of the matte's border, in pixels, up to 100."""
    seed: int = 0
    """Same seed, inputs, machine and batch: same frames, bit by bit. 0 to 2**63 - 1."""
    size: tuple[int, int] | None = None
    """Width and height of the result; `None` keeps the source's."""
    fit: int | None = None
    """Longer side that the networks work at; the result is brought to its size afterwards. `None` is the result's."""

    def __post_init__(self) -> None:
        if not self.prompt.strip() and self.reference is None:
            raise StyleError("the prompt is empty", "say how the video shall look, such as 'watercolour painting'")
        self._check_choices()
        _check("style weight", self.style_weight, 0, 1.5)
        _check("structure", self.structure, 0, 1)
        _check("reference weight", self.reference_weight, 0, 1.5)
        _check("strength", self.strength, 0, 1, open_below=True)
        _check("guidance scale", self.guidance_scale, 1, 50)
        for weight in (self.means.attention, self.means.fusion):
            _check("temporal", weight, 0, 1)
        _check("guidance rescale", self.guidance_rescale, 0, 1)
        _check("clip skip", self.clip_skip, 0, 11)
        for name, control in self.asked_controls.items():
            _check(f"weight of the control '{name}'", control.weight, 0, 2)
            _check(f"start of the control '{name}'", control.start, 0, 1)
            _check(f"end of the control '{name}'", control.end, control.start, 1)
        if self.steps is not None and not 1 <= self.steps <= 1000:
            raise StyleError(f"steps {self.steps} is out of range", "use 1 to 1000")
        if not 0 <= self.seed < 2**63:
            raise StyleError(f"seed {self.seed} is out of range", "use 0 to 2**63 - 1")
        if self.size is not None and not all(MIN_SIDE <= side <= MAX_SIDE for side in self.size):
            text = "x".join(map(str, self.size))
            raise StyleError(f"size {text} is out of range", f"use {MIN_SIDE} to {MAX_SIDE} for both sides")
        if self.fit is not None and not 64 <= self.fit <= MAX_SIDE:
            raise StyleError(f"fit {self.fit} is out of range", f"use 64 to {MAX_SIDE}")

    def _check_choices(self) -> None:
        choices = (
            ("mode", self.mode, Mode), ("footage", self.footage, FootageKind), ("mask part", self.mask_part, Part),
            ("depth large", self.depth_large or "far", Large),
        )  # fmt: skip
        for name, value, kind in choices:
            if value not in get_args(kind):
                raise StyleError(f"{name} '{value}' is not known", f"use {' or '.join(get_args(kind))}")
        if self.mask is not None and self.mask_from:
            raise StyleError("a mask is given and one is to be made", "leave out one of mask and mask-from")
        _check("mask feather", self.mask_feather, 0, 100)

    def fitted(self, size: tuple[int, int]) -> tuple[int, int]:
        """The size that the networks work at for a result of this size; `fit` shrinks, only tiny sides are enlarged."""
        if self.fit is None or self.fit >= max(size):
            return max(MIN_SIDE, size[0]), max(MIN_SIDE, size[1])
        width, height = (max(MIN_SIDE, round(side * self.fit / max(size) / 2) * 2) for side in size)
        return width, height

    @property
    def files(self) -> tuple[str | PathLike[str] | None, ...]:
        """What a run reads beside its source."""
        return self.mask, self.reference, self.depth_from

    @property
    def asked_controls(self) -> dict[str, Control]:
        """`controls`, each as a `Control`; empty where the model's own are wanted."""
        return {n: c if isinstance(c, Control) else Control(c) for n, c in (self.controls or {}).items()}

    @property
    def means(self) -> Temporal:
        """`temporal`, each of the means by itself."""
        return self.temporal if isinstance(self.temporal, Temporal) else Temporal(self.temporal, self.temporal)


def _check(name: str, value: float | None, low: float, high: float, *, open_below: bool = False) -> None:
    if value is None:
        return
    if not math.isfinite(value) or not low <= value <= high or (open_below and value == low):
        bounds = f"above {low}, up to {high}" if open_below else f"{low} to {high}"
        raise StyleError(f"{name} {value} is out of range", f"use {bounds}")
