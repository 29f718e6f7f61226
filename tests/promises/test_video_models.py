"""Video models in the hub's layout, tiny and random: one window is diffusers' own result, many windows are a video."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import WanPipeline, WanVACEPipeline, WanVideoToVideoPipeline
from PIL import Image

from command import run
from media import frames, make_video, picture
from stylize import Clip, ModelError, Style, StyleError, Stylizer, load_stylizer
from stylize.frames import StructureMaps
from stylize.models.loading import load_model
from stylize.networks import VideoNetworks
from stylize.restyle import Memory, VideoRestyler
from stylize.restyle.seeds import seed_of_shot
from stylize.runs.expand import CanvasJob, expand
from stylize.runs.generate import SceneJob, generate
from stylize.scenes import Shot
from stylize.style import Control
from stylize.style.camera import CameraPath, parse_camera
from tiny_models import build_tiny_video_model

SIZE = (64, 48)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_video_model(tmp_path_factory.mktemp("models") / "wan")


@pytest.fixture(scope="module")
def networks(folder: Path) -> VideoNetworks:
    loaded = load_model(folder, device="cpu", dtype=torch.float32)
    assert isinstance(loaded, VideoNetworks)
    return loaded


@pytest.fixture
def pipeline(folder: Path, networks: VideoNetworks, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """diffusers' own pipeline; ftfy, which it cleans prompts with, is not needed for those here."""
    monkeypatch.setattr("diffusers.pipelines.wan.pipeline_wan_vace.prompt_clean", lambda text: text)
    pipe = WanVACEPipeline.from_pretrained(folder, transformer_2=None, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    yield pipe


def make_clip(count: int, known: np.ndarray | None = None) -> Clip:
    shown = np.stack([picture(i, *SIZE) for i in range(count)])
    times = tuple(Fraction(i, 16) for i in range(count))
    return Clip(shown, times, (Fraction(1, 16),) * count, starts_shot=True, known=known)


def make_maps(count: int) -> StructureMaps:
    depth = np.stack([picture(i, *SIZE)[..., :1].transpose(2, 0, 1) / 255 for i in range(count)])
    return StructureMaps({"depth": depth.astype(np.float32)})


@pytest.mark.parametrize("guidance", [1.0, 4.0])
@pytest.mark.parametrize("case", ["control", "known", "reference"])
def test_one_window_is_what_diffusers_makes(networks: VideoNetworks, pipeline: Any, case: str, guidance: float) -> None:
    count, restyler = 8, VideoRestyler(networks)
    style = Style("ink drawing", steps=3, guidance_scale=guidance, seed=5)
    reference = Image.fromarray(picture(7, 48, 48)) if case == "reference" else None
    conditions = restyler.prepare(style, reference)
    known = None
    if case == "known":
        known = np.zeros((count, SIZE[1], SIZE[0]), np.bool_)
        known[0], known[:, :, :32] = True, True
    clip, maps = make_clip(count, known), make_maps(count)
    ours, _ = restyler.restyle(clip, maps, Memory().cut(), conditions)

    control = [np.repeat(m.transpose(1, 2, 0), 3, -1) for m in maps.maps["depth"]]
    mask = [np.ones((SIZE[1], SIZE[0], 3), np.float32)] * count
    if known is not None:
        control = [np.where(k[..., None], f / 255, c) for k, f, c in zip(known, clip.frames, control, strict=True)]
        mask = [np.repeat(1.0 - k[..., None], 3, -1).astype(np.float32) for k in known]
    generator = torch.Generator("cpu").manual_seed(seed_of_shot(5, 0))
    latents = torch.randn(1, 16, 1 + count // 4 + (reference is not None), 6, 8, generator=generator)
    theirs = pipeline(
        prompt="ink drawing", negative_prompt="", video=[np.stack([control[0], *control]).astype(np.float32)],
        mask=[np.stack([mask[0], *mask])], reference_images=None if reference is None else [reference],
        height=SIZE[1], width=SIZE[0], num_frames=1 + count, num_inference_steps=3, guidance_scale=guidance,
        latents=latents, output_type="np",
    ).frames[0]  # fmt: skip
    assert np.abs(np.stack(list(ours)) - theirs[1:]).max() < 1e-4


@pytest.fixture(scope="module")
def plain_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_video_model(tmp_path_factory.mktemp("models") / "plain", kind="plain")


@pytest.fixture(scope="module")
def plain(plain_folder: Path) -> VideoNetworks:
    loaded = load_model(plain_folder, device="cpu", dtype=torch.float32)
    assert isinstance(loaded, VideoNetworks)
    return loaded


@pytest.mark.parametrize("strength", [0.75, 1.0])
def test_a_window_of_the_plain_model_is_what_diffusers_makes(
    plain: VideoNetworks, plain_folder: Path, strength: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("wan", "wan_video2video"):
        monkeypatch.setattr(f"diffusers.pipelines.wan.pipeline_{name}.prompt_clean", lambda text: text)
    restyler, clip = VideoRestyler(plain), make_clip(8)
    conditions = restyler.prepare(Style("ink", steps=4, guidance_scale=3.0, strength=strength, seed=5), None)
    assert not conditions.controls
    ours, memory = restyler.restyle(clip, StructureMaps({}), Memory().cut(), conditions)
    assert set(memory.window) == {"latents", "mean", "deviation"}
    noise = torch.randn(1, 16, 3, 6, 8, generator=torch.Generator("cpu").manual_seed(seed_of_shot(5, 0)))
    kind = WanPipeline if strength == 1 else WanVideoToVideoPipeline
    pipe = kind.from_pretrained(plain_folder, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    shared = {"prompt": "ink", "negative_prompt": "", "height": 48, "width": 64, "guidance_scale": 3.0,
              "num_inference_steps": 4, "output_type": "np"}  # fmt: skip
    if strength == 1:
        theirs = pipe(num_frames=9, latents=noise, **shared).frames[0]
    else:
        monkeypatch.setattr(
            "diffusers.pipelines.wan.pipeline_wan_video2video.randn_tensor", lambda *_, **__: noise.clone()
        )
        shown = [Image.fromarray(frame) for frame in (clip.frames[0], *clip.frames)]
        theirs = pipe(video=shown, strength=strength, **shared).frames[0]
    assert np.abs(np.stack(list(ours)) - theirs[1:]).max() < 1e-4


def test_what_the_plain_model_does_not_do(plain: VideoNetworks, tmp_path: Path) -> None:
    for style, message in (
        (Style("ink", controls={"depth": 1}), "takes no controls"),
        (Style("ink", reference="x.png"), "reads no reference picture"),
    ):
        reference = None if style.reference is None else Image.new("RGB", (8, 8))
        with pytest.raises(ModelError, match=message):
            VideoRestyler(plain).prepare(style, reference)
    Image.fromarray(picture(3)).save(tmp_path / "still.png")
    shot = Shot(CameraPath("", ()), 0.5, Fraction(16))
    job = SceneJob(source=str(tmp_path / "still.png"), output=tmp_path / "out.mkv", shot=shot)
    with pytest.raises(ModelError, match="cannot go on from a picture, or paint beside one: use --model wan-vace"):
        generate(Stylizer(plain), job, Style("it moves", steps=2))
    words = SceneJob(source="", output=tmp_path / "words.mkv", shot=shot)
    assert generate(Stylizer(plain), words, Style("it moves", steps=2, size=SIZE)).frames == 8


def test_windows_hand_on_latents(networks: VideoNetworks) -> None:
    """What a window takes over stays as it is, and the memory does not grow."""
    restyler = VideoRestyler(networks, window=2, overlap=2)
    conditions, memory, sizes = restyler.prepare(Style("ink", steps=2), None), Memory().cut(), []
    for i in range(4):
        clip = make_clip(8)
        before = dict(memory.window)
        images, memory = restyler.restyle(clip, make_maps(8), memory, conditions)
        assert len(list(images)) == 8 and memory.frames_in_shot == 8 * (i + 1)
        if before:
            assert torch.equal(memory.window["mean"], before["mean"])
            assert not torch.equal(memory.window["latents"], before["latents"])
        sizes.append(memory.nbytes)
    assert sizes[1:] == sizes[1:2] * 3
    images, after = restyler.restyle(make_clip(3), make_maps(3), memory, conditions)
    assert len(list(images)) == 3 and after.frames_in_shot == 35


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_video(tmp_path / "in.mkv", 26, codec="ffv1", pixel_format="bgr0", options={}, tagged=False, sound=True)


@pytest.fixture
def stylizer(networks: VideoNetworks, monkeypatch: pytest.MonkeyPatch) -> Stylizer:
    """Windows of two latents, so that a short clip has several."""
    for name, value in (("WINDOW", 2), ("OVERLAP", 1)):
        monkeypatch.setattr(f"stylize.restyle.video_restyler.{name}", value)
    monkeypatch.setattr(VideoRestyler.__init__, "__defaults__", (2, 1))
    return Stylizer(networks)


def test_a_run_of_several_windows_goes_on(
    stylizer: Stylizer, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stylize.encode.writer.LENGTH", 4)
    style = Style("ink", steps=2, strength=0.9)
    whole = stylizer.convert(source, tmp_path / "whole.mkv", style)
    assert whole.frames == 26 and whole.keyframes == 26

    def stop(done: int, _: int | None) -> None:
        if done == 19:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stylizer.convert(source, tmp_path / "out.mkv", style, progress=stop)
    report = stylizer.convert(source, tmp_path / "out.mkv", style, resume=True)
    assert report.resumed_from > 0
    assert np.array_equal(frames(tmp_path / "out.mkv"), frames(tmp_path / "whole.mkv"))


@pytest.mark.parametrize("length", [1, 5, 26])
def test_how_it_is_read_changes_nothing(stylizer: Stylizer, length: int) -> None:
    clip = make_clip(26)
    pieces = [clip.part(i, min(i + length, 26), starts_shot=i == 0) for i in range(0, 26, length)]
    one, other = (list(stylizer.stream(parts, Style("ink", steps=2))) for parts in ([clip], pieces))
    assert all(np.array_equal(a.frames, b.frames) for a, b in zip(one, other, strict=True))


def test_a_still_moves_and_words_alone_do(stylizer: Stylizer, tmp_path: Path) -> None:
    Image.fromarray(picture(3)).save(tmp_path / "still.png")
    shot = Shot(CameraPath("", ()), 1.0, Fraction(16))
    style = Style("it moves", steps=2, size=SIZE)
    for name, image in (("image", str(tmp_path / "still.png")), ("words", "")):
        job = SceneJob(source=image, output=tmp_path / f"{name}.mkv", shot=shot)
        assert generate(stylizer, job, style).frames == 16
    one, other = (frames(tmp_path / f"{name}.mkv") for name in ("image", "words"))
    assert one.shape == (16, 48, 64, 3) and not np.array_equal(one, other)
    with pytest.raises(StyleError, match="is to be told what happens"):
        generate(stylizer, SceneJob(source=str(tmp_path / "still.png"), output=tmp_path / "x.mkv", shot=shot), None)
    filmed = SceneJob(
        source=str(tmp_path / "still.png"), output=tmp_path / "film.mkv", shot=Shot(parse_camera("push in"), 0.5)
    )
    assert generate(stylizer, filmed, style).frames == 12


def test_a_canvas_is_painted_by_the_model(stylizer: Stylizer, source: Path, tmp_path: Path) -> None:
    job = CanvasJob(source=str(source), output=tmp_path / "out.mkv", canvas="96x64", end=0.4)
    expand(stylizer, job, Style("a waterfall", steps=2))
    assert np.array_equal(frames(tmp_path / "out.mkv")[:, 8:56, 16:80], frames(source)[:10])


@pytest.mark.parametrize(
    ("style", "message"),
    [
        ({"mode": "fast"}, "fast mode is for image models"),
        ({"controls": {"depth": 1, "canny": 1}}, "takes one control, not depth and canny"),
        ({"controls": {"strokes": 1}}, "has no ControlNet 'strokes'"),
        ({"strength": 0.1, "steps": 2}, "leaves none to run"),
    ],
)
def test_what_video_models_do_not_do(networks: VideoNetworks, style: dict[str, Any], message: str) -> None:
    with pytest.raises((StyleError, ModelError), match=message):
        VideoRestyler(networks).prepare(Style("ink", **style), None)


def test_folders_that_are_not_for_this(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="takes no --lora"):
        load_stylizer(folder, device="cpu", loras={"x.safetensors": 1.0})
    other = tmp_path / "other"
    other.mkdir()
    (other / "model_index.json").write_text(json.dumps({"_class_name": "LTXPipeline"}))
    with pytest.raises(ModelError, match="is a video model of the kind LTXPipeline: of video models, use one for"):
        load_stylizer(other, device="cpu")
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    shutil.rmtree(broken / "vae")
    with pytest.raises(ModelError, match="cannot be loaded: the folder lacks a file"):
        load_stylizer(broken, device="cpu")


def test_the_command(folder: Path, source: Path, tmp_path: Path) -> None:
    code, out, err = run(
        "run", source, "-o", tmp_path / "out.mp4", "--prompt", "ink", "--model", folder, "--steps", 2, "--device", "cpu"
    )
    assert code == 0 and "26 frames" in out, err


def test_what_follows_depends_on_the_still(networks: VideoNetworks, tmp_path: Path) -> None:
    """The frames to be painted are grey, which is no cut: the model goes on from the still."""
    results = []
    for i, still in enumerate((picture(3), 255 - picture(3))):
        Image.fromarray(still).save(tmp_path / f"{i}.png")
        shot = Shot(CameraPath("", ()), 0.5, Fraction(16))
        job = SceneJob(source=str(tmp_path / f"{i}.png"), output=tmp_path / f"{i}.mkv", shot=shot)
        assert generate(Stylizer(networks), job, Style("it moves", steps=2)).shots == 1
        results.append(frames(tmp_path / f"{i}.mkv"))
    assert np.abs(results[0][1:].astype(int) - results[1][1:]).max() > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temporal": 0.0}, "a video model has no --temporal"),
        ({"style_weight": 0.5}, "a video model has no --style-weight"),
        ({"reference_weight": 0.1}, "a video model has no --reference-weight"),
        ({"guidance_rescale": 1.0}, "a video model has no --guidance-rescale"),
        ({"clip_skip": 2}, "a video model has no --clip-skip"),
        ({"controls": {"depth": Control(1, 0, 0.5)}}, "counts at all steps"),
        ({"negative_prompt": "fog", "guidance_scale": 1.0}, "a negative prompt needs guidance"),
        ({"mode": "fast"}, "fast mode is for image models"),
    ],
)
def test_options_without_effect_are_refused(networks: VideoNetworks, options: dict[str, Any], message: str) -> None:
    with pytest.raises(StyleError, match=message):
        VideoRestyler(networks).prepare(Style("ink", **options), None)


def test_batches_are_windows(networks: VideoNetworks, source: Path, tmp_path: Path) -> None:
    with pytest.raises(StyleError, match="makes 64 frames at once"):
        Stylizer(networks, batch=4).convert(source, tmp_path / "out.mkv", Style("ink", steps=2))


def test_depth_of_the_still_is_for_the_camera(networks: VideoNetworks, tmp_path: Path) -> None:
    Image.fromarray(picture(3)).save(tmp_path / "still.png")
    Image.fromarray(picture(3)[..., 0]).save(tmp_path / "depth.png")
    shot = Shot(parse_camera("push in"), 0.5, Fraction(16))
    job = SceneJob(source=str(tmp_path / "still.png"), output=tmp_path / "out.mkv", shot=shot)
    style = Style("ink", steps=2, depth_from=tmp_path / "depth.png")
    assert generate(Stylizer(networks), job, style).frames == 8
