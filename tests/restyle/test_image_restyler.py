"""The denoising loop, against diffusers' own pipeline and against its promises."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from against import SEED, assert_equal, laid_out, ours
from clips import cut_up, joined, make_clip, restyled_states
from stylize import Clip, ModelError, Style, StyleError, Stylizer
from stylize.networks import Networks
from stylize.restyle import conditions_for
from stylize.restyle.image_restyler import _pad


@pytest.fixture
def style() -> Style:
    return Style(prompt="ink drawing", seed=3)


@pytest.mark.parametrize(
    "scheduler", ["DDIMScheduler", "LCMScheduler", "EulerDiscreteScheduler", "UniPCMultistepScheduler"]
)
@pytest.mark.parametrize("guidance_scale", [1.0, 2.0])
def test_without_memory_equals_diffusers_pipeline(
    tiny: Networks, tiny_model: Path, scheduler: str, guidance_scale: float
) -> None:
    """What we add is exactly what we say we add: nothing else differs from ControlNet img2img."""
    import diffusers
    from diffusers import StableDiffusionControlNetImg2ImgPipeline

    networks = replace(tiny, scheduler=getattr(diffusers, scheduler).from_config(tiny.scheduler.config))
    clip = make_clip(1)
    strength = 1.0 if scheduler == "LCMScheduler" else 0.7  # below 1 we lay few-step schedulers' steps otherwise
    style = Style(
        prompt="ink drawing", negative_prompt="photo" if guidance_scale > 1 else "", guidance_scale=guidance_scale,
        steps=6, strength=strength, controls={"depth": 0.9, "canny": 0.6}, temporal=0.0,
    )  # fmt: skip
    mine = ours(networks, style, clip)
    pipeline = laid_out(StableDiffusionControlNetImg2ImgPipeline.from_pretrained(tiny_model, safety_checker=None))
    pipeline.scheduler = getattr(diffusers, scheduler).from_config(pipeline.scheduler.config)
    theirs = pipeline(
        prompt="ink drawing", negative_prompt="photo", image=mine.image,
        control_image=[mine.controls["depth"], mine.controls["canny"]], controlnet_conditioning_scale=[0.9, 0.6],
        num_inference_steps=6, strength=strength, guidance_scale=guidance_scale,
        generator=torch.Generator().manual_seed(SEED), output_type="latent",
    ).images  # fmt: skip
    assert_equal(mine.latents, theirs, mine.source)


@pytest.mark.parametrize("scheduler", ["LCMScheduler", "TCDScheduler"])
@pytest.mark.parametrize("strength", [0.3, 0.75, 1.0])
def test_few_step_schedulers_run_all_their_steps_below_the_strength(
    tiny: Networks, scheduler: str, strength: float
) -> None:
    import diffusers

    networks = replace(tiny, scheduler=getattr(diffusers, scheduler).from_config(tiny.scheduler.config))
    conditions = conditions_for(networks, Style(prompt="ink", steps=4, strength=strength))
    _, timesteps = conditions.schedule
    assert len(timesteps) == 4
    assert timesteps[0] == pytest.approx(1000 * strength - 1, abs=20)
    assert (timesteps.diff() < 0).all()


def test_too_little_strength_for_any_step(tiny: Networks) -> None:
    with pytest.raises(StyleError, match="leaves none to run"):
        conditions_for(tiny, Style(prompt="ink", steps=4, strength=0.2))


def test_each_control_shows(tiny: Networks) -> None:
    clip = make_clip(1)
    results = [
        joined(list(Stylizer(tiny).stream([clip], Style(prompt="ink", controls=controls))))
        for controls in ({}, {"depth": 1.0}, {"canny": 1.0}, {"depth": 1.0, "canny": 1.0}, {"depth": 0.5})
    ]
    for i, one in enumerate(results):
        assert not any(np.array_equal(one, other) for other in results[i + 1 :])


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=st.lists(st.integers(1, 5), min_size=1, max_size=3))
def test_how_clips_are_cut_changes_no_pixel(tiny: Networks, lengths: list[int]) -> None:
    clip, style = make_clip(5), Style(prompt="ink drawing")
    whole = joined(list(Stylizer(tiny).stream([clip], style)))
    parts = joined(list(Stylizer(tiny).stream(cut_up(clip, lengths), style)))
    assert np.array_equal(whole, parts)


def test_same_seed_same_frames_other_seed_other_frames(tiny: Networks, style: Style) -> None:
    clip = make_clip(3)
    first, again = (joined(list(Stylizer(tiny).stream([clip], style))) for _ in range(2))
    other = joined(list(Stylizer(tiny).stream([clip], replace(style, seed=4))))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_frames_in_equal_frames_out_at_the_same_times(tiny: Networks, style: Style) -> None:
    clip = make_clip(4)
    out = list(Stylizer(tiny).stream(cut_up(clip, [3]), style))
    assert joined(out).shape == clip.frames.shape
    assert sum((c.times for c in out), ()) == clip.times
    assert sum((c.durations for c in out), ()) == clip.durations


@pytest.mark.parametrize("size", [(64, 48), (61, 45), (40, 24), (17, 33), (72, 40)])
def test_any_size(tiny: Networks, style: Style, size: tuple[int, int]) -> None:
    clip = make_clip(2, size=size)
    assert joined(list(Stylizer(tiny).stream([clip], style))).shape == (2, size[1], size[0], 3)


def test_padding_repeats_the_border() -> None:
    pixels = torch.arange(15.0).view(1, 1, 3, 5)
    padded = _pad(pixels)
    assert padded.shape == (1, 1, 8, 8)
    assert torch.equal(padded[..., :3, :5], pixels)
    assert (padded[..., 2:, 4:] == pixels[..., -1, -1]).all()


@pytest.mark.parametrize("batch", [1, 3])
def test_memory_is_bounded(tiny: Networks, style: Style, batch: int) -> None:
    """Keys and values of two frames within the first shot, after 3 frames as after 12."""
    steps = restyled_states(tiny, [make_clip(12)], style, batch)
    sizes = [state.memory.nbytes for _, state in steps]
    one_frame = restyled_states(tiny, [make_clip(1)], style)[0][1].memory.nbytes
    assert sizes[1:] == [2 * one_frame] * (len(sizes) - 1)  # the first shot's anchor is the style's
    later = steps[-1][1].cut()
    assert later.memory.nbytes == one_frame and later.memory.shot == 1
    assert later.depth_range is None and later.last is None
    assert not later.memory.anchor and not later.memory.previous


def test_memory_shows_and_its_weight_blends(tiny: Networks) -> None:
    clip = make_clip(3)

    def last(temporal: float) -> np.ndarray:
        style = Style(prompt="ink", temporal=temporal, controls={})
        return joined(list(Stylizer(tiny).stream([clip], style)))[-1].astype(int)

    alone, half, full = last(0.0), last(0.5), last(1.0)
    assert np.abs(full - alone).max() > 0
    assert np.abs(half - alone).sum() < np.abs(full - alone).sum()


def test_without_memory_frames_do_not_depend_on_the_past(tiny: Networks) -> None:
    style = Style(prompt="ink", temporal=0.0, controls={"canny": 1.0})
    both = joined(list(Stylizer(tiny, batch=1).stream([make_clip(2)], style)))
    alone = joined(list(Stylizer(tiny, batch=1).stream([make_clip(1, first=1)], style)))
    assert np.array_equal(both[1], alone[0])


def test_a_cut_empties_the_memory_but_for_the_style_anchor(tiny: Networks, style: Style) -> None:
    one = make_clip(3)
    other = Clip(255 - make_clip(3).frames[:, ::-1], one.times, one.durations, 3)
    stylizer = Stylizer(tiny)
    both = list(stylizer.stream([one, other], style))
    assert [clip.starts_shot for clip in both] == [True, False, False] * 2
    longer = make_clip(5)  # another past, the same first frame: the second shot must not see the difference
    after_longer = list(stylizer.stream([longer, other], style))
    assert np.array_equal(both[-1].frames, after_longer[-1].frames)
    another_start = Clip(make_clip(1).frames // 2 + 60, one.times[:1], one.durations[:1])
    after_another = list(stylizer.stream([another_start, other], style))
    assert not np.array_equal(both[-1].frames, after_another[-1].frames)  # but it matches the video's first frame


def test_guidance_doubles_the_evaluations(tiny: Networks) -> None:
    clip = make_clip(2)
    counts = []
    for guidance_scale in (1.0, 3.0):
        style = Style(prompt="ink", steps=4, strength=0.5, guidance_scale=guidance_scale)
        with tiny.counting() as evaluations:
            list(Stylizer(tiny).stream([clip], style))
        counts.append(evaluations.unet)
    assert counts == [2 * 2, 2 * 2 * 2]


def test_settings_that_do_not_fit(tiny: Networks) -> None:
    for style, error, message in (
        (Style(prompt="ink", strength=0.1, steps=4), StyleError, "strength 0.1 of 4 steps leaves none to run: raise"),
        (
            Style(prompt="ink", negative_prompt="photo"),
            StyleError,
            "a negative prompt needs guidance: set the guidance",
        ),
        (
            Style(prompt="ink", controls={"pose": 1.0}),
            ModelError,
            "has no ControlNet 'pose': use those it has: depth, canny",
        ),
    ):
        with pytest.raises(error, match=message):
            list(Stylizer(tiny).stream([make_clip(1)], style))


@pytest.mark.parametrize("channels_last", [True, False])
def test_what_is_kept_lies_row_by_row_however_the_decoder_lies(tiny: Networks, channels_last: bool) -> None:
    """What goes into a state's file, and OpenCV, would otherwise be copied or misread."""
    decode = type(tiny).decode
    layout = torch.channels_last if channels_last else torch.contiguous_format
    with patch.object(type(tiny), "decode", lambda *given: decode(*given).contiguous(memory_format=layout)):
        steps = restyled_states(tiny, [make_clip(2)], Style(prompt="ink", temporal=0.0))
    for clip, state in steps:
        assert state.last is not None
        assert state.last.styled.flags.c_contiguous and clip.frames.flags.c_contiguous
