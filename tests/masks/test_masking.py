"""Only the subject, or only the background: mattes, their borders, their motion, and what stays to the bit."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from clips import joined, make_clip, restyled_states
from media import frames, make_video
from stylize import Clip, Style, StyleError, Stylizer, VideoError, VideoWriter
from stylize.cli import app
from stylize.decode import probe
from stylize.errors import VideoWarning
from stylize.masks import Masking, apply_mask
from stylize.masks.masking import composite, feather, make_mattes, to_linear
from stylize.masks.mattes import cut_out, motion_matte, to_matte
from stylize.networks import Networks
from stylize.runs.state import from_bytes, to_bytes

SIZE = (160, 96)


def scene(i: int, *, pan: int = 2) -> np.ndarray:
    """A red disc that goes right over a textured ground that the camera pans over."""
    rng = np.random.default_rng(0)
    ground = cv2.GaussianBlur(rng.integers(40, 160, (SIZE[1], SIZE[0] + 80, 3), np.uint8), (0, 0), 2)
    picture = np.ascontiguousarray(ground[:, pan * i : pan * i + SIZE[0]])
    cv2.circle(picture, disc(i), 18, (220, 40, 30), -1, cv2.LINE_AA)
    return picture


def disc(i: int) -> tuple[int, int]:
    return 40 + 5 * i, 48


def truth(i: int) -> np.ndarray:
    matte = np.zeros(SIZE[::-1], np.uint8)
    cv2.circle(matte, disc(i), 18, 255, -1)
    return matte


def overlap(matte: np.ndarray, i: int) -> float:
    """Intersection over union."""
    one, other = matte > 0.5, truth(i) > 127
    return float((one & other).sum() / (one | other).sum())


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """The scene as a lossless video."""
    info = probe(make_video(tmp_path / "clock.mp4", 2, width=SIZE[0], height=SIZE[1]))
    path = tmp_path / "scene.mkv"
    with VideoWriter(path, info, SIZE) as writer:
        for i in range(10):
            writer.write(Clip(scene(i)[None], (Fraction(i, 25),), (Fraction(1, 25),), i))
    return path


def test_mixing_is_done_in_light() -> None:
    black, white = np.zeros((1, 1, 3), np.uint8), np.full((1, 1, 3), 255, np.uint8)
    half = composite(black, white, np.full((1, 1), 0.5, np.float32))
    assert int(half[0, 0, 0]) == 188  # half of the light, not half of the number
    levels = np.arange(256, dtype=np.uint8).reshape(1, 256, 1).repeat(3, 2)
    assert np.abs(composite(levels, levels, np.full((1, 256), 0.3, np.float32)).astype(int) - levels).max() == 0
    assert to_linear(np.float32([0.5]))[0] == pytest.approx(0.2140, abs=1e-4)


def test_outside_the_matte_the_source_stays_to_the_bit() -> None:
    rng = np.random.default_rng(0)
    source, styled = rng.integers(0, 256, (2, 64, 64, 3), np.uint8)
    matte = np.zeros((64, 64), np.float32)
    matte[20:40, 20:40] = 1
    soft = feather(matte, 2.0)
    mixed = composite(source, styled, soft)
    assert np.array_equal(mixed[soft == 0], source[soft == 0]) and (soft == 0).mean() > 0.6
    assert np.array_equal(mixed[soft == 1], styled[soft == 1]) and (soft == 1).any()
    assert 0 < ((soft > 0) & (soft < 1)).mean() < 0.3


@pytest.mark.parametrize("kind", ["still", "folder", "video", "transparent"])
def test_mattes_from_files(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "mattes"
    path.mkdir()
    for i in range(4):
        cv2.imwrite(str(path / f"{i}.png"), truth(0 if kind == "still" else i))
    if kind == "still":
        path = path / "0.png"
    if kind == "transparent":
        picture = np.dstack([np.full((*SIZE[::-1], 3), 9, np.uint8), truth(0)])
        path = tmp_path / "cut-out.png"
        cv2.imwrite(str(path), picture)
    if kind == "video":
        info = probe(make_video(tmp_path / "clock.mp4", 2, width=SIZE[0], height=SIZE[1]))
        path = tmp_path / "mattes.mkv"
        with VideoWriter(path, info, SIZE) as writer:
            for i in range(4):
                writer.write(Clip(truth(i)[None, ..., None].repeat(3, 3), (Fraction(i, 25),), (Fraction(1, 25),), i))
    source = make_mattes(path, "")
    for i in range(4):
        wanted = truth(0 if kind in ("still", "transparent") else i)
        assert np.abs(source(scene(i), None, i) * 255 - wanted).max() <= 1
    if kind == "folder":
        with pytest.raises(VideoError, match="has 4 mattes, the video has more frames: give one for each frame"):
            source(scene(4), None, 4)
        assert np.abs(source(scene(1), None, 1) * 255 - truth(1)).max() <= 1  # and back


def test_what_moves_otherwise_than_the_camera(film: Path) -> None:
    source = make_mattes(None, "motion", film)
    before, found = None, []
    for i in range(10):
        matte = source(scene(i), before, i)
        before = scene(i), matte
        found.append(overlap(matte, i))
    assert min(found) > 0.65 and np.mean(found) > 0.72  # flow has a halo of some pixels


def test_a_pan_alone_moves_nothing() -> None:
    flow = np.full((96, 160, 2), (3.0, -1.5), np.float32)
    assert motion_matte(flow).max() < 0.1


def test_a_box_is_followed() -> None:
    source = make_mattes(None, "box:18,26,44,44")
    before, found = None, []
    for i in range(10):
        matte = source(scene(i), before, i)
        before = scene(i), matte
        found.append(overlap(matte, i))
    assert min(found) > 0.8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("box:1,2,3", r"'box:1,2,3' is not a box: write box:X,Y,WIDTH,HEIGHT in pixels"),
        ("box:150,0,40,40", r"box \(150, 0, 40, 40\) leaves the picture: it is 160x96"),
        ("motion", "a mask from motion needs a video file: give a matte, or a box"),
        ("nobody/nothing#cat", "cannot load a segmentation network from nobody/nothing: use motion or box"),
    ],
)
def test_masks_that_cannot_be_made(text: str, message: str) -> None:
    with pytest.raises(StyleError, match=message):
        make_mattes(None, text)(scene(0), None, 0)


def sam2(folder: Path) -> None:
    """SAM 2 with random weights, in the hub's layout, at 128 pixels."""
    from transformers import (
        Sam2Config,
        Sam2HieraDetConfig,
        Sam2ImageProcessor,
        Sam2MaskDecoderConfig,
        Sam2Model,
        Sam2Processor,
        Sam2PromptEncoderConfig,
        Sam2VisionConfig,
    )

    stages = [8, 16, 32, 64]
    backbone = Sam2HieraDetConfig(
        hidden_size=8, image_size=[128, 128], blocks_per_stage=[1, 2, 1, 1], embed_dim_per_stage=stages,
        num_attention_heads_per_stage=[1, 1, 2, 2], window_size_per_stage=[4, 4, 4, 4], global_attention_blocks=[2],
    )  # fmt: skip
    vision = Sam2VisionConfig(
        backbone_config=backbone, backbone_channel_list=stages[::-1], fpn_hidden_size=32,
        backbone_feature_sizes=[[32, 32], [16, 16], [8, 8]],
    )  # fmt: skip
    decoder = Sam2MaskDecoderConfig(hidden_size=32, mlp_dim=32, num_attention_heads=2, iou_head_hidden_dim=16)
    prompts = Sam2PromptEncoderConfig(hidden_size=32, image_size=128)
    torch.manual_seed(0)
    config = Sam2Config(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder)
    Sam2Model(config).save_pretrained(folder)
    size = {"height": 128, "width": 128}
    Sam2Processor(Sam2ImageProcessor(size=size, mask_size={"height": 32, "width": 32})).save_pretrained(folder)


def sam(folder: Path) -> None:
    """The first SAM alike; it pads the picture where SAM 2 stretches it."""
    from transformers import (
        SamConfig,
        SamImageProcessor,
        SamMaskDecoderConfig,
        SamModel,
        SamProcessor,
        SamPromptEncoderConfig,
        SamVisionConfig,
    )

    vision = SamVisionConfig(
        hidden_size=16, output_channels=32, num_hidden_layers=1, num_attention_heads=2, image_size=128, patch_size=16,
        window_size=4, global_attn_indexes=[0], mlp_dim=32, num_pos_feats=16,
    )  # fmt: skip
    prompts = SamPromptEncoderConfig(hidden_size=32, image_size=128, patch_size=16, image_embedding_size=8)
    decoder = SamMaskDecoderConfig(hidden_size=32, mlp_dim=32, num_attention_heads=2, iou_head_hidden_dim=16)
    torch.manual_seed(0)
    config = SamConfig(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder)
    SamModel(config).save_pretrained(folder)
    processor = SamImageProcessor(
        size={"longest_edge": 128}, mask_size={"longest_edge": 32}, pad_size={"height": 128, "width": 128},
        mask_pad_size={"height": 32, "width": 32},
    )  # fmt: skip
    SamProcessor(processor).save_pretrained(folder)


@pytest.mark.parametrize("make", [sam2, sam])
def test_a_network_is_told_where_to_look(
    make: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path)
    source = make_mattes(None, f"{tmp_path}#box:18,26,44,44")
    first = source(scene(0), None, 0)
    assert first.shape == SIZE[::-1] and set(np.unique(first)) <= {0.0, 1.0}
    told: list[Any] = []
    processor = source._processor  # type: ignore[attr-defined]

    def listening(*arguments: Any, **options: Any) -> Any:
        told.append(options["input_boxes"][0][0])
        return processor(*arguments, **options)

    listening.post_process_masks = processor.post_process_masks  # type: ignore[attr-defined]
    monkeypatch.setattr(source, "_processor", listening)
    for i in range(3):  # where the matte before was, along the motion
        source(scene(i + 1), (scene(i), (truth(i) / 255).astype(np.float32)), i + 1)
    for i, (left, _, right, _) in enumerate(told, start=1):
        x = disc(i)[0]
        assert left <= x - 14 and right >= x + 14 and right - left <= 56  # the disc is 36 wide
    gone = source(scene(1), (scene(0), np.zeros(SIZE[::-1], np.float32)), 1)
    assert gone.max() == 0 and len(told) == 3
    with pytest.raises(StyleError, match="cannot load a network that is told where to look from nobody/nothing"):
        make_mattes(None, "nobody/nothing#box:1,2,3,4")


def test_a_segmentation_network(tmp_path: Path) -> None:
    """Segformer with random weights, in the hub's layout."""
    from transformers import SegformerConfig, SegformerForSemanticSegmentation, SegformerImageProcessor

    config = SegformerConfig(
        hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1], num_attention_heads=[1, 1, 1, 1], decoder_hidden_size=8,
        id2label={0: "wall", 1: "person"}, label2id={"wall": 0, "person": 1},
    )  # fmt: skip
    SegformerForSemanticSegmentation(config).save_pretrained(tmp_path)
    SegformerImageProcessor(size={"height": 64, "width": 64}).save_pretrained(tmp_path)
    person, wall = (make_mattes(None, f"{tmp_path}#{label}")(scene(0), None, 0) for label in ("person", "wall"))
    assert person.shape == SIZE[::-1] and np.abs(person + wall - 1).mean() < 0.05
    with pytest.raises(StyleError, match="the network knows no 'dog': write MODEL#LABEL; it knows person, wall"):
        make_mattes(None, f"{tmp_path}#dog")(scene(0), None, 0)


def test_a_matte_is_steady_where_the_motion_is_known() -> None:
    """Of mattes that flicker by a ring of two pixels, half of the flicker is left."""

    def flickering(picture: np.ndarray, before: object, index: int, time: Fraction = Fraction(0)) -> np.ndarray:
        matte = truth(0) if index % 2 else cv2.dilate(truth(0), np.ones((5, 5)))
        return to_matte(matte, SIZE)

    masking = Masking(flickering, background=False, feather=0)
    white = np.full((1, *SIZE[::-1], 3), 255, np.uint8)
    still = scene(0, pan=0)
    results, before = [], None
    for i in range(8):
        clip = Clip(still[None], (Fraction(i, 25),), (Fraction(1, 25),), i, i == 0)
        _, before = apply_mask(masking, clip, white, before)
        assert before is not None
        results.append(before[1])
    raw = np.abs(flickering(still, None, 0) - flickering(still, None, 1)).mean()
    assert np.abs(results[-1] - results[-2]).mean() < 0.55 * raw


@pytest.mark.parametrize("mode", ["full", "fast"])
@pytest.mark.parametrize("part", ["subject", "background"])
def test_through_the_loop(tiny: Networks, tmp_path: Path, mode: str, part: str) -> None:
    """Inside it is what a run without a mask makes; outside it is the source, to the bit."""
    mask = np.zeros((48, 64), np.uint8)
    mask[:, :32] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    clip = make_clip(5)
    look = {"prompt": "ink", "mode": mode, "steps": 2, "strength": 0.5}
    whole = joined(list(Stylizer(tiny).stream([clip], Style(**look))))  # type: ignore[arg-type]
    masked = Style(**look, mask=tmp_path / "mask.png", mask_part=part, mask_feather=1.0)  # type: ignore[arg-type]
    half = joined(list(Stylizer(tiny).stream([clip], masked)))
    inside, outside = (
        (np.s_[:, :, :24], np.s_[:, :, 40:]) if part == "subject" else (np.s_[:, :, 40:], np.s_[:, :, :24])
    )
    assert np.array_equal(half[inside], whole[inside])
    assert np.array_equal(half[outside], clip.frames[outside])


def test_a_resumed_run_goes_on_with_its_matte(tiny: Networks, tmp_path: Path, film: Path) -> None:
    import torch

    from stylize import VideoReader

    style = Style(prompt="ink", steps=2, strength=0.5, mask_from="motion")
    with VideoReader(film) as reader:
        steps = restyled_states(tiny, reader.clips(1), style, source=film)
    state = from_bytes(to_bytes(steps[4][1]), torch.device("cpu"))
    with VideoReader(film) as reader:
        rest = restyled_states(tiny, reader.clips(1, skip=5), style, state=state, source=film)
    assert np.array_equal(joined([c for c, _ in steps[5:]]), joined([c for c, _ in rest]))


def test_from_the_command_line(film: Path, tmp_path: Path, tiny_model: Path) -> None:
    mask = np.zeros(SIZE[::-1], np.uint8)
    mask[:, 80:] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    output = tmp_path / "out.mkv"
    arguments = ["run", film, "-o", output, "--prompt", "ink", "--model", tiny_model, "--mask", tmp_path / "mask.png"]
    result = CliRunner().invoke(app, [*map(str, arguments), "--quiet"])
    assert result.exit_code == 0, result.output
    assert np.array_equal(frames(output)[:, :, :64], frames(film)[:, :, :64])
    both = CliRunner().invoke(app, [*map(str, arguments), "--mask-from", "motion", "--force"])
    assert both.exit_code == 1 and "leave out one of mask and mask-from" in both.stderr


def test_a_seed_of_nothing_cuts_nothing_out() -> None:
    assert cut_out(scene(0), np.zeros(SIZE[::-1], np.float32)).max() == 0


def test_a_mask_that_finds_nothing_says_so(tiny: Networks) -> None:
    def nothing(picture: np.ndarray, before: object, index: int, time: Fraction = Fraction(0)) -> np.ndarray:
        return np.zeros(picture.shape[:2], np.float32)

    clip = Clip(scene(0)[None], (Fraction(0),), (Fraction(1, 25),), 7, starts_shot=True)
    with pytest.warns(VideoWarning, match="the mask finds no subject in frame 7: look at a preview"):
        kept, _ = apply_mask(Masking(nothing), clip, 255 - clip.frames, None)
    assert np.array_equal(kept, clip.frames)
