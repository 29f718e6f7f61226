"""A live picture: the same frames as a run's, a look that changes while it runs, and the choice of a setting."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from clips import SIZE, make_clip
from media import picture
from stylize import ModelError, Style, StyleError, Stylizer
from stylize.decode.live import LiveFrame
from stylize.models.loading import load_model
from stylize.networks import Networks
from stylize.runs.live.blend import SECONDS, Blend
from stylize.runs.live.checks import check_live, check_rate
from stylize.runs.live.governor import BARRED_SECONDS, Governor, Setting
from stylize.runs.live.session import Live, StyledFrame
from tiny_models import build_tiny_video_model

STYLE = Style(prompt="ink", steps=2, strength=0.5)


class Source:
    """A live source that has its next frame at once."""

    info: Any = SimpleNamespace(frame_rate=Fraction(25))
    dropped = losses = 0
    waited = 0.0

    def __init__(self, count: int, make: Callable[[int], np.ndarray] = picture) -> None:
        self.size = self.source_size = SIZE
        self._count, self._next, self._make = count, 0, make

    @property
    def has_ended(self) -> bool:
        return self._next >= self._count

    def take(self, timeout: float = 0.25) -> LiveFrame | None:
        number, self._next = self._next, self._next + 1
        shown = self._make(number)
        return LiveFrame(
            np.ascontiguousarray(shown[: self.size[1], : self.size[0]]), Fraction(number, 25), time.monotonic()
        )


def run(live: Live, at: Mapping[int, Callable[[], object]] = MappingProxyType({})) -> list[StyledFrame]:
    """All frames; before each number of `at`, its function is called."""
    frames = []
    for frame in live:
        frames.append(frame)
        if (act := at.get(len(frames))) is not None:
            act()
    return frames


@pytest.mark.parametrize("mode", ["full", "fast"])
def test_the_same_frames_as_a_run(tiny: Networks, mode: str) -> None:
    """That each is shown at once changes no pixel."""
    style = replace(STYLE, mode=mode)
    expected = list(Stylizer(tiny, batch=1).stream([make_clip(12)], style))
    frames = run(Live(Stylizer(tiny), Source(12), style))  # type: ignore[arg-type]
    assert [frame.time for frame in frames] == [clip.times[0] for clip in expected]
    for frame, clip in zip(frames, expected, strict=True):
        assert np.array_equal(frame.picture, clip.frames[0])


def test_each_frame_is_shown_before_the_next_is_taken(tiny: Networks) -> None:
    source = Source(6)
    for number, _ in enumerate(Live(Stylizer(tiny), source, STYLE), 1):  # type: ignore[arg-type]
        assert source._next == number


def test_fast_mode_shows_frames_in_their_time(tiny: Networks) -> None:
    """Those of a gap are made together, and due one after the other."""
    frames = run(Live(Stylizer(tiny), Source(21), replace(STYLE, mode="fast")))  # type: ignore[arg-type]
    together = [b.due - a.due for a, b in itertools.pairwise(frames) if b.delay < a.delay]
    assert len(together) > 5 and all(abs(step - 0.04) < 1e-3 for step in together)


def test_a_change_is_faded_to(tiny: Networks) -> None:
    """The first frame after it is the old picture, carried on; half a second later nothing of it is left."""
    other, count, at = replace(STYLE, prompt="woodcut", strength=1.0), 40, 10
    live = Live(Stylizer(tiny), Source(count), STYLE)  # type: ignore[arg-type]
    frames = run(live, {at: lambda: setattr(live, "style", other)})
    plain = run(Live(Stylizer(tiny), Source(count), STYLE))  # type: ignore[arg-type]
    assert live.style == other and len(frames) == count
    assert all(np.array_equal(a.picture, b.picture) for a, b in zip(frames[:at], plain[:at], strict=True))
    new = list(Stylizer(tiny, batch=1).stream([make_clip(count - at, first=at)], other))
    distances = [
        float(np.abs(frame.picture.astype(int) - clip.frames[0]).mean())
        for frame, clip in zip(frames[at:], new, strict=True)
    ]
    length = int(SECONDS * 25)
    assert all(distance == 0 for distance in distances[length + 1 :])
    assert distances[0] > 1.5 * distances[length // 2] > 0 and distances[0] > 5
    carried = np.abs(frames[at].picture.astype(int) - frames[at - 1].picture).mean()
    assert carried < distances[0] / 2, "the first is nearer to the old picture than to the new one"


def test_a_fade_keeps_to_surfaces_and_forgets_what_is_gone() -> None:
    blend, old, new = Blend(), np.full((48, 64, 3), 200, np.uint8), np.full((48, 64, 3), 20, np.uint8)
    source = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    assert np.array_equal(blend.show(source, old, Fraction(0)), old)
    blend.begin()
    shares = [blend.show(source, new, Fraction(i, 20)).mean() for i in range(1, 13)]
    assert shares[0] == 200 and shares == sorted(shares, reverse=True) and shares[-1] == 20
    assert abs(shares[5] - 110) < 6, "half way in the middle"
    blend.begin()
    cut = np.random.default_rng(1).integers(0, 255, (48, 64, 3), np.uint8)
    assert blend.show(cut, old, Fraction(2)).mean() > 60, "after a cut there is less to carry"


def test_a_size_that_changes_is_faded_over(tiny: Networks) -> None:
    live = Live(Stylizer(tiny), Source(12), STYLE)  # type: ignore[arg-type]
    frames = run(live, {4: lambda: setattr(live, "style", replace(STYLE, fit=64, size=(32, 24)))})
    assert {frame.picture.shape for frame in frames[4:]} == {(24, 32, 3)}


def test_a_change_that_the_model_refuses_changes_nothing(tiny: Networks) -> None:
    live = Live(Stylizer(tiny), Source(8), STYLE)  # type: ignore[arg-type]
    bad = replace(STYLE, controls={"openpose": 1.0})
    plain = run(Live(Stylizer(tiny), Source(8), STYLE))  # type: ignore[arg-type]
    frames = run(live, {3: lambda: setattr(live, "style", bad)})
    assert len(frames) == 8 and live.style == STYLE and "openpose" in live.figures.message
    assert all(np.array_equal(a.picture, b.picture) for a, b in zip(frames, plain, strict=True))


def test_a_refused_change_does_not_take_a_later_one_with_it(tiny: Networks, monkeypatch: pytest.MonkeyPatch) -> None:
    live = Live(Stylizer(tiny), Source(8), STYLE)  # type: ignore[arg-type]
    bad, good = replace(STYLE, controls={"openpose": 1.0}), replace(STYLE, prompt="woodcut")
    make = live._make_plan

    def slow(style: Style) -> Any:
        if style == bad:  # another one is asked for while it is looked at
            live.style = good
        return make(style)

    monkeypatch.setattr(live, "_make_plan", slow)
    run(live, {2: lambda: setattr(live, "style", bad)})
    assert live.style == good and live._accepted == good


def test_errors_that_nobody_expects_leave_the_picture(tiny: Networks, monkeypatch: pytest.MonkeyPatch) -> None:
    live = Live(Stylizer(tiny), Source(6), STYLE)  # type: ignore[arg-type]
    monkeypatch.setattr(live, "_make_plan", lambda style: 1 / 0)
    assert len(run(live, {2: lambda: setattr(live, "style", replace(STYLE, prompt="oil"))})) == 6
    assert "ZeroDivisionError" in live.figures.message and live.style == STYLE


def test_an_error_of_the_source_is_raised(tiny: Networks) -> None:
    """However busy the networks were when it came."""
    from stylize.decode import live as decode_live
    from stylize.decode.live_address import parse_live_address

    class Feed:
        tracks = ()

        def pictures(self) -> Any:
            feed = decode_live.open_feed(parse_live_address("test:"))
            for i, shown in enumerate(feed.pictures()):
                yield shown
                if i == 3:
                    raise RuntimeError("the cable")

        def close(self) -> None:
            pass

    with pytest.MonkeyPatch.context() as patch:
        real = decode_live.open_feed
        patch.setattr(decode_live, "open_feed", lambda address, *_: Feed() if address.kind == "pipe" else real(address))
        with decode_live.LiveReader(parse_live_address("pipe:")) as reader:
            live = Live(Stylizer(tiny), reader, replace(STYLE, fit=64))
            with pytest.raises(RuntimeError, match="the cable"):
                for _ in live:
                    reader._thread.join()  # all has come meanwhile


@pytest.mark.parametrize(
    "asked",
    [{"keyframes": {Fraction(0): "a.png"}}, {"depth_from": "a"}, {"control_from": {"canny": "a"}},
     {"mask_from": "motion"}, {"mask": "film.mp4"}],
)  # fmt: skip
def test_what_needs_a_file_is_refused(tiny: Networks, asked: dict[str, Any]) -> None:
    with pytest.raises(StyleError):
        check_live(replace(STYLE, **asked))
    live = Live(Stylizer(tiny), Source(2), STYLE)  # type: ignore[arg-type]
    with pytest.raises(StyleError):
        live.style = replace(STYLE, **asked)


def test_stopping_from_another_thread(tiny: Networks) -> None:
    live = Live(Stylizer(tiny), Source(10**6), STYLE)  # type: ignore[arg-type]
    threading.Timer(0.5, live.stop).start()
    began = time.monotonic()
    frames = run(live)
    assert frames and time.monotonic() - began < 5


def test_a_source_without_frames_for_a_while(tiny: Networks) -> None:
    """It is waited for, and stopping is not."""

    class Empty(Source):
        has_ended = False  # type: ignore[assignment]

        def take(self, timeout: float = 0.25) -> None:
            time.sleep(0.01)

    live = Live(Stylizer(tiny), Empty(0), STYLE)  # type: ignore[arg-type]
    threading.Timer(0.3, live.stop).start()
    assert run(live) == []


def test_video_models_are_refused(tmp_path: Path) -> None:
    networks = load_model(build_tiny_video_model(tmp_path / "wan"), device="cpu", dtype=torch.float32)
    with pytest.raises(ModelError, match="windows of frames"):
        Live(Stylizer(networks), Source(1), STYLE)  # type: ignore[arg-type]


def test_through_the_stylizer(tiny: Networks) -> None:
    with Stylizer(tiny).live("test:", replace(STYLE, fit=64)) as live:
        frame = next(iter(live))
    assert frame.picture.shape == (36, 64, 3) and frame.delay < 5 and live.figures.frames == 1


class Machine:
    """Takes so long for a frame: a part of its own, and a part by pixels; `load` makes it slower."""

    def __init__(self, governor: Governor, rate: float = 30.0, size: tuple[int, int] = (1280, 720)) -> None:
        self.governor, self._rate, self._size, self.now, self.load = governor, rate, size, 0.0, 1.0
        self.changes = list[tuple[float, Setting]]()

    def seconds(self, setting: Setting) -> float:
        pixels = self._size[0] * self._size[1] * min(1.0, setting.side / max(self._size)) ** 2
        cost = (0.02 + pixels * 1e-6) * (0.25 if setting.mode == "fast" else 1) * (0.6 if setting.steps else 1)
        return cost * self.load

    def run(self, seconds: float) -> Setting:
        until = self.now + seconds
        while self.now < until:
            work = self.seconds(self.governor.setting)
            self.now += max(work, 1 / self._rate)
            if (chosen := self.governor.observe(1, work, self.now)) is not None:
                self.changes.append((self.now, chosen))
        return self.governor.setting


def make_governor(target: float, **style: Any) -> Governor:
    return Governor(target, replace(STYLE, steps=None, **style), (1280, 720), 2, 1)


@pytest.mark.parametrize("target", [2, 5, 12, 20, 28])
def test_a_setting_is_chosen_that_reaches_the_rate(target: float) -> None:
    """After a second or so; a better one would not reach it."""
    machine = Machine(make_governor(target))
    chosen = machine.run(3)
    assert machine.changes == [] or machine.changes[0][0] < 1.5
    assert 1 / machine.seconds(chosen) >= target
    assert machine.run(60) is not None and 1 / machine.seconds(machine.governor.setting) >= target
    ranks = machine.governor.settings
    better = ranks[: ranks.index(machine.governor.setting)]
    assert not better or 1 / machine.seconds(better[-1]) < 1.5 * target


def test_the_last_resort_is_the_smallest_setting() -> None:
    machine = Machine(make_governor(200), rate=300)
    assert machine.run(5) == machine.governor.settings[-1] and machine.governor.setting.mode == "fast"


def test_a_busy_machine() -> None:
    """A hiccup changes nothing; load does, and is forgotten in time; nothing swings to and fro."""
    machine = Machine(make_governor(12))
    before = machine.run(10)
    machine.load = 4.0
    machine.run(1.2)
    machine.load = 1.0
    assert machine.run(10) == before
    machine.load = 3.0
    small = machine.run(20)
    assert 1 / machine.seconds(small) >= 12 and small != before
    machine.load, changes = 1.0, len(machine.changes)
    after = machine.run(2 * BARRED_SECONDS)
    assert machine.governor.settings.index(after) <= machine.governor.settings.index(before) + 1
    assert len(machine.changes) - changes <= 4


def test_a_machine_at_the_border_is_left_alone() -> None:
    governor = make_governor(12)
    machine = Machine(governor)
    machine.run(5)
    setting = governor.setting
    machine.load = 1 / (12 * 0.98) / machine.seconds(setting)  # just below the rate
    machine.changes.clear()
    machine.run(60)
    assert machine.changes == []


def test_groups_of_frames_are_measured_as_they_are() -> None:
    """Fast mode makes ten at once."""
    governor, now = make_governor(12, mode="fast"), 100.0
    for _ in range(30):
        now += 0.5
        governor.observe(10, 0.5, now)
    assert governor.rate == pytest.approx(20)


def test_what_is_asked_for_later_holds(tiny: Networks) -> None:
    """A mode and a largest side that come with a new style."""
    source = Source(6, lambda number: np.zeros((360, 640, 3), np.uint8))
    source.source_size = source.size = (640, 360)
    live = Live(Stylizer(tiny), source, replace(STYLE, steps=None), target_fps=25)  # type: ignore[arg-type]
    run(live, {2: lambda: setattr(live, "style", replace(STYLE, steps=None, fit=128, mode="fast"))})
    assert live.figures.size[0] <= 128 and live._plan.fast


def test_what_the_style_says_is_kept() -> None:
    assert {one.mode for one in make_governor(12, mode="fast").settings} == {"fast"}
    assert max(one.side for one in make_governor(12, fit=320).settings) == 320
    assert all(one.steps is None for one in Governor(12, STYLE, (640, 360), 2, 1).settings), "it names its steps"
    small = Governor(12, replace(STYLE, steps=None), (160, 90), 1, 1)
    assert {one.side for one in small.settings} == {160}
    for rate in (0.0, 0.9, 241.0, float("nan")):
        with pytest.raises(StyleError, match="out of range"):
            check_rate(rate)


def test_the_governor_at_work(tiny: Networks) -> None:
    """A slow machine gets smaller pictures, in a session."""
    said = list[str]()

    def slow(number: int) -> np.ndarray:
        return np.zeros((360, 640, 3), np.uint8)

    source = Source(10**6, slow)
    source.source_size = source.size = (640, 360)
    live = Live(Stylizer(tiny), source, replace(STYLE, steps=None), target_fps=25, say=said.append)  # type: ignore[arg-type]
    assert live.figures.frames == 0 and source.size == (256, 144)
    began = time.monotonic()
    for _ in live:
        time.sleep(0.15)  # whoever shows it takes long, which counts
        if time.monotonic() - began > 4:
            break
    assert said and "fast mode" in said[0] and live.figures.size[0] <= 192
