"""Frames denoised together: fewer calls of the networks, the same pictures, the same promises."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clips import cut_up, joined, make_clip, restyled_states
from media import picture
from stylize import Clip, Style, StyleError, Stylizer, Temporal, load_stylizer
from stylize.networks import Networks, budget, choose_batch
from stylize.networks.budget import MemoryLoad, Needs, needs_of
from stylize.runs.state import from_bytes, to_bytes
from stylize.style import Control

SCHEDULERS = ["LCMScheduler", "DDIMScheduler", "EulerAncestralDiscreteScheduler", "UniPCMultistepScheduler"]


def frames_of(networks: Networks, style: Style, clips: list[Clip], batch: int) -> np.ndarray:
    return joined(list(Stylizer(networks, batch=batch).stream(clips, style))).astype(int)


@pytest.mark.parametrize("batch", [3, 8])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_the_same_frames_however_many_at_once(tiny: Networks, scheduler: str, batch: int) -> None:
    networks = replace(tiny, scheduler=getattr(diffusers, scheduler).from_config(tiny.scheduler.config))
    style = Style(
        prompt="0s: ink; 0.2s: oil painting", guidance_scale=2.0, steps=4, strength=0.8,
        controls={"depth": 1.0, "canny": Control(0.7, 0.0, 0.6)},
    )  # fmt: skip
    clip = make_clip(7)
    alone = frames_of(networks, style, [clip], 1)
    together = frames_of(networks, style, [clip], batch)
    assert np.abs(alone - together).max() <= 1
    without = frames_of(networks, replace(style, temporal=0.0), [clip], batch)
    assert np.abs(without - together).max() > 1  # and each still looks at the frames before it


def test_fewer_calls_as_many_samples(tiny: Networks) -> None:
    style, clip, sizes = Style(prompt="ink", steps=4, strength=1.0), make_clip(24), list[int]()
    hook = tiny.unet.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
    try:
        with tiny.counting() as evaluations:
            list(Stylizer(tiny, batch=4).stream(cut_up(clip, [2]), style))
    finally:
        hook.remove()
    assert evaluations.unet == sum(sizes) == 24 * 4
    assert sizes == [4] * 24


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shots=st.lists(st.integers(1, 6), min_size=1, max_size=4), batch=st.integers(2, 7), guided=st.booleans(),
    scheduler=st.sampled_from(SCHEDULERS),
)  # fmt: skip
def test_any_shots_in_any_batches_are_frame_by_frame(
    tiny: Networks, shots: list[int], batch: int, guided: bool, scheduler: str
) -> None:
    """To 1e-4, in the floats that come out of the decoder."""
    networks = replace(tiny, scheduler=getattr(diffusers, scheduler).from_config(tiny.scheduler.config))
    looks = [picture(0), 255 - picture(0)[::-1], picture(0)[:, ::-1] // 2, 255 - picture(0) // 3]
    frames = [np.roll(looks[shot], 2 * i, 1) for shot, count in enumerate(shots) for i in range(count)]
    clips = [Clip(f[None], (Fraction(i, 25),), (Fraction(1, 25),), i) for i, f in enumerate(frames)]
    style = Style(prompt="ink", steps=3, strength=0.9, guidance_scale=2.0 if guided else 1.0, temporal=Temporal(1, 0))
    alone, together = (restyled_states(networks, clips, style, size) for size in (1, batch))
    assert sum(clip.starts_shot for clip, _ in together) == len(shots)
    assert max(len(clip) for clip, _ in together) <= batch
    ends = {clip.index + len(clip): state for clip, state in together}
    for i, (_, state) in enumerate(alone, 1):
        if i in ends:
            assert state.last is not None and ends[i].last is not None
            assert np.abs(state.last.styled - ends[i].last.styled).max() < 1e-4
            for one, other in zip(state.memory.tensors(), ends[i].memory.tensors(), strict=True):
                torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)  # layers' own numbers are larger


def test_cuts_and_clips_change_nothing(tiny: Networks) -> None:
    one = make_clip(5)
    other = Clip(255 - one.frames[:, ::-1], tuple(t + 1 for t in one.times), one.durations, 5)
    style = Style(prompt="ink", steps=4, strength=1.0)
    alone = list(Stylizer(tiny, batch=1).stream([one, other], style))
    together = list(Stylizer(tiny, batch=3).stream([*cut_up(one, [2]), other], style))
    assert np.abs(joined(alone).astype(int) - joined(together)).max() <= 1
    for same in ("times", "durations", "index", "starts_shot"):
        assert [getattr(clip, same) for clip in alone] == [getattr(clip, same) for clip in together]


def test_no_more_is_read_ahead_than_goes_together(tiny: Networks) -> None:
    read = 0

    def counted() -> Iterator[Clip]:
        nonlocal read
        for part in cut_up(make_clip(12), [1]):
            read += 1
            yield part

    for i, _ in enumerate(Stylizer(tiny, batch=3).stream(counted(), Style(prompt="ink", steps=4, strength=1.0))):
        assert read <= i + 2 * 3  # a batch is finished while the next one is in the networks


def test_a_run_goes_on_after_any_batch(tiny: Networks) -> None:
    """Also through shots shorter than a batch: what comes after is what an unbroken run makes, bit by bit."""
    frames = [picture(i) if i // 4 % 2 else 255 - picture(i)[::-1] for i in range(11)]
    times = [(Fraction(i, 25),) for i in range(11)]
    parts = [Clip(f[None], at, (Fraction(1, 25),), i) for i, (f, at) in enumerate(zip(frames, times, strict=True))]
    style = Style(prompt="ink", steps=4, strength=0.8)
    steps = restyled_states(tiny, parts, style, 3)
    assert [(clip.index, len(clip)) for clip, _ in steps] == [(0, 3), (3, 1), (4, 3), (7, 1), (8, 3)]
    for i, (clip, state) in enumerate(steps[:-1], 1):
        kept = from_bytes(to_bytes(state), tiny.device)
        rest = restyled_states(tiny, parts[clip.index + len(clip) :], style, 3, kept)
        assert np.array_equal(joined([clip for clip, _ in rest]), joined([clip for clip, _ in steps[i:]]))
        for tensor in state.memory.tensors():  # of one frame, not of all that went with it
            assert tensor.untyped_storage().nbytes() == tensor.nbytes


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_keys_and_values_take_what_is_reckoned(tiny: Networks, guidance: float) -> None:
    style = Style(prompt="ink", steps=3, strength=1.0, guidance_scale=guidance)
    _, state = restyled_states(tiny, [make_clip(3)], style)[-1]
    held = sum(tensor.nbytes for tensor in state.memory.tensors())
    _, alone = restyled_states(tiny, [make_clip(3)], replace(style, temporal=0.0))[-1]
    assert not list(alone.memory.tensors())  # nobody looks at them
    needs = needs_of(tiny, (64, 48), MemoryLoad(2 if guidance > 1 else 1, steps=3))
    assert held == 2 * 3 * needs.keys_values  # of the shot's first frame, which is the video's, and of the last


def test_as_many_as_fit(tiny: Networks, monkeypatch: pytest.MonkeyPatch) -> None:
    needs = Needs(weights=10**6, decoding=10**5, denoising=10**6, keys_values=10**4, steps=9)
    monkeypatch.setattr(budget, "needs_of", lambda *_: needs)
    assert choose_batch(tiny, (64, 48), load=MemoryLoad(steps=9)) == budget.BATCH
    assert choose_batch(tiny, (64, 48), 5, MemoryLoad(steps=3)) == 5

    def batch(room: int, kind: str = "cuda") -> int:
        monkeypatch.setattr(budget, "free_bytes", lambda _: int(room / budget.SPARE) + 1)
        monkeypatch.setattr(budget, "loaded_bytes", lambda _: 0)
        monkeypatch.setattr(budget, "_is_offloaded", lambda *_: False)
        stand_in: Any = SimpleNamespace(
            device=SimpleNamespace(type=kind), pipe=tiny.pipe, vae=tiny.vae, unet=tiny.unet, dtype=torch.float32,
            controlnets=tiny.controlnets,
        )  # fmt: skip
        return choose_batch(stand_in, (64, 48), load=MemoryLoad(steps=9))

    for fits in range(1, 4):
        assert batch(needs.of("whole", fits)) == fits
    assert batch(needs.of("whole", 1) - 2) == 1
    assert batch(1000 * needs.weights) == batch(1000 * needs.weights, "cpu") == budget.BATCH
    assert batch(1000 * needs.weights, kind="xpu") == 1


@pytest.mark.parametrize("batch", [0, -1, 33])
def test_batches_that_cannot_be(batch: int) -> None:
    with pytest.raises(StyleError, match=f"a batch of {batch} frames is out of range: use 1 to 32"):
        load_stylizer("nowhere", batch=batch)
