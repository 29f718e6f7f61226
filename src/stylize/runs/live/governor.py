"""Chooses size, steps and mode for a rate that is asked for, by measuring, and again when the machine gets busy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from stylize.style import Style
from stylize.style.values import Mode

SIDES = (1024, 768, 640, 512, 448, 384, 320, 256, 192)
"""Longer sides at which the networks may work, in pixels."""
FIRST_SIDE = 256
"""Longer side that is measured first."""
SIDE_OF_ONE_STEP, SIDE_OF_FAST = 512, 320
"""Longer sides up to which a single step, and fast mode, are tried; the latter shows frames late, in groups."""
FIXED_PIXELS = 30_000
"""Pixels that would take as long as what does not depend on the size."""
FAST_COST = 0.3
"""Time of a frame in fast mode, of that in full mode; a first guess, measured later."""
WINDOW = 1.0
"""Seconds that a measurement takes."""
WARM_UP = 4
"""Frames that are not measured after a change."""
BARRED_SECONDS = 60.0
"""Seconds for which a setting that was too slow is not tried again, nor any larger one."""
TOO_SLOW, ROOM = 0.95, 1.2
"""Shares of the asked rate: below the first a smaller setting is chosen; a larger one must promise the second."""
PATIENCE, PATIENCE_IF_SLOW = 5, 2
"""Measurements in a row that must promise room before a larger setting is tried, and be too slow before a smaller."""


@dataclass(frozen=True)
class Setting:
    """What decides how long a frame takes."""

    side: int
    """Longer side at which the networks work, in pixels."""
    steps: int | None
    """The style's `steps` with which a single one is run; `None` leaves the style's, or the model's."""
    mode: Mode

    def apply(self, style: Style) -> Style:
        """Returns the style with this setting."""
        return replace(style, fit=self.side, mode=self.mode, steps=style.steps if self.steps is None else self.steps)

    def cost(self, size: tuple[int, int], steps: int) -> float:
        """Returns the time of a frame, in a unit of its own.

        Args:
            size: of the source.
            steps: that are run without this setting.
        """
        pixels = size[0] * size[1] * min(1.0, self.side / max(size)) ** 2
        share = 1.0 if self.steps is None else 2 / (1 + steps)
        return (pixels + FIXED_PIXELS) * share * (FAST_COST if self.mode == "fast" else 1)

    def __str__(self) -> str:
        return f"{self.side} pixels, {self.mode} mode{'' if self.steps is None else ', one step'}"


class Governor:
    """Watches how long frames take, and chooses the best setting that reaches a rate.

    Args:
        target: frames a second.
        style: gives the mode, if that is the fast one, and the largest side.
        size: width and height of the source.
        steps: denoising steps that are run for the style.
        fewest: the `steps` of a style with which a single one is run.
    """

    def __init__(self, target: float, style: Style, size: tuple[int, int], steps: int, fewest: int) -> None:
        self.target, self._size, self._steps = target, size, steps
        largest = min(max(size), style.fit or max(size))
        self.settings = _list_settings(largest, None if steps == 1 or style.steps else fewest, style.mode)
        self.setting = next((one for one in self.settings if one.side <= FIRST_SIDE), self.settings[-1])
        """The setting that holds; measured first at a small size."""
        self.rate = 0.0
        """Frames a second that the machine can make with it, as measured last; 0 before."""
        self._is_measured, self._calm = False, 0
        self._barred: dict[Setting, float] = {}  # settings that were too slow, until when they are not tried again
        self.restart()

    def restart(self) -> None:
        """Begins to measure anew, after a change; the first frames, for which memory is taken, do not count."""
        self._skipped, self._frames, self._seconds, self._since = 0, 0, 0.0, 0.0
        self._slow: list[float] = []

    def observe(self, frames: int, seconds: float, now: float) -> Setting | None:
        """Counts frames that were made; returns the setting that is chosen first, and later each that suits better.

        Args:
            frames, seconds: how many, and the work that they took.
            now: the time, in seconds.
        """
        if self._skipped < WARM_UP:
            self._skipped, self._since = self._skipped + frames, now
            return None
        self._frames, self._seconds = self._frames + frames, self._seconds + seconds
        if now - self._since < WINDOW:
            return None
        self.rate = self._frames / max(self._seconds, 1e-6)
        self._frames, self._seconds, self._since = 0, 0.0, now
        chosen, is_first = self._choose(self.rate, now), not self._is_measured
        self._is_measured = True
        if chosen == self.setting:
            return chosen if is_first else None
        self.setting, self._calm = chosen, 0
        self.restart()
        return chosen

    def _choose(self, rate: float, now: float) -> Setting:
        rank, own = self.settings.index, self.settings.index(self.setting)
        self._slow = [*self._slow, rate] if rate < TOO_SLOW * self.target else []
        if self._is_measured and 0 < len(self._slow) < PATIENCE_IF_SLOW:  # a hiccup is none of our business
            return self.setting
        if self._slow:
            rate = max(self._slow)
            self._barred[self.setting] = now + BARRED_SECONDS
        barred = max((rank(one) for one, until in self._barred.items() if until > now), default=-1)
        fits = [one for one in self.settings if self._predict(one, rate) >= ROOM * self.target and rank(one) > barred]
        best = fits[0] if fits else self.settings[-1]
        if not self._is_measured or rank(best) == own:
            self._calm = 0
            return best
        if rank(best) > own:  # it is too slow, or only just quick enough, which is left alone
            return best if self._slow else self.setting
        self._calm += 1
        return best if self._calm >= PATIENCE else self.setting

    def _predict(self, setting: Setting, rate: float) -> float:
        """Returns the frames a second that a setting would make, by what the present one makes."""
        return rate * self.setting.cost(self._size, self._steps) / setting.cost(self._size, self._steps)


def _list_settings(largest: int, fewest: int | None, mode: Mode) -> Sequence[Setting]:
    """Lists all settings, the best-looking first.

    Args:
        largest: longer side that is of use.
        fewest: `steps` with which a single one is run; `None` if they stay.
        mode: of the style; the fast one stays.
    """
    sides = sorted({largest, *(side for side in SIDES if side <= largest)}, reverse=True)
    if mode == "fast":
        return [Setting(side, None, "fast") for side in sides]
    fewer = [] if fewest is None else [Setting(side, fewest, "full") for side in sides if side <= SIDE_OF_ONE_STEP]
    fast = [Setting(side, fewest, "fast") for side in sides if side <= SIDE_OF_FAST] or [
        Setting(sides[-1], fewest, "fast")
    ]
    return [*(Setting(side, None, "full") for side in sides), *fewer, *fast]
