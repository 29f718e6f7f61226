"""Compiled networks: when it pays, how often it happens, and that it changes nothing but last bits."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch._dynamo.testing import CompileCounter

from clips import make_clip, restyled_states
from media import make_video
from stylize import Clip, Style, StyleError, Stylizer
from stylize.models.loading import load_networks
from stylize.networks import Networks
from stylize.networks.budget import MemoryLoad
from stylize.networks.compiling import COMPILE_SECONDS, choose_compile, seconds_saved, set_compiled
from stylize.pipeline import make_plan, restyle_clips
from stylize.restyle import ImageRestyler

SIZE = (512, 512)


def on_a_gpu(networks: Networks) -> Any:
    """Networks that say that they are on a GPU."""
    return SimpleNamespace(device=torch.device("cuda"), unet=networks.unet, pipe=networks.pipe)


def test_auto_weighs_the_frames(tiny: Networks) -> None:
    load, gpu = MemoryLoad(steps=4), on_a_gpu(tiny)
    enough = round(COMPILE_SECONDS / seconds_saved(gpu, SIZE, load)) + 1
    assert choose_compile(gpu, "auto", SIZE, enough, load) and not choose_compile(gpu, "auto", SIZE, enough - 2, load)
    assert choose_compile(gpu, "auto", SIZE, enough // 2 + 1, MemoryLoad(groups=2, steps=4))
    assert not choose_compile(gpu, "auto", SIZE, None, load) and not choose_compile(gpu, "off", SIZE, 10**9, load)
    assert choose_compile(gpu, "on", SIZE, None, load) and not choose_compile(tiny, "auto", SIZE, 10**12, load)


def test_on_a_cpu_it_is_refused(tiny: Networks, tmp_path: Path) -> None:
    with pytest.raises(StyleError, match="compiling is for CUDA devices, not for cpu: leave --compile out"):
        Stylizer(tiny, compile="on").convert(make_video(tmp_path / "a.mp4"), tmp_path / "b.mp4", Style(prompt="ink"))


def shots() -> list[Clip]:
    one, other = make_clip(7), make_clip(5, first=7)
    return [one, Clip(255 - other.frames[:, ::-1], other.times, other.durations, 7)]


def test_filled_batches_change_nothing(tiny: Networks) -> None:
    plain, filled = ImageRestyler(tiny, 4), ImageRestyler(tiny, 4, static=True)
    plan = make_plan(plain, Style(prompt="ink", steps=3, strength=1.0, guidance_scale=2.0))
    results = [list(restyle_clips(shots(), restyler, plan)) for restyler in (plain, filled)]
    assert [len(clip) for clip, _ in results[0]] == [len(clip) for clip, _ in results[1]] == [4, 3, 4, 1]
    for (one, before), (other, after) in zip(*results, strict=True):
        assert np.abs(one.frames.astype(int) - other.frames).max() <= 1
        for a, b in zip(before.memory.tensors(), after.memory.tensors(), strict=True):
            torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)


def test_the_next_run_is_compiled_only_if_it_says_so(tiny_model: Path, tmp_path: Path) -> None:
    networks = load_networks(tiny_model, device="cpu", dtype=torch.float32)
    set_compiled(networks, True)
    modules = [networks.unet, *(net.network for net in networks.controlnets.values())]
    assert len(modules) > 1 and all(module._compiled_call_impl is not None for module in modules)
    first = networks.unet._compiled_call_impl
    set_compiled(networks, True)
    assert networks.unet._compiled_call_impl is first
    source = make_video(tmp_path / "in.mp4", 2)
    Stylizer(networks, compile="off").convert(source, tmp_path / "out.mp4", Style(prompt="ink"))
    assert all(module._compiled_call_impl is None for module in modules)


@pytest.mark.slow
def test_compiled_it_is_the_same_and_shots_compile_nothing_anew(tiny_model: Path) -> None:
    """One graph for a shot's first batch, one for all others; no break in either."""
    networks = load_networks(tiny_model, device="cpu", dtype=torch.float32)
    style = Style(prompt="ink", steps=3, strength=1.0)
    expected = restyled_states(networks, shots(), style, 3)
    counter = CompileCounter()
    torch._dynamo.reset()
    networks.unet.compile(dynamic=False, fullgraph=True, backend=counter)
    restyler = ImageRestyler(networks, 3, static=True)
    plan = make_plan(restyler, style)
    done = list(restyle_clips(shots(), restyler, plan))
    graphs = counter.frame_count
    list(restyle_clips(shots(), restyler, plan))
    assert graphs == counter.frame_count == 3  # first batches without and with a style anchor, and all later ones
    for (one, _), (other, _) in zip(expected, done, strict=True):
        assert np.abs(one.frames.astype(int) - other.frames).max() <= 1
