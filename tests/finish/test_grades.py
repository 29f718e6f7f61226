"""Words for light and palette grade the results, exactly, whatever the look; and blend where prompts do."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from media import picture
from stylize.finish import Finish, Grade
from stylize.frames import to_floats
from stylize.models.registry import MODELS
from stylize.networks.vocabulary import Vocabulary
from stylize.restyle.conditions import make_finish

SETTINGS: dict[str, Any] = json.loads((Path(str(MODELS["pocket"].folder)) / "stylize.json").read_text())
IMAGE = to_floats(picture(3, 64, 48))
GRAY, RED = Grade(saturation=0.0), Grade(gain=(1.0, 0.5, 0.5))


def known() -> Vocabulary:
    looks, tones = ({n: tuple(p) for n, p in SETTINGS[key].items()} for key in ("looks", "tones"))
    return Vocabulary(looks, tones, frozenset(SETTINGS["words"]), grades=SETTINGS["grades"])


def finished(finish: Finish, second: float) -> np.ndarray:
    return finish.apply([IMAGE], [Fraction(second)], None)[0][0]


def test_a_grade_is_saturation_gain_offset_and_gamma() -> None:
    assert np.allclose(Grade().apply(IMAGE), IMAGE, atol=1e-6)
    gray = GRAY.apply(IMAGE)
    assert np.allclose(gray, (IMAGE @ np.float32([0.299, 0.587, 0.114]))[..., None].repeat(3, 2), atol=1e-5)
    pixel = np.float32([[[0.5, 0.25, 0.75]]])
    assert np.allclose(Grade((2, 1, 1), (0, 0.5, 0), gamma=2.0).apply(pixel), [[[1, 0.5625, 0.5625]]], atol=1e-5)
    leaf = np.float32([[[0.2, 0.6, 0.2]]])
    autumn = Grade(swap=0.9).apply(leaf)
    cloud = np.float32([[[0.8, 0.8, 0.8], [0.5, 0.7, 0.9]]])
    assert np.allclose(Grade(swap=0.9).apply(cloud), cloud)
    assert autumn[0, 0, 0] > autumn[0, 0, 1] and leaf[0, 0, 1] > leaf[0, 0, 0]


def test_between_two_prompts_grades_blend() -> None:
    finish = Finish(grades=((Fraction(0), [RED]), (Fraction(4), [GRAY]), (Fraction(6), [])))
    assert np.allclose(finished(finish, 0), RED.apply(IMAGE)) and np.allclose(finished(finish, 4), GRAY.apply(IMAGE))
    assert np.allclose(finished(finish, 2), (RED.apply(IMAGE) + GRAY.apply(IMAGE)) / 2, atol=1e-6)
    assert np.allclose(finished(finish, 5), (IMAGE + GRAY.apply(IMAGE)) / 2, atol=1e-6)
    assert finished(finish, 9) is IMAGE
    steps = [np.abs(finished(finish, t / 25) - finished(finish, (t + 1) / 25)).max() for t in range(250)]
    assert max(steps) < 0.06


def test_some_of_a_grade() -> None:
    half = Finish(grades=((Fraction(0), [GRAY]),), grade_share=0.5)
    assert np.allclose(finished(half, 1), (IMAGE + GRAY.apply(IMAGE)) / 2, atol=1e-6)


@pytest.mark.parametrize(
    ("prompt", "tones", "rest"),
    [
        ("oil painting, at night", ("night",), "oil painting"),
        ("watercolour of a house, warm colors, foggy", ("warm", "foggy"), "watercolour of a house"),
        ("starry night", (), "starry night"),  # the words of a look are no tone
        ("engraving on blue paper", (), "engraving on blue paper"),
        ("engraving on blue paper in blue", ("blue",), "engraving on blue paper"),
        ("black and white ink drawing", (), "black and white ink drawing"),
        ("oil painting, black and white", ("monochrome",), "oil painting"),
        ("pastel drawing in pastel colours", ("pastel",), "pastel drawing in"),
        ("golden hour, ink", ("golden",), "ink"),
        ("dark, moody and gloomy ink", ("dark",), "and ink"),  # said three times, graded once
        ("ink", (), "ink"),
        ("", (), ""),
    ],
)
def test_tones_of_a_prompt(prompt: str, tones: tuple[str, ...], rest: str) -> None:
    assert known().find_tones(prompt) == tones
    assert known().drop_graded_tones(prompt) == rest


def test_a_tone_without_a_grade_is_left_to_the_networks() -> None:
    plain = Vocabulary({}, {"warm": ("warm",)}, frozenset(["warm", "ink"]))
    assert plain.find_tones("warm ink") == ("warm",) and plain.drop_graded_tones("warm ink") == "warm ink"


def test_every_tone_is_found_by_all_its_words_and_can_be_graded() -> None:
    vocabulary = known()
    for tone, phrases in vocabulary.tones.items():
        for phrase in phrases:
            assert vocabulary.find_tones(f"oil painting, {phrase}") == (tone,), phrase
        graded = Grade(**vocabulary.grades[tone]).apply(IMAGE)
        assert graded.shape == IMAGE.shape and graded.dtype == np.float32
        assert graded.min() >= 0 and graded.max() <= 1 and np.abs(graded - IMAGE).mean() > 0.01


def test_the_training_has_the_same_grades(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "training"))
    from tones import TONES

    pixels = torch.from_numpy(IMAGE.transpose(2, 0, 1))
    for name, tone in TONES.items():
        ours = Grade(**SETTINGS["grades"][name]).apply(IMAGE)
        assert np.allclose(tone(pixels).permute(1, 2, 0).numpy(), ours, atol=1e-5), name


def test_style_weight_scales_them() -> None:
    from types import SimpleNamespace

    from stylize import Style

    networks: Any = SimpleNamespace(vocabulary=known(), defaults=SimpleNamespace(palette=0.0))
    for weight, share in ((0.5, 0.5), (1.3, 1.0)):
        finish = make_finish(networks, Style(prompt="0s: ink; 2s: oil paint, foggy", style_weight=weight), None)
        assert finish.grade_share == share
        assert [(at, len(grades)) for at, grades in finish.grades] == [(0, 0), (2, 1)]


def test_words_that_the_model_does_not_know_hide_no_tone() -> None:
    from types import SimpleNamespace

    from stylize import Style

    networks: Any = SimpleNamespace(vocabulary=known(), defaults=SimpleNamespace(palette=0.0))
    grades = make_finish(networks, Style(prompt="(oil painting:1.3), evening zeppelin sun"), None).grades
    assert [grade.gain for grade in grades[0][1]] == [SETTINGS["grades"]["golden"]["gain"]]
