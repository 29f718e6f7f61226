"""Style: everything that a user may ask of a restyle, in one value for Python and the command line."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from os import PathLike
from pathlib import Path
from typing import Any, get_args

from stylize.errors import StyleError
from stylize.style.parsing import (
    parse_controls,
    parse_files,
    parse_keyframes,
    parse_size,
    show_controls,
    show_files,
    show_keyframes,
    show_size,
)
from stylize.style.values import Control, FootageKind, Large, Mode, Part, Temporal, option

MAX_SIDE = 8192
MIN_SIDE = 16


@dataclass(frozen=True)
class Style:
    """The look of a restyled video, and all other settings of the restyle.

    Unless a field says otherwise, `None` takes the value of `footage`, else the model's default (its `stylize.json`).

    Raises:
        StyleError: a value is out of its range; the message names the value, the range and what to do.
    """

    prompt: str = option("", "The look in words, such as 'ukiyo-e woodblock print'.")
    """The look in words, such as "ukiyo-e woodblock print"; may be empty beside a reference."""
    negative_prompt: str = option("", "What to stay away from; needs --guidance above 1.")
    """Description of what to avoid; it needs `guidance_scale` above 1."""
    reference: str | PathLike[str] | None = option(
        None, "A picture whose look the video shall have.", type=Path | None, is_path=True
    )
    """A picture whose look the video shall have; the prompt then says what to change about it."""
    reference_weight: float = option(1.0, "How much of it: 0 nothing, 1 all, up to 1.5.")
    """Weight of the reference, in [0, 1.5]; 0 is the prompt alone."""
    style_weight: float = option(1.0, "How much of the prompt's look: 0 nothing, 1 all, up to 1.5.")
    """Weight of the prompt's look, in [0, 1.5]: 0 is none, as with an empty prompt; above 1 exaggerates it."""
    footage: FootageKind = option("video", "What the source is; of a storyboard depth leads.")
    """Kind of source: in a storyboard, depth leads and colours and textures are dropped; in a render, forms lead."""
    structure: float | None = option(
        None, "How tightly forms are held: 1 as they are, 0 hardly [default: by --footage]."
    )
    """Fidelity to the source's forms, in [0, 1]: 1 keeps them; less drops details, then shapes (Gen-1's t_s)."""
    strength: float | None = option(None, "How far from the source, above 0, up to 1.")
    """Distance from the source, in (0, 1]: the share of the noise schedule that the source goes through (SDEdit)."""
    guidance_scale: float | None = option(None, "Classifier-free guidance scale; 1 is off.", name="guidance")
    """Classifier-free guidance scale, 1 to 50; 1 switches guidance off and halves the work."""
    steps: int | None = option(None, "Denoising steps [default: the model's own].")
    """Steps of the noise schedule, of which the share `strength` is run; few-step schedulers (LCM, TCD) run all."""
    guidance_rescale: float = option(0.0, "Bring guidance's contrast back, 0 to 1.")
    """Brings the contrast under guidance back to the plain prediction's, in [0, 1] (Lin et al. 2023, sec. 3.4)."""
    clip_skip: int = option(0, "Last layers of the text encoder to leave out.")
    """Number of last layers of the text encoder that are left out, 0 to 11; some checkpoints were trained with 1."""
    controls: Mapping[str, float | Control] | None = option(
        None, "NAME:WEIGHT or NAME:WEIGHT@FROM-TO, repeatable [default: all it has].", name="control",
        type=list[str] | None, parse=parse_controls, show=show_controls,
    )  # fmt: skip
    """Weight of each ControlNet by name, in [0, 2], or a `Control`; those with weight 0 or not named are left out."""
    depth_from: str | PathLike[str] | None = option(
        None, "Depth of every frame: a folder or 'pattern*.exr', also PNG; a video.", type=Path | None, is_path=True,
        is_carried=False,
    )  # fmt: skip
    """Depth of each source frame in place of an estimate: a folder or pattern of EXR, PNG or TIFF, or a video."""
    depth_large: Large | None = option(None, "What large numbers in it mean [default: far in EXR].", is_carried=False)
    """Meaning of large numbers in `depth_from`; `None` is far in EXR, near in all other formats."""
    control_from: Mapping[str, str | PathLike[str]] | None = option(
        None, "NAME:PATH of your own control pictures, one a frame: a folder, a pattern, a video; repeatable.",
        type=list[str] | None, parse=parse_files, show=show_files, is_path=True, is_carried=False,
    )  # fmt: skip
    """Control pictures in place of detected ones, by the control's name: for each, a folder, a pattern or a video."""
    keyframes: Mapping[Fraction, str | PathLike[str]] | None = option(
        None, "SECOND:PICTURE that you painted over the frame there, which gives the look; repeatable.",
        name="keyframe", type=list[str] | None, parse=parse_keyframes, show=show_keyframes, is_path=True,
        is_carried=False,
    )  # fmt: skip
    """Frames that a person painted, by their second from the first frame; their look is carried through the video."""
    mode: Mode = option("full", "full: diffuse every frame; fast: keyframes, filled in between.")
    """"full" diffuses every frame; "fast" only keyframes, and fills in between them along the motion."""
    temporal: float | Temporal = option(
        1.0, "Hold on to earlier frames: 0 not at all, 1 fully.", type=float,
        show=lambda weight: weight if isinstance(weight, float | int) else min(weight.attention, weight.fusion),
    )  # fmt: skip
    """Weight of earlier frames, by attention and along the motion, in [0, 1]; 0 restyles each frame by itself."""
    mask: str | PathLike[str] | None = option(
        None, "Matte of the subject: a still, a video, a folder of pictures.", type=Path | None, is_path=True
    )
    """Matte of the subject: a still, a video, or a folder of pictures; `mask_part` chooses what is restyled."""
    mask_from: str = option("", "Make it: motion, box:X,Y,W,H, MODEL#LABEL, MODEL#box:X,Y,W,H.")
    """Makes the matte instead: "motion", "box:X,Y,WIDTH,HEIGHT", or a network as MODEL#LABEL or MODEL#box:X,Y,W,H."""
    mask_part: Part = option("subject", "Restyle the subject, or the background.")
    """The part of the picture that is restyled."""
    mask_feather: float = option(3.0, "Softness of the matte's border, in pixels.")
    """Standard deviation of the blur of the matte's border, in pixels, 0 to 100."""
    seed: int = option(0, "Same seed, same result.")
    """Seed of the noise, 0 to 2**63 - 1; the same seed, inputs, machine and batch give the same frames, bit by bit."""
    size: tuple[int, int] | None = option(
        None, "WxH of the result [default: the source's].", type=str | None, parse=parse_size, show=show_size
    )
    """Width and height of the result; `None` keeps the source's."""
    fit: int | None = option(None, "Longer side for the networks [default: the result's].")
    """Longer side at which the networks work; the result is resized to its size afterwards. `None` is the result's."""

    def __post_init__(self) -> None:
        if not self.prompt.strip() and self.reference is None and not self.keyframes:
            raise StyleError("the prompt is empty", "say how the video shall look, such as 'watercolour painting'")
        self._check_choices()
        _check_range("style weight", self.style_weight, 0, 1.5)
        _check_range("structure", self.structure, 0, 1)
        _check_range("reference weight", self.reference_weight, 0, 1.5)
        _check_range("strength", self.strength, 0, 1, open_below=True)
        _check_range("guidance scale", self.guidance_scale, 1, 50)
        for weight in (self.temporal_weights.attention, self.temporal_weights.fusion):
            _check_range("temporal", weight, 0, 1)
        _check_range("guidance rescale", self.guidance_rescale, 0, 1)
        _check_range("clip skip", self.clip_skip, 0, 11)
        for name, control in self.asked_controls.items():
            _check_range(f"weight of the control '{name}'", control.weight, 0, 2)
            _check_range(f"start of the control '{name}'", control.start, 0, 1)
            _check_range(f"end of the control '{name}'", control.end, control.start, 1)
        if self.steps is not None and not 1 <= self.steps <= 1000:
            raise StyleError(f"steps {self.steps} is out of range", "use 1 to 1000")
        if not 0 <= self.seed < 2**63:
            raise StyleError(f"seed {self.seed} is out of range", "use 0 to 2**63 - 1")
        if self.size is not None:
            check_size(self.size)
        if self.fit is not None and not 64 <= self.fit <= MAX_SIDE:
            raise StyleError(f"fit {self.fit} is out of range", f"use 64 to {MAX_SIDE}")

    def _check_choices(self) -> None:
        choices = (
            ("mode", self.mode, Mode), ("footage", self.footage, FootageKind), ("mask part", self.mask_part, Part),
            ("depth large", self.depth_large or "far", Large),
        )  # fmt: skip
        for name, value, literal in choices:
            if value not in get_args(literal):
                raise StyleError(f"{name} '{value}' is not known", f"use {' or '.join(get_args(literal))}")
        if "strokes" in (self.control_from or {}):
            raise StyleError("strokes are laid by the program itself", "give pictures of other controls")
        if self.depth_from is not None and "depth" in (self.control_from or {}):
            raise StyleError("depth is given twice", "leave out one of depth-from and control-from depth")
        if self.mask is not None and self.mask_from:
            raise StyleError("a mask is given and one is to be made", "leave out one of mask and mask-from")
        _check_range("mask feather", self.mask_feather, 0, 100)

    def fit_to(self, size: tuple[int, int]) -> tuple[int, int]:
        """Returns the size for the networks if the result has `size`: `fit` shrinks it; sides under 16 pixels grow."""
        if self.fit is None or self.fit >= max(size):
            return max(MIN_SIDE, size[0]), max(MIN_SIDE, size[1])
        width, height = (max(MIN_SIDE, round(side * self.fit / max(size) / 2) * 2) for side in size)
        return width, height

    @property
    def files(self) -> tuple[str | PathLike[str] | None, ...]:
        """The files that a run reads beside its source; `None` for those that are not given."""
        return (
            self.mask,
            self.reference,
            self.depth_from,
            *(self.control_from or {}).values(),
            *(self.keyframes or {}).values(),
        )

    def with_files(self, change: Callable[[str | PathLike[str]], str | PathLike[str]]) -> Style:
        """Returns the style with each of its files, but painted frames, named as `change` says."""
        named = {name: getattr(self, name) for name in ("mask", "reference", "depth_from")}
        changes: dict[str, Any] = {name: change(path) for name, path in named.items() if path is not None}
        if self.control_from:
            changes["control_from"] = {name: change(path) for name, path in self.control_from.items()}
        return replace(self, **changes)

    @property
    def asked_controls(self) -> dict[str, Control]:
        """`controls` with each value as a `Control`; empty if the model's own are used."""
        return {n: c if isinstance(c, Control) else Control(c) for n, c in (self.controls or {}).items()}

    @property
    def temporal_weights(self) -> Temporal:
        """The weights of attention and of fusion that `temporal` stands for."""
        return self.temporal if isinstance(self.temporal, Temporal) else Temporal(self.temporal, self.temporal)

    @property
    def means(self) -> Temporal:
        """The former name of `temporal_weights`."""
        return self.temporal_weights


def check_size(size: tuple[int, int]) -> None:
    """Raises StyleError where width or height cannot be written."""
    if not all(MIN_SIDE <= side <= MAX_SIDE for side in size):
        text = "x".join(map(str, size))
        raise StyleError(f"size {text} is out of range", f"use {MIN_SIDE} to {MAX_SIDE} for both sides")


def _check_range(name: str, value: float | None, low: float, high: float, *, open_below: bool = False) -> None:
    if value is None:
        return
    if not math.isfinite(value) or not low <= value <= high or (open_below and value == low):
        bounds = f"above {low}, up to {high}" if open_below else f"{low} to {high}"
        raise StyleError(f"{name} {value} is out of range", f"use {bounds}")
