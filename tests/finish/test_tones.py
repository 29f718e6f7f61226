"""Results take the colours and contrasts of a reference, and keep one mapping through a shot."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media import picture
from stylize.finish import Tones, match_tones, measure_tones
from stylize.finish.tones import BLURS, PATIENCE
from stylize.frames import to_bytes, to_floats


def make_picture(seed: int, contrast: float = 0.15, side: int = 96) -> np.ndarray:
    """Soft noise in the colours of its seed, in [0, 1], far from both ends."""
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.standard_normal((side, side, 3)).astype(np.float32), (0, 0), 3)
    mix = rng.uniform(-1, 1, (3, 3)).astype(np.float32) + 2 * np.eye(3, dtype=np.float32)
    mixed = (noise / noise.std()) @ mix
    return np.clip(rng.uniform(0.4, 0.6, 3) + contrast * mixed / mixed.std(), 0, 1).astype(np.float32)


def spread(image: np.ndarray) -> np.ndarray:
    return np.cov(image.reshape(-1, 3).T)


@settings(max_examples=20)
@given(st.integers(0, 50), st.integers(51, 100))
def test_the_colours_become_those_of_the_reference(seed: int, other: int) -> None:
    image, reference = make_picture(seed, 0.1), make_picture(other, 0.05)
    result, _ = match_tones(image, measure_tones(to_bytes(reference), 96))
    assert np.abs(result.mean((0, 1)) - reference.mean((0, 1))).max() < 0.02
    was, now, wanted = (spread(x) for x in (image, result, reference))
    assert np.linalg.norm(now - wanted) < 0.75 * np.linalg.norm(was - wanted)


def test_a_picture_with_the_same_tones_stays_as_it_is() -> None:
    image = make_picture(1, 0.1)
    result, _ = match_tones(image, measure_tones(to_bytes(image), 96))
    assert np.abs(result - image).max() < 0.02


def test_no_share_changes_nothing_and_half_of_it_half() -> None:
    image, wanted = make_picture(1, 0.08), measure_tones(to_bytes(make_picture(2, 0.08)), 96)
    none, half, all_of_it = (match_tones(image, wanted, share=share)[0] for share in (0.0, 0.5, 1.0))
    assert np.array_equal(none, image)
    assert np.allclose(half, (image + all_of_it) / 2, atol=1e-5)


def test_rough_paintings_make_rough_pictures_and_calm_ones_calm_pictures() -> None:
    image = to_floats(picture(0, 128, 128))
    rng = np.random.default_rng(0)
    rough = np.clip(128 + 40 * rng.standard_normal((128, 128, 1)).repeat(3, 2), 0, 255).astype(np.uint8)
    calm = cv2.GaussianBlur(rough.astype(np.float32), (0, 0), 12)  # bytes would come out in steps
    calm = np.clip(128 + 40 * (calm - calm.mean()) / calm.std(), 0, 255).astype(np.uint8)

    def roughness(reference: np.ndarray) -> float:
        result, _ = match_tones(image, measure_tones(reference, 128))
        gray = cv2.cvtColor(result, cv2.COLOR_RGB2GRAY)
        return float(np.abs(cv2.Laplacian(gray, cv2.CV_32F)).mean() / gray.std())

    assert roughness(rough) > 1.25 * roughness(calm)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_nothing_is_made_of_a_picture_of_one_colour(value: int) -> None:
    """Noise of a level of 255, as networks leave it, stays unseen however rich the reference is."""
    rng = np.random.default_rng(0)
    flat = to_floats(np.clip(value + rng.integers(-1, 2, (64, 64, 3)), 0, 255).astype(np.uint8))
    result, _ = match_tones(flat, measure_tones(to_bytes(make_picture(3, 0.25)), 64))
    assert np.isfinite(result).all() and result.std((0, 1)).max() < 5 / 255


def test_a_second_round_comes_nearer(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the colours and to the contrasts, of pictures that one round drives out of black and white."""
    apart: dict[int, list[float]] = {1: [], 2: []}
    for seed in range(6):
        image, reference = to_floats(picture(5 * seed, 128, 96)), to_bytes(make_picture(seed, 0.3))
        wanted = measure_tones(reference, 96)
        for rounds, found in apart.items():
            monkeypatch.setattr("stylize.finish.tones.ROUNDS", rounds)
            made = measure_tones(to_bytes(match_tones(image, wanted)[0]), 96)
            contrasts = np.abs(np.log(made.contrasts / wanted.contrasts)).mean()
            colours = np.linalg.norm(made.covariance - wanted.covariance) / np.linalg.norm(wanted.covariance)
            found.append(float(contrasts + colours))
    assert np.mean(apart[2]) < 0.8 * np.mean(apart[1])


def test_what_passes_by_changes_the_colours_of_a_shot_slowly() -> None:
    wanted, calm = measure_tones(to_bytes(make_picture(4)), 96), make_picture(5, 0.2)
    passing = calm.copy()
    passing[:, :48] = 1.0
    tones: tuple[Tones, ...] = ()
    for _ in range(100):
        before, tones = match_tones(calm, wanted, tones)
    after, again = match_tones(passing, wanted, tones)
    assert np.abs(after[:, 60:] - before[:, 60:]).mean() < 2 / 255
    alone, _ = match_tones(passing, wanted)
    assert np.abs(alone[:, 60:] - before[:, 60:]).mean() > 10 / 255
    for _ in range(1500):
        after, again = match_tones(passing, wanted, again)
    assert again[-1].weight <= PATIENCE and np.abs(after[:, 60:] - before[:, 60:]).mean() > 5 / 255  # what stays counts


def test_a_shot_that_begins_black_fades_in() -> None:
    """Black stays black, the colours come with the light, and are those of a shot without the fade soon after it."""
    scene, wanted = make_picture(6, 0.15), measure_tones(to_bytes(make_picture(7, 0.15)), 96)
    lit, _ = match_tones(scene, wanted)
    tones: tuple[Tones, ...] = ()
    shown = []
    for light in [*np.linspace(0, 1, 25), *[1.0] * 15]:
        result, tones = match_tones(np.float32(light) * scene, wanted, tones)
        shown.append(result)
    assert shown[0].max() < 2 / 255
    assert np.abs(np.diff([x.mean() for x in shown])).max() < 0.1  # within some ten frames
    assert max((x > 0.99).mean() for x in shown) < 0.1 + (lit > 0.99).mean()
    assert np.abs(shown[-1].mean((0, 1)) - lit.mean((0, 1))).max() < 0.08


def test_references_are_looked_at_in_the_size_of_the_result() -> None:
    reference = cv2.resize(picture(7, 128, 96), (512, 384), interpolation=cv2.INTER_CUBIC)
    small, large = measure_tones(reference, 96), measure_tones(reference, 384)
    assert small.contrasts[0] > 1.5 * large.contrasts[0] and len(small.contrasts) == len(BLURS)
    assert np.allclose(small.mean, large.mean, atol=0.02)
    assert np.array_equal(measure_tones(reference, 2000).contrasts, large.contrasts)  # never enlarged


def test_gray_references_take_the_colours_away() -> None:
    gray = cv2.cvtColor(cv2.cvtColor(to_bytes(make_picture(2)), cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    result, _ = match_tones(make_picture(9), measure_tones(gray, 96))
    assert (result.max(-1) - result.min(-1)).mean() < 0.03
