"""Metrics against answers that are known, and properties that any such metric has."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTokenizer
from typer.testing import CliRunner

import stylize
from media import make_video
from scenes import HEIGHT, WIDTH, panned, picture, still
from stylize import ModelError, StyleError, VideoError
from stylize.cli import app
from stylize.metrics import Meter, measure_frames, warp_error
from stylize.metrics import meter as meter_module
from stylize.motion import motion_between, warp
from stylize.motion.flow import optical_flow, visible


def test_the_identity_has_no_excess_over_the_floor_and_no_style() -> None:
    frames = panned(12)
    result = measure_frames(zip(frames, frames, strict=True))
    for name, floor in result.floors.items():
        assert result.figures[name] == pytest.approx(floor), name
    assert result.figures["tof"] == 0 and result.figures["style_change"] == 0 and result.figures["edge_f1"] == 1


def test_a_still_video_has_zero_error_whatever_its_look() -> None:
    styled = [255 - picture(0, WIDTH, HEIGHT)] * 10
    figures = measure_frames(zip(still(10), styled, strict=True)).figures
    for name in ("warp_error", "long_warp_error", "flicker", "tof", "colour_drift", "dynamic_degree"):
        assert figures[name] == pytest.approx(0, abs=1e-6), name
    assert figures["style_change"] > 10


@given(shift=st.integers(-3, 3))
@settings(max_examples=7)
def test_a_known_shift_is_explained_exactly_inside(shift: int) -> None:
    large = picture(3, WIDTH + 16, HEIGHT)
    one, other = (large[:, 8 + d : 8 + d + WIDTH] for d in (0, shift))
    flow = np.zeros((HEIGHT, WIDTH, 2), np.float32)
    flow[..., 0] = -shift
    x = np.arange(WIDTH) - shift
    mask = np.broadcast_to((x >= 0) & (x < WIDTH), (HEIGHT, WIDTH))
    assert warp_error(one, other, flow, mask) == pytest.approx(0, abs=1e-9)
    if shift:
        assert warp_error(one, other, -flow, mask) > 1  # the wrong direction of the flow is seen


def test_uint8_does_not_wrap_around() -> None:
    dark, light = np.full((32, 32, 3), 3, np.uint8), np.full((32, 32, 3), 250, np.uint8)
    flow, mask = np.zeros((32, 32, 2), np.float32), np.ones((32, 32), bool)
    wanted = 1000 * (247 / 255) ** 2
    assert warp_error(dark, light, flow, mask) == pytest.approx(wanted, rel=1e-5)
    assert warp_error(light, dark, flow, mask) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("amplitude", [2, 10])
def test_a_flicker_of_known_amplitude(amplitude: int) -> None:
    base = picture(0, WIDTH, HEIGHT) // 2 + 40
    styled = [base + np.uint8(amplitude * (i % 2)) for i in range(10)]
    figures = measure_frames(zip(still(10), styled, strict=True)).figures
    assert figures["flicker"] == pytest.approx(amplitude, rel=1e-4)
    assert figures["warp_error"] == pytest.approx(1000 * (amplitude / 255) ** 2, rel=1e-4)
    assert figures["long_warp_error"] == pytest.approx(0, abs=1e-9)  # eight frames apart the phase is the same


def test_a_moving_square_hides_what_it_covers() -> None:
    def scene(left: int) -> np.ndarray:
        image = picture(5, WIDTH, HEIGHT)
        image[30:62, left : left + 32] = picture(9, 32, 32)
        return image

    motion = motion_between(scene(40), scene(48))  # seen from the second frame
    uncovered, square = motion.visible[32:60, 41:47], motion.visible[36:56, 54:74]
    assert uncovered.mean() < 0.3 and square.mean() > 0.9
    assert np.allclose(motion.flow[36:56, 54:74].mean((0, 1)), (-8, 0), atol=0.5)
    assert motion.visible[:, 90:].mean() > 0.95


def test_visible_follows_its_formula() -> None:
    flow, back = np.zeros((20, 30, 2), np.float32), np.zeros((20, 30, 2), np.float32)
    flow[..., 0], back[..., 0] = 4, -4
    assert visible(flow, back)[:, :26].all() and not visible(flow, back)[:, 26:].any()  # what leaves the frame
    back[..., 0] = -4 + 0.5 + 0.01 * 7.5 + 0.02
    assert not visible(flow, back).any()


def test_flow_and_warp_agree_in_direction() -> None:
    one, other = panned(2, step=4)
    flow = optical_flow(one, other)
    inner = np.s_[10:-10, 20:-20]
    assert np.median(flow[inner][..., 0]) == pytest.approx(-4, abs=0.2)
    brought = warp(other.astype(np.float32), flow)
    assert np.abs(brought - one)[inner].mean() < 0.3 * np.abs(other.astype(np.float32) - one)[inner].mean()


def test_frozen_output_loses_on_motion_though_it_never_flickers() -> None:
    frames = panned(10, step=4)
    frozen = measure_frames(zip(frames, [frames[0]] * 10, strict=True)).figures
    assert frozen["dynamic_degree"] == 0 and frozen["tof"] > 1
    assert frozen["warp_error"] > measure_frames(zip(frames, frames, strict=True)).figures["warp_error"]


def test_drift_is_measured_from_end_to_end() -> None:
    styled = [np.clip(picture(0, WIDTH, HEIGHT).astype(int) // 2 + i, 0, 255).astype(np.uint8) for i in range(30)]
    result = measure_frames(zip(still(30), styled, strict=True))
    assert result.figures["colour_drift"] > 5 and result.floors["colour_drift"] == 0


def test_blur_is_seen_by_the_sharpness_guard() -> None:
    blurred = [cv2.GaussianBlur(x, (0, 0), 2) for x in still(3)]
    result = measure_frames(zip(still(3), blurred, strict=True))
    assert result.figures["sharpness"] < 0.6 * result.floors["sharpness"]


def test_a_source_of_another_size_is_brought_to_the_results() -> None:
    small = [cv2.resize(x, (64, 48), interpolation=cv2.INTER_AREA) for x in panned(4)]
    figures = measure_frames(zip(panned(4), small, strict=True)).figures
    assert figures["style_change"] == 0 and figures["warp_error"] < 5


def test_the_meter_keeps_only_a_few_frames() -> None:
    meter = Meter()
    for frame in panned(40, step=1):
        meter.add(frame, frame)
    assert len(meter._past) == meter_module.GAP
    assert meter.result().frames == 40
    assert len(meter.result().curves["warp_error"]) == 39
    assert len(meter.result().curves["long_warp_error"]) == 40 - meter_module.GAP


def test_depth_and_similarity_are_asked_for() -> None:
    def likeness(image: np.ndarray) -> tuple[np.ndarray, float]:
        return np.float32([1, 0]), 0.25

    frames = panned(3)
    pairs = list(zip(frames, [255 - f for f in frames], strict=True))
    figures = measure_frames(pairs, depth=lambda x: x[..., 0].astype(np.float32), similarity=likeness).figures
    assert figures["depth_spearman"] == pytest.approx(-1, abs=1e-3)
    assert figures["frame_consistency"] == 1 and figures["prompt_consistency"] == 0.25


def test_no_frames_are_refused() -> None:
    with pytest.raises(ValueError, match="no frames"):
        measure_frames([])


def videos(folder: Path, count: int = 12) -> tuple[Path, Path]:
    frames = panned(count)
    source = make_video(folder / "in.mp4", count, pictures=frames, width=WIDTH, height=HEIGHT, options={"crf": "4"})
    negative = [255 - f for f in frames]
    return source, make_video(
        folder / "out <b>.mp4", count, pictures=negative, width=WIDTH, height=HEIGHT, options={"crf": "4"}
    )


def test_two_files_are_measured_and_reported_on_one_page(tmp_path: Path) -> None:
    source, styled = videos(tmp_path)
    result = stylize.measure(source, styled, depth=True, report=tmp_path / "page.html")
    assert result.frames == 12 and result.figures["style_change"] > 10 and -1 <= result.figures["depth_spearman"] <= 1
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "out &lt;b&gt;.mp4" in page and "<b>" not in page
    assert page.count("<polyline") == len(result.curves)
    assert page.count("data:image/jpeg") >= 2 * 4 + 4 * 4
    assert not re.search(r"""(?:src|href)=["']?https?:""", page)
    for name, value in result.figures.items():
        assert name in page and f"{value:.3f}" in page
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4", "out <b>.mp4", "page.html"]


def test_measuring_what_cannot_be_compared(tmp_path: Path) -> None:
    source, styled = videos(tmp_path)
    shorter = make_video(tmp_path / "short.mp4", 5, pictures=panned(5), width=WIDTH, height=HEIGHT)
    with pytest.raises(VideoError, match="differ in length"):
        stylize.measure(source, shorter)
    with pytest.raises(VideoError, match=r"end the name in \.html"):
        stylize.measure(source, styled, report=tmp_path / "page.pdf")
    with pytest.raises(StyleError, match="needs CLIP"):
        stylize.measure(source, styled, prompt="ink")
    with pytest.raises(ModelError, match="cannot load CLIP"):
        stylize.measure(source, styled, clip=tmp_path)


def test_clip_weights_from_a_folder(tmp_path: Path, tiny_model: Path) -> None:
    source, styled = videos(tmp_path, 4)
    folder = tmp_path / "clip"
    text = {"vocab_size": 514, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    sight = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "image_size": 32, "patch_size": 8}
    heads = {"num_attention_heads": 2, "projection_dim": 8}
    ends = {"bos_token_id": 512, "eos_token_id": 513, "pad_token_id": 513}
    config = CLIPConfig(text_config=text | heads | ends, vision_config=sight | heads, projection_dim=8)
    CLIPModel(config).save_pretrained(folder)
    size = {"height": 32, "width": 32}
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=size).save_pretrained(folder)
    CLIPTokenizer.from_pretrained(tiny_model / "tokenizer").save_pretrained(folder)
    figures = stylize.measure(source, styled, clip=folder, prompt="ink drawing").figures
    assert 0 < figures["frame_consistency"] <= 1 and -1 <= figures["prompt_consistency"] <= 1
    same = stylize.measure(styled, styled, clip=folder).figures
    assert same["frame_consistency"] == figures["frame_consistency"] and "prompt_consistency" not in same


def test_the_command_prints_a_table_or_json(tmp_path: Path) -> None:
    source, styled = videos(tmp_path)
    done = CliRunner().invoke(app, ["measure", str(source), str(styled)])
    assert done.exit_code == 0 and "warp_error" in done.stdout and "style_change" in done.stdout
    done = CliRunner().invoke(app, ["measure", str(source), str(styled), "--json"])
    told = json.loads(done.stdout)
    assert told["frames"] == 12 and told["figures"]["style_change"] > 10 and "warp_error" in told["floors"]
    done = CliRunner().invoke(app, ["measure", str(source), str(tmp_path / "none.mp4")])
    assert done.exit_code == 1 and done.stderr.count("\n") == 1


def test_detail_that_sticks_to_surfaces_is_told_from_detail_that_sticks_to_the_screen() -> None:
    frames = panned(8)
    rng = np.random.default_rng(0)
    grain = rng.integers(0, 60, (HEIGHT, 2 * WIDTH, 3), np.uint8)
    flows = [optical_flow(frames[0], frame) for frame in frames]
    shifts = [round(float(np.median(flow[..., 0]))) for flow in flows]  # the camera pans
    soft = [cv2.GaussianBlur(frame, (0, 0), 4) // 2 for frame in frames]
    origin = WIDTH // 2
    moving = [s + grain[:, origin - dx : origin - dx + WIDTH] for s, dx in zip(soft, shifts, strict=True)]
    fixed = [s + grain[:, :WIDTH] for s in soft]
    fresh = [s + rng.integers(0, 60, s.shape, np.uint8) for s in soft]
    along, in_place = {}, {}
    for name, styled in (("moving", moving), ("fixed", fixed), ("fresh", fresh)):
        figures = measure_frames(zip(frames, styled, strict=True)).figures
        along[name], in_place[name] = figures["detail_along"], figures["detail_in_place"]
    assert along["moving"] > 0.4 > 0.2 > abs(in_place["moving"])
    assert in_place["fixed"] > 0.9 and along["fixed"] < 0.3
    assert max(abs(along["fresh"]), abs(in_place["fresh"])) < 0.1
