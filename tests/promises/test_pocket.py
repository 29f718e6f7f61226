"""The built-in model: it is what its folder says, and what it draws is recognisably what was asked for."""

from __future__ import annotations

import itertools
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from clips import joined
from stylize import Clip, Style, Stylizer, VideoReader, load_stylizer
from stylize.errors import PromptWarning
from stylize.metrics.figures import sharpness
from stylize.models.registry import MODELS
from stylize.structure import StrokeOrder, canny, take_strokes

FOLDER = Path(str(MODELS["pocket"].folder))
CLIP = Path(__file__).parents[2] / "examples" / "cockatoo.mp4"
SIZE = (256, 144)


SETTINGS: dict[str, Any] = json.loads((FOLDER / "stylize.json").read_text())


@pytest.fixture(scope="module")
def pocket() -> Stylizer:
    return load_stylizer("pocket", device="cpu", dtype=torch.float32)


@pytest.fixture(scope="module")
def source() -> Clip:
    with VideoReader(CLIP, size=SIZE) as reader:
        return next(reader.clips(2))


def first(stylizer: Stylizer, clip: Clip, prompt: str, **style: object) -> np.ndarray:
    return next(stylizer.stream([clip.part(0, 1, starts_shot=True)], Style(prompt=prompt, **style))).frames[0]  # type: ignore[arg-type]


def test_it_is_small_and_holds_no_pickle() -> None:
    files = [p for p in FOLDER.rglob("*") if p.is_file()]
    assert sum(p.stat().st_size for p in files) < 75e6
    assert {p.suffix for p in files} <= {".json", ".safetensors", ".md", ".txt"}
    card = (FOLDER / "README.md").read_text()
    for heading in ("Data", "Recipe", "Evaluation", "Limits", "Licence"):
        assert f"## {heading}" in card


def test_diffusers_own_pipeline_loads_and_runs_it(source: Clip) -> None:
    from diffusers import StableDiffusionControlNetImg2ImgPipeline

    import stylize.networks.patches  # noqa: F401, diffusers wants it imported before it loads its classes

    pipeline = StableDiffusionControlNetImg2ImgPipeline.from_pretrained(
        FOLDER, local_files_only=True, dtype=torch.float32
    )
    pipeline.set_progress_bar_config(disable=True)
    pixels = torch.from_numpy(source.frames[:1]).permute(0, 3, 1, 2).float() / 255
    maps = [torch.rand(1, 3, SIZE[1], SIZE[0]) for _ in range(2)]
    out = pipeline(
        prompt="ink drawing", image=pixels, control_image=maps, strength=0.5, num_inference_steps=2,
        guidance_scale=1.0, output_type="np",
    ).images  # fmt: skip
    assert out.shape == (1, SIZE[1], SIZE[0], 3) and out.std() > 0.01


def test_the_autoencoder_brings_pictures_back(pocket: Stylizer, source: Clip) -> None:
    pixels = torch.from_numpy(source.frames[:1]).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        back = pocket.networks.decode(pocket.networks.encode(pixels, [torch.Generator()])).clamp(-1, 1)
    psnr = -10 * torch.log10(((back - pixels) / 2).square().mean())
    assert psnr > 36


def test_latents_move_as_the_picture_moves(pocket: Stylizer, source: Clip) -> None:
    pixels = torch.from_numpy(source.frames[:1]).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        one = pocket.networks.encode(pixels, [torch.Generator()])
        moved = pocket.networks.encode(pixels.roll((8, 16), (2, 3)), [torch.Generator()])
    assert torch.allclose(moved, one.roll((1, 2), (2, 3)), atol=1e-4)


def test_depth_says_that_the_ground_is_nearer_than_the_sky(pocket: Stylizer) -> None:
    """A plain from a horizon to one's feet, under a sky: the one cue that every picture of the world has."""
    y, x = np.mgrid[:144, :256].astype(np.float32)
    ground = np.stack([90 + 30 * np.sin(x * 20 / np.maximum(y - 60, 1)), 100 + 0 * x, 60 + 0 * x], -1)
    sky = np.stack([150 + 0 * x, 180 + 0 * x, 230 - y], -1)
    picture = np.where((y > 64)[..., None], ground, sky).clip(0, 255).astype(np.uint8)
    depth = pocket.networks.estimate_depth(picture)
    assert depth[-40:].mean() > depth[70:90].mean() > depth[:50].mean()


LOOKS = {
    "pencil sketch": lambda rgb, was: _saturation(rgb) < 0.6 * _saturation(was) and rgb.mean() > was.mean() + 20,
    "neon cyberpunk night": lambda rgb, was: rgb[..., 2].mean() > rgb[..., 1].mean() + 20 and rgb.mean() < was.mean(),
    "blueprint": lambda rgb, was: rgb[..., 2].mean() > rgb[..., 0].mean() + 50,
    "sepia photograph": lambda rgb, was: rgb[..., 0].mean() > rgb[..., 2].mean() + 20,
    "cartoon": lambda rgb, was: _saturation(rgb) > 1.1 * _saturation(was),
    "woodcut print": lambda rgb, was: rgb[..., 0].mean() > rgb[..., 2].mean() + 10 and rgb.std() > was.std(),
}
LOOKS |= {
    "film noir": lambda rgb, was: _saturation(rgb) < 0.4 * _saturation(was) and rgb.std() > 1.2 * was.std(),
    "thermal camera": lambda rgb, was: rgb[..., 0].mean() > rgb[..., 1].mean() + 30,
    "cyanotype": lambda rgb, was: rgb[..., 2].mean() > rgb[..., 0].mean() + 25,
    "chalkboard": lambda rgb, was: rgb.mean() < 0.9 * was.mean() and rgb[..., 1].mean() > rgb[..., 0].mean() + 10,
}


def _saturation(rgb: np.ndarray) -> float:
    return float((rgb.max(-1).astype(int) - rgb.min(-1)).mean())


@pytest.mark.parametrize("prompt", LOOKS)
def test_the_look_asked_for_is_the_look_got(pocket: Stylizer, source: Clip, prompt: str) -> None:
    out = first(pocket, source, prompt)
    assert LOOKS[prompt](out, source.frames[0])


@pytest.mark.parametrize(
    "words", [("pencil sketch", "graphite drawing"), ("neon", "synthwave"), ("sepia", "daguerreotype")]
)
def test_synonyms_ask_for_the_same(pocket: Stylizer, source: Clip, words: tuple[str, str]) -> None:
    one, other = (first(pocket, source, word).astype(int) for word in words)
    assert np.abs(one - other).mean() < 0.35 * np.abs(one - source.frames[0]).mean()


TONES = {
    "at night": lambda rgb: -rgb.mean(),
    "blue tones": lambda rgb: rgb[..., 2].mean() - rgb[..., 0].mean(),
    "golden hour": lambda rgb: rgb[..., 0].mean() - rgb[..., 2].mean(),
    "black and white": lambda rgb: -_saturation(rgb),
    "foggy": lambda rgb: -rgb.std(),
}


@pytest.mark.parametrize("tone", TONES)
def test_tones_show_beside_a_look(pocket: Stylizer, source: Clip, tone: str) -> None:
    plain, toned = first(pocket, source, "oil painting"), first(pocket, source, f"oil painting, {tone}")
    assert TONES[tone](toned) > TONES[tone](plain) + 5


def test_guidance_and_a_negative_prompt_move_the_look(pocket: Stylizer, source: Clip) -> None:
    def blue(**style: object) -> float:
        rgb = first(pocket, source, "watercolour painting", **style)
        return float(rgb[..., 2].mean() - rgb[..., 0].mean())

    assert blue(guidance_scale=2.0, negative_prompt="warm colours") > blue(guidance_scale=2.0) + 2
    assert blue(guidance_scale=2.0, negative_prompt="blue tones") < blue(guidance_scale=2.0) - 2


def test_words_that_it_was_not_taught_change_nothing(pocket: Stylizer, source: Clip) -> None:
    with pytest.warns(PromptWarning, match="does not know 'zeppelin', 'klimt'"):
        out = first(pocket, source, "zeppelin ink drawing klimt")
    assert np.array_equal(out, first(pocket, source, "ink drawing"))


def test_a_reference_gives_its_look(pocket: Stylizer, source: Clip, tmp_path: Path) -> None:
    """References made here: the source itself as a blueprint and as a sepia photograph, drawn without the model."""
    gray = cv2.cvtColor(source.frames[0], cv2.COLOR_RGB2GRAY)
    lines = cv2.dilate(canny(source.frames[0]), np.ones((2, 2)))[..., None]
    blueprint = np.float32([18, 52, 128]) * (1 - lines) + 240 * lines
    sepia = gray[..., None] / 255 * np.float32([198, 194, 170]) + np.float32([44, 28, 14])
    out = {}
    for name, picture in (("blueprint", blueprint), ("sepia", sepia)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), picture[..., ::-1])
        out[name] = first(pocket, source, "", reference=tmp_path / f"{name}.png").astype(int)
    assert out["blueprint"][..., 2].mean() > out["blueprint"][..., 0].mean() + 30
    assert out["sepia"][..., 0].mean() > out["sepia"][..., 2].mean() + 15


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_a_reference_gives_its_palette(pocket: Stylizer, source: Clip, tmp_path: Path, weight: float) -> None:
    """Means and spread of all channels, exactly, where it has its whole weight."""
    rng = np.random.default_rng(0)
    painting = rng.normal((70, 100, 150), (25, 20, 30), (96, 128, 3)) + rng.normal(0, 25, (96, 128, 1))
    cv2.imwrite(str(tmp_path / "p.png"), cv2.GaussianBlur(painting.clip(0, 255), (0, 0), 0.7)[..., ::-1])
    painting = cv2.imread(str(tmp_path / "p.png"))[..., ::-1]
    out = first(pocket, source, "oil painting", reference=tmp_path / "p.png", reference_weight=weight)
    apart = np.abs(out.mean((0, 1)) - painting.mean((0, 1))).max()
    spread = np.abs(out.std((0, 1)) / painting.std((0, 1)) - 1).max()
    assert (apart < 4 and spread < 0.15) == (weight == 1.0)


def test_pixel_art_has_pixels(pocket: Stylizer, source: Clip) -> None:
    large = Clip(np.stack([cv2.resize(source.frames[0], (384, 216))]), source.times[:1], source.durations[:1])
    out = first(pocket, large, "pixel art").reshape(108, 2, 192, 2, 3)
    assert (out == out[:, :1, :, :1]).all()
    assert len(np.unique(out.reshape(-1, 3), axis=0)) < 160


@pytest.mark.parametrize("control", ["strokes", "depth"])
def test_control_weights_act_smoothly(pocket: Stylizer, source: Clip, control: str) -> None:
    """From none to 1.5 the picture moves on, step after step, and no step is a jump."""
    weights = (0.0, 0.5, 1.0, 1.5)
    frames = [first(pocket, source, "ink drawing", controls={control: w}).astype(int) for w in weights]
    from_none = [np.abs(frame - frames[0]).mean() for frame in frames]
    steps = [np.abs(b - a).mean() for a, b in itertools.pairwise(frames)]
    assert from_none == sorted(from_none) and from_none[1] > 0
    assert max(steps) < 0.75 * sum(steps)


def test_more_steps_change_little(pocket: Stylizer, source: Clip) -> None:
    few, many = (first(pocket, source, "pencil sketch", steps=n).astype(int) for n in (4, 20))
    assert np.abs(few - many).mean() < 0.5 * np.abs(few - source.frames[0]).mean()


@pytest.mark.parametrize("prompt", ["pencil sketch", "ukiyo-e woodblock print", "cartoon"])
def test_forms_stay(pocket: Stylizer, source: Clip, prompt: str) -> None:
    """The source's edges are found again, far more than in the mirrored source."""
    out = first(pocket, source, prompt)
    strong = np.abs(cv2.Laplacian(cv2.GaussianBlur(cv2.cvtColor(out, cv2.COLOR_RGB2GRAY), (0, 0), 1.5), cv2.CV_32F))
    edges = cv2.dilate(canny(source.frames[0]), np.ones((3, 3))) > 0
    assert strong[edges].mean() > 1.3 * strong[edges[:, ::-1]].mean()


def test_a_photo_stays_a_photo(pocket: Stylizer, source: Clip) -> None:
    out, was = first(pocket, source, "photo"), source.frames[0]
    assert 10 * np.log10(255**2 / np.mean((out.astype(float) - was) ** 2)) > 28
    assert sharpness(out) > 0.8 * sharpness(was)


@pytest.mark.parametrize(("prompt", "part"), [("woodcut", 1), ("oil painting", 1), ("mosaic", 2), ("stained glass", 2)])
def test_it_draws_with_the_strokes_that_it_is_given(pocket: Stylizer, source: Clip, prompt: str, part: int) -> None:
    """The detail of the result agrees with the field or the cells of its own seed, and with no other's."""
    kind = {"mosaic": "stones", "stained glass": "panes"}.get(prompt)
    out = cv2.cvtColor(first(pocket, source, prompt, seed=1), cv2.COLOR_RGB2GRAY).astype(np.float32)
    agree = []
    for seed in (1, 2, 3):
        order = StrokeOrder(seed, ((Fraction(0), kind),))
        maps, _ = take_strokes([(source.frames[0], None, Fraction(0))], order, None, 0)
        shown = (maps[0, part] > 0.1).astype(np.float32) if part == 2 else maps[0, part]
        pair = [x - cv2.GaussianBlur(x, (0, 0), 3) for x in (out, shown)]
        agree.append(np.corrcoef(pair[0].ravel(), pair[1].ravel())[0, 1])
    assert agree[0] > 0.2 and agree[0] > 0.1 + max(agree[1:])


@pytest.mark.parametrize("look", SETTINGS["looks"])
def test_flat_pictures_have_no_halo_and_no_patches(pocket: Stylizer, look: str) -> None:
    """The outer 16 pixels differ from the inside by no more than the inside varies; borders of patches do not show."""
    flat = np.full((96, 160, 3), (150, 120, 90), np.uint8)
    clip = Clip(flat[None], (Fraction(0),), (Fraction(1, 25),))
    out = first(pocket, clip, SETTINGS["looks"][look][0]).astype(np.float32)
    inner, rim = out[16:-16, 16:-16], np.ones(out.shape[:2], bool)
    rim[16:-16, 16:-16] = False
    spread = max(2.0, float(inner.std((0, 1)).max()))
    assert np.abs(out[rim].mean(0) - inner.mean((0, 1))).max() < spread
    for axis in (0, 1):
        steps = np.abs(np.diff(out, axis=axis)).mean((1 - axis, 2))
        across, beside = steps[7::8].mean(), np.delete(steps, np.s_[7::8]).mean()
        assert across < 1.15 * beside + 1  # a level of 255 is not seen


def test_more_strength_goes_further(pocket: Stylizer, source: Clip) -> None:
    was = source.frames[0].astype(int)
    far = [np.abs(first(pocket, source, "blueprint", strength=s) - was).mean() for s in (0.3, 0.5, 0.75)]
    assert far[0] < far[1] < far[2]


def test_edges_alone_hold_the_forms(pocket: Stylizer, source: Clip) -> None:
    """From pure noise, only the control can know where the edges are."""
    edges = cv2.dilate(canny(source.frames[0]), np.ones((3, 3))) > 0
    out = first(pocket, source, "ink drawing", strength=1.0, controls={"strokes": 1.0})
    gray = cv2.GaussianBlur(cv2.cvtColor(out, cv2.COLOR_RGB2GRAY), (0, 0), 1.0)
    detail = np.abs(cv2.Laplacian(gray, cv2.CV_32F))
    assert detail[edges].mean() > 1.5 * detail[~edges].mean()


def test_a_still_picture_stays_still(pocket: Stylizer, source: Clip) -> None:
    still = Clip(np.repeat(source.frames[:1], 4, 0), tuple(Fraction(i, 25) for i in range(4)), (Fraction(1, 25),) * 4)
    out = joined(list(pocket.stream([still], Style(prompt="watercolour painting"))))
    assert np.abs(np.diff(out.astype(int), axis=0)[1:]).mean() < 2


@pytest.mark.slow
def test_the_demo_clip_from_end_to_end(pocket: Stylizer, tmp_path: Path) -> None:
    from media import frame_times, sound_packets

    report = pocket.convert(CLIP, tmp_path / "out.mp4", Style(prompt="watercolour painting", size=SIZE))
    assert report.frames == 80 and report.shots == 1 and report.unet_evals_per_frame <= 4
    assert frame_times(tmp_path / "out.mp4") == frame_times(CLIP)
    assert sound_packets(tmp_path / "out.mp4") == sound_packets(CLIP) != []
