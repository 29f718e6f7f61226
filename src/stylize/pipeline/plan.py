"""What a run needs beside its frames: the plan, fixed for the run, and the state, which each frame moves on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stylize.decode import read_picture
from stylize.errors import StyleError
from stylize.finish import Tones
from stylize.frames import DepthEstimator
from stylize.masks import Bars, Masking, MattedFrame, masking_for
from stylize.motion import CutDetector, FramePair
from stylize.restyle import Conditions, Memory, Restyler
from stylize.structure import DepthRange, GivenControl, GivenDepth, StrokeOrder, StrokeState
from stylize.structure.stroke_maps import STROKES
from stylize.style import Style


@dataclass(frozen=True)
class Plan:
    """Everything that a style asks of a run, opened and checked; the same for all frames."""

    conditions: Conditions
    estimate_depth: DepthEstimator
    device: str = "cpu"
    """Where detectors with weights run."""
    given_depth: GivenDepth | None = None
    """Depth that came with the source, in place of an estimate."""
    drawn: Mapping[str, GivenControl] = field(default_factory=dict)
    """Controls whose pictures came with the source, in place of a detector's."""
    masking: Masking | None = None
    """Only a part of the picture is restyled."""
    fast: bool = False
    """Only keyframes are restyled."""
    strokes: StrokeOrder | None = None
    """The strokes that the model draws with, if it is asked for any."""


@dataclass(frozen=True)
class State:
    """Everything that the past of a video contributes to its next frame; a run can go on from it."""

    cuts: CutDetector = field(default_factory=CutDetector, repr=False)
    depth_range: DepthRange | None = None
    """Of the shot's depth; `None` at its start, as are the following."""
    memory: Memory = field(default_factory=Memory)
    strokes: StrokeState | None = field(default=None, repr=False)
    """Of the last restyled frame of the shot."""
    last: FramePair | None = field(default=None, repr=False)
    """The frame, or in fast mode the keyframe, that results are carried on from."""
    tones: tuple[Tones, ...] = ()
    """Of the shot's results before they were given those of the reference, and between the rounds of that."""
    matte: MattedFrame | None = field(default=None, repr=False)
    """The frame before with its matte, where only a part is restyled."""
    bars: Bars | None = None
    """Black bars of the shot; `None` as long as its frames were too dark to tell."""

    def cut(self) -> State:
        """The state with which the next shot starts."""
        return State(self.cuts, memory=self.memory.cut())


def make_plan(restyler: Restyler, style: Style, source: Path | None = None) -> Plan:
    """Opens everything that a style names.

    Args:
        source: the file that the clips will come from; a mask from motion looks at its beginning.

    Raises:
        StylizeError: a setting does not fit the model, or a file cannot be read.
    """
    referred = style.reference is not None and style.reference_weight > 0
    reference = read_picture(style.reference) if referred and style.reference is not None else None
    conditions = restyler.prepare(style, reference)
    given = None if style.depth_from is None else GivenDepth(style.depth_from, style.depth_large)
    if given is not None and "depth" not in conditions.controls:
        raise StyleError(f"{restyler.name} is asked for no depth", "add --control depth:1, or leave depth out")
    drawn = {n: GivenControl(n, path) for n, path in (style.control_from or {}).items() if n in conditions.controls}
    masking = masking_for(style, source, restyler.device)
    lays = STROKES in conditions.controls
    strokes = StrokeOrder(style.seed, conditions.cells, conditions.structure) if lays else None
    return Plan(
        conditions, restyler.estimate_depth, restyler.device, given, drawn, masking, style.mode == "fast", strokes
    )
