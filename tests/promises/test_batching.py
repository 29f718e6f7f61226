"""Frames denoised together: fewer calls of the networks, the same pictures, the same promises."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import diffusers
import numpy as np
import pytest
import torch

from clips import cut_up, joined, make_clip
from media import picture
from stylize import Clip, Style, StyleError, Stylizer, load_stylizer
from stylize.encode import segments
from stylize.networks import Networks, choose_batch
from stylize.networks import budget as hardware
from stylize.networks.budget import Load, Needs, needs_of
from stylize.restyle import Memory, conditions_for
from stylize.restyle import image_restyler as restyle
from stylize.structure import take_maps
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
    assert max(sizes) == 4 and len(sizes) < 24 * 4 / 2.5


def test_cuts_and_clips_change_nothing(tiny: Networks) -> None:
    one = make_clip(5)
    other = Clip(255 - one.frames[:, ::-1], tuple(t + 1 for t in one.times), one.durations, 5)
    style = Style(prompt="ink", steps=4, strength=1.0)
    alone = list(Stylizer(tiny, batch=1).stream([one, other], style))
    together = list(Stylizer(tiny, batch=3).stream([*cut_up(one, [2]), other], style))
    assert np.abs(joined(alone).astype(int) - joined(together)).max() <= 1
    for same in ("times", "durations", "index", "starts_shot"):
        assert [getattr(clip, same) for clip in alone] == [getattr(clip, same) for clip in together]


def test_no_more_is_read_ahead_than_is_under_way(tiny: Networks) -> None:
    read = 0

    def counted() -> Iterator[Clip]:
        nonlocal read
        for part in cut_up(make_clip(12), [1]):
            read += 1
            yield part

    for i, _ in enumerate(Stylizer(tiny, batch=3).stream(counted(), Style(prompt="ink", steps=4, strength=1.0))):
        assert read <= i + 2 * 3  # as many gathered for their maps as under way


def test_a_run_goes_on_where_all_are_at_rest(tiny: Networks) -> None:
    """Also through shots shorter than a stretch: what comes after is what an unbroken run makes, bit by bit."""
    frames = [picture(i) if i // 3 % 2 else 255 - picture(i)[::-1] for i in range(11)]
    times = [(Fraction(i, 25),) for i in range(11)]
    parts = [Clip(f[None], at, (Fraction(1, 25),), i) for i, (f, at) in enumerate(zip(frames, times, strict=True))]
    stylizer, style = Stylizer(tiny, batch=3), Style(prompt="ink", steps=4, strength=0.8)
    with patch.object(restyle, "STRETCH", 4):
        steps = list(stylizer.steps(parts, style))
        assert sum(clip.starts_shot for clip, _ in steps) == 4
        assert [i for i, (_, state) in enumerate(steps) if state is not None] == [3, 7]
        for done in (4, 8):
            state = steps[done - 1][1]
            assert state is not None
            kept = type(state).from_bytes(state.to_bytes(), tiny.device)
            rest = joined([clip for clip, _ in stylizer.steps(parts[done:], style, kept)])
            assert np.array_equal(rest, joined([clip for clip, _ in steps[done:]]))
            for tensor in state.memory.tensors():  # of one frame, not of all that went with it
                assert tensor.untyped_storage().nbytes() == tensor.nbytes


def test_what_nobody_looks_at_any_more_is_let_go(tiny: Networks) -> None:
    """Keys and values of the frames under way are those of about one frame, not of the batch."""
    conditions = conditions_for(tiny, Style(prompt="ink", steps=8, strength=1.0))
    with restyle.Wave(tiny, conditions, Memory()) as wave:
        wave.cut()
        for clip in cut_up(make_clip(12), [1]):
            while len(wave) >= 8:
                list(wave.step())
            maps, depth_range = take_maps(clip, conditions.controls, tiny.estimate_depth, wave.depth_range)
            wave.enter(clip, maps, depth_range)
            list(wave.step())
        kept = [sum(bool(step) for step in frame.passage.cache) for frame in wave._frames]
        assert len(kept) == 7 and sum(kept) == 7  # each is one step ahead of the next, the last one has done one


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_keys_and_values_take_what_is_reckoned(tiny: Networks, guidance: float) -> None:
    style = Style(prompt="ink", steps=3, strength=1.0, guidance_scale=guidance)
    steps = list(Stylizer(tiny, batch=1).steps([make_clip(3)], style))
    held = sum(tensor.nbytes for tensor in steps[-1][1].memory.tensors())  # type: ignore[union-attr]
    *_, (_, alone) = Stylizer(tiny, batch=1).steps([make_clip(3)], replace(style, temporal=0.0))
    assert alone is not None and not list(alone.memory.tensors())  # nobody looks at them
    needs = needs_of(tiny, (64, 48), Load(2 if guidance > 1 else 1, steps=3))
    assert held == 2 * 3 * needs.keys_values  # of the shot's first frame, which is the video's, and of the last


def test_as_many_as_fit(tiny: Networks, monkeypatch: pytest.MonkeyPatch) -> None:
    needs = Needs(weights=10**6, decoding=10**5, denoising=10**6, keys_values=10**4, steps=9)
    monkeypatch.setattr(hardware, "needs_of", lambda *_: needs)
    assert choose_batch(tiny, (64, 48), load=Load(steps=9)) == hardware.BATCH
    assert choose_batch(tiny, (64, 48), 5, Load(steps=9)) == 5 and choose_batch(tiny, (64, 48), 5, Load(steps=3)) == 3

    def batch(room: int, kind: str = "cuda", steps: int = 9) -> int:
        monkeypatch.setattr(hardware, "free_bytes", lambda _: int(room / hardware.SPARE) + 1)
        monkeypatch.setattr(hardware, "loaded_bytes", lambda _: 0)
        monkeypatch.setattr(hardware, "_is_offloaded", lambda *_: False)
        stand_in: Any = SimpleNamespace(
            device=SimpleNamespace(type=kind), pipe=tiny.pipe, vae=tiny.vae, unet=tiny.unet, dtype=torch.float32,
            controlnets=tiny.controlnets,
        )  # fmt: skip
        return choose_batch(stand_in, (64, 48), load=Load(steps=steps))

    for fits in range(1, 4):
        assert batch(needs.of("whole", fits)) == fits
    assert batch(needs.of("whole", 1) - 2) == 1
    assert batch(1000 * needs.weights) == hardware.BATCH
    assert batch(1000 * needs.weights, steps=2) == 2
    assert batch(1000 * needs.weights, kind="xpu") == 1


def test_a_stretch_is_a_segment() -> None:
    """A run goes on after whole segments, which end where all are at rest."""
    assert restyle.STRETCH == segments.LENGTH


@pytest.mark.parametrize("batch", [0, -1, 33])
def test_batches_that_cannot_be(batch: int) -> None:
    with pytest.raises(StyleError, match=f"a batch of {batch} frames is out of range: use 1 to 32"):
        load_stylizer("nowhere", batch=batch)
