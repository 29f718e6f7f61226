"""Detectors by the name of the control, those with weights on random ones under their real file names."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from media import picture
from stylize import ModelError, Style, Stylizer
from stylize.models.loading import load_networks
from stylize.models.parts import Extras
from stylize.structure import detector
from stylize.structure.depth import TransformersDepth
from stylize.structure.detectors import CONTROLS, WITH_WEIGHTS, _load_detector, controlnet_aux


def save_hed(folder: Path) -> None:
    from controlnet_aux.hed import ControlNetHED_Apache2

    torch.save(ControlNetHED_Apache2().state_dict(), folder / "ControlNetHED.pth")


def save_lineart(folder: Path) -> None:
    from controlnet_aux.lineart import Generator

    for name in ("sk_model.pth", "sk_model2.pth"):
        torch.save(Generator(3, 1, 3).state_dict(), folder / name)


def save_lineart_anime(folder: Path) -> None:
    import functools

    from controlnet_aux.lineart_anime import UnetGenerator

    norm = functools.partial(torch.nn.InstanceNorm2d, affine=False, track_running_stats=False)
    torch.save(UnetGenerator(3, 1, 8, 64, norm_layer=norm).state_dict(), folder / "netG.pth")


def save_mlsd(folder: Path) -> None:
    from controlnet_aux.mlsd.models.mbv2_mlsd_large import MobileV2_MLSD_Large

    torch.save(MobileV2_MLSD_Large().state_dict(), folder / "mlsd_large_512_fp32.pth")


def save_openpose(folder: Path) -> None:
    from controlnet_aux.open_pose.face import FaceNet
    from controlnet_aux.open_pose.model import bodypose_model, handpose_model

    for name, network in (("body_pose_model", bodypose_model()), ("hand_pose_model", handpose_model())):
        plain = {key.split(".", 1)[1]: value for key, value in network.state_dict().items()}
        torch.save(plain, folder / f"{name}.pth")
    torch.save(FaceNet().state_dict(), folder / "facenet.pth")


def save_normal(folder: Path) -> None:
    from types import SimpleNamespace

    from controlnet_aux.normalbae.nets.NNET import NNET

    given = SimpleNamespace(
        mode="client", architecture="BN", pretrained="scannet", sampling_ratio=0.4, importance_ratio=0.7
    )
    torch.save({"model": NNET(given).state_dict()}, folder / "scannet.pt")


LARGE: dict[str, Callable[[Path], None]] = {
    "lineart_anime": save_lineart_anime, "openpose": save_openpose, "normal": save_normal,
}  # fmt: skip
"""From 54 million parameters on."""
SAVED: dict[str, Callable[[Path], None]] = {
    "softedge": save_hed, "scribble": save_hed, "lineart": save_lineart, "mlsd": save_mlsd,
}  # fmt: skip
"""Small enough for every run."""


@pytest.fixture
def annotators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "annotators"
    folder.mkdir()
    monkeypatch.setenv("STYLIZE_ANNOTATORS", str(folder))
    _load_detector.cache_clear()
    yield folder
    _load_detector.cache_clear()


@pytest.mark.parametrize("size", [(130, 70), (64, 64)])
@pytest.mark.parametrize("name", ["canny", "tile", "shuffle", *SAVED])
def test_a_map_has_the_pictures_size(name: str, size: tuple[int, int], annotators: Path) -> None:
    controlnet_aux()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name in SAVED:
            SAVED[name](annotators)
        detect = detector(name)
        one, again = detect(picture(0, *size)), detect(picture(0, *size))
    assert one.shape[:2] == size[::-1] and one.dtype == np.float32
    assert one.min() >= 0 and one.max() <= 1
    assert np.array_equal(one, again)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(LARGE))
def test_large_detectors(name: str, annotators: Path, capsys: pytest.CaptureFixture[str]) -> None:
    controlnet_aux()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        LARGE[name](annotators)
        capsys.readouterr()
        found = detector(name)(picture(0, 256, 200))
    assert found.shape[:2] == (200, 256) and 0 <= found.min() <= found.max() <= 1
    assert capsys.readouterr().out == ""  # what a command prints belongs to the command


def test_tile_is_the_picture_and_shuffle_its_colours() -> None:
    source = picture(0, 128, 64)
    assert np.array_equal(np.round(detector("tile")(source) * 255).astype(np.uint8), source)
    state = np.random.get_state()[1]
    shuffled = detector("shuffle")(source)
    assert np.array_equal(np.random.get_state()[1], state)
    assert np.abs(shuffled.mean((0, 1)) - source.mean((0, 1)) / 255).max() < 0.2
    assert np.abs(shuffled * 255 - source).mean() > 10


@pytest.mark.parametrize("name", list(WITH_WEIGHTS))
def test_weights_that_are_not_there(name: str, annotators: Path) -> None:
    message = f"the weights of the detector for '{name}' are not on disk: go online once: they come from lllyasviel/"
    with warnings.catch_warnings(), pytest.raises(ModelError, match=message):
        warnings.simplefilter("ignore")
        detector(name)


def test_an_unknown_control() -> None:
    with pytest.raises(ModelError, match=f"for the control 'pose': use {', '.join(CONTROLS)}"):
        detector("pose")


def test_maps_in_colour_go_through_the_loop(tiny_model: Path) -> None:
    """A control whose map has three channels, under the name of one whose map has one."""
    from clips import joined, make_clip

    nets = {"tile": tiny_model / "controlnet", "canny": tiny_model / "controlnet_1"}
    networks = load_networks(tiny_model, device="cpu", dtype=torch.float32, extras=Extras(controlnets=nets))
    clip = make_clip(2)
    results = [
        joined(list(Stylizer(networks).stream([clip], Style(prompt="ink", controls=controls))))
        for controls in ({"tile": 1.0}, {"canny": 1.0}, {"tile": 1.0, "canny": 1.0})
    ]
    assert all(not np.array_equal(a, b) for i, a in enumerate(results) for b in results[i + 1 :])


def test_a_depth_network_of_transformers(tmp_path: Path) -> None:
    """Depth Anything with random weights, as the hub has it."""
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config, DPTImageProcessor

    backbone = Dinov2Config(
        hidden_size=24, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32, image_size=56, patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"], reshape_hidden_states=False, apply_layernorm=True,
    )  # fmt: skip
    config = DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=24, patch_size=14, neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8, head_hidden_size=8,
    )  # fmt: skip
    DepthAnythingForDepthEstimation(config).save_pretrained(tmp_path)
    DPTImageProcessor(image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225]).save_pretrained(tmp_path)
    depth = TransformersDepth(tmp_path, torch.device("cpu"), short_side=56)(picture(0, 96, 64))
    assert depth.shape == (64, 96) and np.isfinite(depth).all()
    with pytest.raises(ModelError, match="cannot load a depth network from"):
        TransformersDepth(tmp_path / "none", torch.device("cpu"))
