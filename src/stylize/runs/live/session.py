"""Restyles a live source as it comes; the style can be changed while it runs."""

from __future__ import annotations

import threading
import time
import warnings
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from stylize.decode.live import LiveFrame, LiveReader
from stylize.errors import ModelError, PromptWarning, Say, StylizeError
from stylize.frames import Clip, Picture
from stylize.networks import Networks
from stylize.networks.budget import arrange
from stylize.networks.compiling import set_compiled
from stylize.networks.vocabulary import Vocabulary
from stylize.pipeline import Plan, make_plan, restyle_clips
from stylize.restyle import ImageRestyler
from stylize.restyle.conditions import steps_to_run
from stylize.runs.convert import check_paints, explain_memory
from stylize.runs.live.blend import Blend
from stylize.runs.live.checks import check_live, check_rate
from stylize.runs.live.governor import Governor
from stylize.style import FOOTAGE, Style

if TYPE_CHECKING:
    from stylize.runs.stylizer import Stylizer

RECENT = 30
"""Frames whose delay and rate are averaged."""


@dataclass(frozen=True, eq=False)
class StyledFrame:
    """A restyled frame of a live source."""

    picture: Picture
    """uint8 RGB `[H, W, 3]`, of the size at which the networks work."""
    time: Fraction
    """Seconds since the first frame, on the source's own clock."""
    delay: float
    """Seconds from the frame's arrival until it was restyled."""
    due: float
    """When it is to be shown, by `time.monotonic()`: at once in full mode; fast mode makes several frames together."""


@dataclass
class LiveFigures:
    """How a live picture is doing; read it while it runs."""

    frames: int = 0
    dropped: int = 0
    """Frames of the source that were not restyled, as a newer one was there."""
    losses: int = 0
    """Times that the source was lost."""
    size: tuple[int, int] = (0, 0)
    """Width and height at which the networks work."""
    message: str = ""
    """Why the last change of the style was refused; empty if it was not."""
    _delays: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))
    _shown: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))

    def count(self, delay: float) -> None:
        """Counts a frame that was restyled."""
        self.frames += 1
        self._delays.append(delay)
        self._shown.append(time.monotonic())

    @property
    def delay(self) -> float:
        """Mean seconds from a frame's arrival until it was restyled."""
        return sum(self._delays) / len(self._delays) if self._delays else 0.0

    @property
    def rate(self) -> float:
        """Frames a second."""
        span = self._shown[-1] - self._shown[0] if len(self._shown) > 1 else 0.0
        return (len(self._shown) - 1) / span if span else 0.0

    def __str__(self) -> str:
        """Returns all of it in one line for people."""
        text = f"{self.rate:.1f} frames/s at {self.size[0]}x{self.size[1]}, {1000 * self.delay:.0f} ms behind"
        text += f", {self.dropped} frames of the source left out" if self.dropped else ""
        return text + (f", lost {self.losses} times" if self.losses else "")


class Live:
    """A live picture. Iterate over it for restyled frames; set `style` whenever you like, from any thread.

        with LiveReader(parse_live_address("camera:0")) as source:
            live = Live(stylizer, source, Style(prompt="oil painting"), target_fps=12)
            for frame in live:
                show(frame.picture)

    Args:
        source: an open source.
        target_fps: frames a second for which size, steps and mode are chosen; `None` leaves the style's own.
        say: called with a line when another size is chosen.

    Raises:
        StylizeError: the model or a setting of the style does not go with a live source.
    """

    def __init__(
        self,
        stylizer: Stylizer,
        source: LiveReader,
        style: Style,
        *,
        target_fps: float | None = None,
        say: Say | None = None,
    ) -> None:
        if not isinstance(stylizer.networks, Networks):
            what = f"{stylizer.networks.name} makes windows of frames, which come too late for a live picture"
            raise ModelError(what, "use an image model")
        check_paints(stylizer.networks, False)
        self.figures = LiveFigures()
        self._source, self._say, self._layout = source, say or (lambda line: None), stylizer.layout
        self._restyler = ImageRestyler(stylizer.networks)
        set_compiled(stylizer.networks, stylizer.compile == "on")
        self._lock, self._stopping = threading.Lock(), threading.Event()
        check_live(style)
        self._style = self._accepted = style
        self._asked = self._is_resized = False
        self._plan = make_plan(self._restyler, style)
        self._governor = None if target_fps is None else self._make_governor(target_fps, style, self._plan)
        self._set_size(style)
        self._blend, self._index, self._target_fps = Blend(), 0, target_fps

    def _make_governor(self, target_fps: float, style: Style, plan: Plan) -> Governor:
        scheduler, conditions = self._restyler.networks.scheduler, plan.conditions
        fewest = next(n for n in range(1, 1001) if steps_to_run(scheduler, n, conditions.strength))
        size = style.size or self._source.source_size
        check_rate(target_fps)
        target_fps = min(target_fps, max(1.0, float(self._source.info.frame_rate)))
        return Governor(target_fps, style, size, conditions.load.steps, fewest)

    @property
    def style(self) -> Style:
        """The style that frames get; a new one is faded to over half a second, from the next frame on."""
        with self._lock:
            return self._style

    @style.setter
    def style(self, style: Style) -> None:
        """Sets the style, and raises StyleError for one that needs a whole file."""
        check_live(style)
        with self._lock:
            self._style, self._asked = style, True

    @property
    def vocabulary(self) -> Vocabulary | None:
        """The words that the model knows, if it knows only some."""
        return self._restyler.networks.vocabulary

    @property
    def strength(self) -> float:
        """The strength that holds: the style's, or the model's."""
        return self.style.strength or FOOTAGE[self.style.footage].strength or self._restyler.networks.defaults.strength

    def stop(self) -> None:
        """Ends the iteration after the current frame; may be called from any thread and from a signal's handler."""
        self._stopping.set()

    def __iter__(self) -> Iterator[StyledFrame]:
        """Yields restyled frames until `stop` is called or the source ends.

        Raises:
            StylizeError: memory is short, or a frame cannot be restyled.
        """
        networks = self._restyler.networks
        with explain_memory():
            while not self._is_over():
                arrange(networks, self._source.size, self._layout, self._say, self._plan.conditions.load)
                yield from self._restyle_until_change(self._plan)
                self._blend.begin()

    def _restyle_until_change(self, plan: Plan) -> Iterator[StyledFrame]:
        """Restyles with one plan; a change begins a shot of its own, faded to."""
        pending = dict[int, LiveFrame]()
        began, waited = time.monotonic(), self._source.waited
        if self._governor is not None:
            self._governor.restart()
        for clip, _ in restyle_clips(self._take_clips(pending), self._restyler, plan, at_once=True):
            due = time.monotonic()
            for i in range(len(clip)):
                frame, now = pending.pop(clip.index + i), time.monotonic()
                picture = self._blend.show(frame.picture, clip.frames[i], frame.time)
                self.figures.count(now - frame.arrived)
                self.figures.dropped, self.figures.losses = self._source.dropped, self._source.losses
                self.figures.size = clip.size
                yield StyledFrame(picture, frame.time, now - frame.arrived, due + float(clip.times[i] - clip.times[0]))
            now = time.monotonic()
            self._observe(len(clip), now - began - (self._source.waited - waited), now)
            began, waited = now, self._source.waited

    def _observe(self, frames: int, seconds: float, now: float) -> None:
        """Tells the governor what frames cost, and takes another setting over if it wants one."""
        if (governor := self._governor) is None:
            return
        before = governor.setting
        if (chosen := governor.observe(frames, seconds, now)) is not None:
            self._is_resized |= chosen != before
            self._say(f"{chosen} from here on (before: up to {governor.rate:.1f} frames/s at {before})")

    def _take_clips(self, pending: dict[int, LiveFrame]) -> Iterator[Clip]:
        """Yields the newest frames as clips until the plan has changed; notes them in `pending`."""
        while not self._is_over() and not self._change_plan():
            if (frame := self._source.take()) is None:
                continue
            pending[self._index] = frame
            self._index += 1
            yield Clip(frame.picture[None], (frame.time,), (Fraction(1, 1000),), self._index - 1)

    def _change_plan(self) -> bool:
        """Takes over a style or a size that was asked for, and tells whether it did; refused ones change nothing."""
        with self._lock:
            style, asked, self._asked = self._style, self._asked, False
        if not asked and not self._is_resized:
            return False
        self._is_resized = False
        try:
            self._plan = self._make_plan(style)
        except Exception as error:  # the picture goes on; an error that is none of ours is named as it is
            told = str(error) if isinstance(error, StylizeError) else f"{type(error).__name__}: {error}"
            self.figures.message = told
            with self._lock:
                if self._style is style:  # another one may have been asked for meanwhile
                    self._style = self._accepted
            return False
        self._accepted, self.figures.message = style, ""
        self._set_size(style)
        return True

    def _make_plan(self, style: Style) -> Plan:
        is_new = style is not self._accepted
        governed = ("fit", "mode", "steps", "size")
        if is_new and any(getattr(style, name) != getattr(self._accepted, name) for name in governed):
            plan = make_plan(self._restyler, style)
            if self._target_fps is not None:
                self._governor = self._make_governor(self._target_fps, style, plan)
            return plan if self._governor is None else make_plan(self._restyler, self._governor.setting.apply(style))
        chosen = style if self._governor is None else self._governor.setting.apply(style)
        with warnings.catch_warnings():
            if not is_new:  # its unknown words were named already
                warnings.simplefilter("ignore", PromptWarning)
            return make_plan(self._restyler, chosen)

    def _set_size(self, style: Style) -> None:
        chosen = style if self._governor is None else self._governor.setting.apply(style)
        self._source.size = chosen.fit_to(style.size or self._source.source_size)

    def _is_over(self) -> bool:
        return self._stopping.is_set() or self._source.has_ended
