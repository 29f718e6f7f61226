"""Strokes through the whole flow: alike for any batch and any cut of the clips, in both modes, after a break."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clips import cut_up
from media import picture
from stylize import Clip, ModelError, Style, load_stylizer
from stylize.frames import StructureMaps, to_floats
from stylize.models.loading import load_networks
from stylize.networks import Networks
from stylize.networks.vocabulary import Vocabulary
from stylize.pipeline import State, make_plan, restyle_clips
from stylize.restyle import ImageRestyler, Memory
from stylize.runs.state import from_bytes, to_bytes
from stylize.structure import StrokeOrder, stroke_field, take_strokes

COUNT, CUT = 12, 7


@pytest.fixture(scope="module")
def stroked(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Networks:
    """The tiny model with a ControlNet for strokes, and looks of which one is made of cells."""
    folder = tmp_path_factory.mktemp("models") / "stroked"
    shutil.copytree(tiny_model, folder)
    settings = json.loads((folder / "stylize.json").read_text())
    settings |= {
        "controlnets": {"depth": "controlnet", "strokes": "controlnet_1"},
        "looks": {"ink": ["ink"], "tiles": ["tiles"]},
        "tones": {}, "words": ["ink", "tiles"], "cells": {"tiles": "stones"},
    }  # fmt: skip
    (folder / "stylize.json").write_text(json.dumps(settings))
    return load_networks(folder, device="cpu", dtype=torch.float32)


@dataclass(frozen=True)
class Recorder(ImageRestyler):
    """Changes nothing, and remembers the maps that it was given."""

    maps: list[np.ndarray] = field(default_factory=list)

    def restyle(
        self, start: Clip, maps: StructureMaps, memory: Memory, conditions: Any
    ) -> tuple[Iterable[Any], Memory]:
        self.maps.extend(maps.maps["strokes"])
        shot = max(memory.shot, 0)
        return [to_floats(frame) for frame in start.frames], Memory(shot=shot, frames_in_shot=len(start))


def two_shots() -> Clip:
    frames = np.stack([picture(i, 96, 64) if i < CUT else 255 - picture(i, 96, 64)[::-1] for i in range(COUNT)])
    return Clip(frames, tuple(Fraction(i, 25) for i in range(COUNT)), (Fraction(1, 25),) * COUNT)


def record(
    networks: Networks, clips: list[Clip], batch: int, state: State | None = None, **style: Any
) -> tuple[np.ndarray, list[State]]:
    recorder = Recorder(networks, batch)
    plan = make_plan(recorder, Style(**{"prompt": "tiles", "controls": {"strokes": 1.0}, "seed": 3} | style))
    states = [after for _, after in restyle_clips(clips, recorder, plan, state)]
    return np.stack(recorder.maps), states


@pytest.mark.parametrize("mode", ["full", "fast"])
def test_batches_and_clips_change_no_stroke(stroked: Networks, mode: str) -> None:
    clip = two_shots()
    alone, _ = record(stroked, [clip], 1, mode=mode)
    together, _ = record(stroked, cut_up(clip, [3, 1, 4]), 3, mode=mode)
    assert np.array_equal(alone, together)
    assert len(alone) == COUNT if mode == "full" else 2 <= len(alone) < COUNT


def test_a_cut_begins_anew(stroked: Networks) -> None:
    maps, _ = record(stroked, [two_shots()], 3)
    order = StrokeOrder(3, ((Fraction(0), "stones"),))
    for first, shot in ((0, 0), (CUT, 1)):
        wanted, _ = take_strokes([(two_shots().frames[first], None, Fraction(first, 25))], order, None, shot)
        assert np.array_equal(maps[first], wanted[0])


@pytest.mark.parametrize("fusion", [0.0, 1.0])
def test_without_fusion_strokes_are_the_same(stroked: Networks, fusion: float) -> None:
    from stylize import Temporal

    maps, _ = record(stroked, [two_shots()], 3, temporal=Temporal(1, fusion))
    assert np.array_equal(maps, record(stroked, [two_shots()], 1)[0])


def test_a_run_goes_on_with_its_strokes(stroked: Networks) -> None:
    clip = two_shots()
    whole, states = record(stroked, [clip], 1)
    for done in (2, CUT - 1, CUT, 10):
        kept = from_bytes(to_bytes(states[done - 1]), stroked.device)
        rest, _ = record(stroked, [clip.part(done, COUNT, starts_shot=False)], 2, kept)
        assert np.array_equal(rest, whole[done:])


def test_cells_are_those_of_the_prompt_of_the_moment(stroked: Networks) -> None:
    maps, _ = record(stroked, [two_shots()], 3, prompt="0s: ink; 0.2s: tiles")
    assert not maps[:2, 2].any() and maps[4:, 2].any()
    assert stroked.vocabulary is not None
    found = Vocabulary({"a": ("a b",), "c": ("c",)}, {}, frozenset(), {"c": "dots"})
    assert [found.find_cells(text) for text in ("a b", "of c, a b", "ab")] == [None, "dots", None]


def test_pictures_differ_by_their_strokes(stroked: Networks) -> None:
    """Through the networks themselves, and the same for any batch."""
    style = Style(prompt="ink", controls={"strokes": 1.0}, steps=4, strength=0.8)
    results = []
    for batch in (1, 3):
        restyler = ImageRestyler(stroked, batch)
        clips = restyle_clips([two_shots()], restyler, make_plan(restyler, style))
        results.append(np.concatenate([clip.frames for clip, _ in clips]).astype(int))
    assert np.abs(results[0] - results[1]).max() <= 1
    restyler = ImageRestyler(stroked, 3)
    other = make_plan(restyler, Style(**vars(style) | {"controls": {"strokes": 0.5}}))
    changed = np.concatenate([clip.frames for clip, _ in restyle_clips([two_shots()], restyler, other)])
    assert np.abs(changed - results[1]).max() > 2


def test_any_controlnet_may_have_them(tiny_model: Path) -> None:
    """`--controlnet strokes=FOLDER --control strokes:1`, with a model that knows nothing of strokes."""
    with pytest.raises(ModelError, match="has no ControlNet 'strokes'"):
        stylizer = load_stylizer(tiny_model, device="cpu", dtype=torch.float32)
        list(stylizer.stream([two_shots()], Style(prompt="ink", controls={"strokes": 1.0})))
    nets = {"strokes": tiny_model / "controlnet_1"}
    stylizer = load_stylizer(tiny_model, device="cpu", dtype=torch.float32, controlnets=nets)
    (clip,) = stylizer.stream(
        [two_shots().part(0, 1, starts_shot=True)], Style(prompt="ink", controls={"strokes": 1.0})
    )
    assert clip.frames.shape == (1, 64, 96, 3)
    assert stroke_field(two_shots().frames[0]).shape == (64, 96)
