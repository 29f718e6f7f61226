"""What is done in the end: the same in any batches, at the right seconds, and nothing where nothing is asked."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from clips import cut_up, joined, make_clip, restyled_states
from media import picture
from stylize import Style
from stylize.finish import Finish
from stylize.finish.pixels import make_pixels
from stylize.frames import to_floats
from stylize.networks import Networks
from stylize.networks.vocabulary import Vocabulary
from stylize.pipeline import State
from stylize.restyle import conditions_for
from stylize.runs.state import from_bytes, to_bytes

STYLE = Style(prompt="ink drawing", steps=2, strength=0.5)
REFERENCE = 255 - picture(40, 80, 60)


@pytest.fixture
def toning(tiny: Networks, monkeypatch: pytest.MonkeyPatch) -> Networks:
    """The tiny model, whose results take over the tones of the reference."""

    def finished(networks: Networks, style: Style, reference: object) -> Finish:
        return Finish(REFERENCE, 1.0)

    monkeypatch.setattr("stylize.restyle.conditions.make_finish", finished)
    return tiny


def test_of_itself_it_does_nothing() -> None:
    images = [to_floats(picture(i)) for i in range(2)]
    finished, left = Finish().apply(images, [Fraction(0), Fraction(1)])
    assert all(one is other for one, other in zip(images, finished, strict=True)) and left == ()


def test_pixels_at_their_seconds() -> None:
    finish = Finish(pixels=((Fraction(0), None), (Fraction(4), 12)))
    images = [to_floats(picture(i)) for i in range(2)]
    early, late = finish.apply(images, [Fraction(1), Fraction(3)])[0]
    assert early is images[0] and np.array_equal(late, make_pixels(images[1], 12))
    assert not np.array_equal(late, images[1])


@pytest.mark.parametrize("batch", [2, 3])
@pytest.mark.parametrize("mode", ["full", "fast"])
def test_batches_and_read_chunks_change_no_pixel(toning: Networks, batch: int, mode: str) -> None:
    clip, style = make_clip(7), replace(STYLE, mode=mode)
    one_by_one = joined([c for c, _ in restyled_states(toning, [clip], style)])
    together = joined([c for c, _ in restyled_states(toning, cut_up(clip, [2, 1]), style, batch)])
    assert np.abs(one_by_one.astype(int) - together).max() <= 1


def test_a_shot_goes_on_from_its_state_and_the_next_one_begins_anew(toning: Networks) -> None:
    shot, other = make_clip(6), make_clip(4, first=6)
    other = replace(other, frames=np.ascontiguousarray(255 - other.frames[:, ::-1]))
    whole = restyled_states(toning, [shot, other], STYLE)
    states = [state for _, state in whole]
    weights = [state.tones[-1].weight for state in states]
    assert weights[:6] == sorted(weights[:6]) and weights[6] < weights[1] and weights[6:] == sorted(weights[6:])
    again = from_bytes(to_bytes(states[2]), torch.device("cpu"))
    rest = restyled_states(toning, [shot.part(3, 6, starts_shot=False), other], STYLE, state=again)
    assert np.array_equal(joined([c for c, _ in rest]), joined([c for c, _ in whole[3:]]))
    assert from_bytes(to_bytes(State()), torch.device("cpu")).tones == ()


def test_the_model_says_whether_palettes_are_given(tiny: Networks, tmp_path: Path) -> None:
    from PIL import Image

    picture_file = tmp_path / "r.png"
    cv2.imwrite(str(picture_file), REFERENCE[..., ::-1])
    reading = replace(tiny, image_prompt=lambda _: torch.zeros(1, 4, tiny.unet.config.cross_attention_dim))
    reference = Image.open(picture_file)
    style = replace(STYLE, reference=picture_file, reference_weight=0.5)
    assert conditions_for(reading, style, reference).finish.reference is None
    palette = replace(reading, defaults=replace(reading.defaults, palette=0.8))
    finish = conditions_for(palette, style, reference).finish
    assert finish.reference is not None and np.array_equal(finish.reference, REFERENCE)
    assert finish.share == pytest.approx(0.4)
    assert conditions_for(palette, replace(style, reference_weight=1.5), reference).finish.share == pytest.approx(0.8)
    painted = replace(style, keyframes={Fraction(0): picture_file})
    assert conditions_for(palette, painted, reference).finish.reference is None  # its paintings would change, too


def test_the_vocabulary_says_which_looks_have_pixels(tiny: Networks) -> None:
    words = frozenset(["ink", "pixel", "art"])
    known = Vocabulary({"ink": ("ink",), "pixel-art": ("pixel art",)}, {}, words, pixels={"pixel-art": 48})
    style = replace(STYLE, prompt="0s: ink; 2s: pixel art")
    finish = conditions_for(replace(tiny, vocabulary=known), style).finish
    assert list(finish.pixels) == [(0, None), (2, 48)]
    weak = conditions_for(replace(tiny, vocabulary=known), replace(style, style_weight=0.0)).finish
    assert list(weak.pixels) == [(0, None), (2, None)]
