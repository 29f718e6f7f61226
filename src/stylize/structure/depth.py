"""Depth estimators with one interface: the built-in network, MiDaS of controlnet-aux, and networks of transformers."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import cv2
import numpy as np
import torch
from transformers import AutoImageProcessor, AutoModelForDepthEstimation

from stylize.errors import ModelError, explained
from stylize.frames import DepthEstimator, Map, Picture, resize
from stylize.structure.depth_network import DepthNetwork
from stylize.structure.detectors import controlnet_aux

MIDAS = "midas"
MIDAS_FILE = "dpt_hybrid-midas-501f0c75.pt"


class PocketDepth:
    """The built-in depth estimator; always computes in float32, as it is too small to gain from other formats."""

    def __init__(self, folder: str | Path, device: torch.device, short_side: int = 128) -> None:
        network = DepthNetwork.from_pretrained(str(folder), use_safetensors=True, local_files_only=True)
        self._network: DepthNetwork = network.to(device).eval()
        self._device, self._short_side = device, short_side

    def __call__(self, picture: Picture) -> Map:
        def forward(pictures: torch.Tensor) -> torch.Tensor:
            # errors differ in the mirrored picture: the mean has a rank correlation that is 0.01 higher
            depth: torch.Tensor = self._network(torch.cat([pictures, pictures.flip(-1)]))[:, 0]
            plain, mirrored = depth.chunk(2)
            return (plain + mirrored.flip(-1)) / 2

        return _estimate(forward, picture, self._short_side, self._network.multiple, self._device)


class MidasDepth:
    """MiDaS 3 (DPT-Hybrid) of controlnet-aux, whose maps the SD 1.5 depth ControlNet was trained on.

    Args:
        source: hub id or a folder that holds `dpt_hybrid-midas-501f0c75.pt`.

    Raises:
        ModelError: the weights are neither in the folder nor on the hub.
    """

    def __init__(self, source: str | Path, device: torch.device, short_side: int = 384) -> None:
        if Path(source).is_dir() and not (Path(source) / MIDAS_FILE).is_file():
            raise ModelError(f"{source}: holds no {MIDAS_FILE}", "name the folder or hub id of MiDaS' weights")
        with explained(ModelError, f"cannot load MiDaS from {source}", "go online once, or name a folder that has it"):
            detector = controlnet_aux().MidasDetector.from_pretrained(str(source))
        self._network: Callable[[torch.Tensor], torch.Tensor] = detector.to(device).model.eval()
        self._device, self._short_side = device, short_side

    def __call__(self, picture: Picture) -> Map:
        return _estimate(self._network, picture, self._short_side, 32, self._device)


class TransformersDepth:
    """A depth network of transformers, such as Depth Anything V2 (Yang et al. 2024).

    Args:
        source: folder or hub id.

    Raises:
        ModelError: the network cannot be loaded, or is not a depth network.
    """

    def __init__(self, source: str | Path, device: torch.device, short_side: int = 518) -> None:
        local = {"local_files_only": True} if Path(source).is_dir() else {}
        advice = "name one of transformers, such as depth-anything/Depth-Anything-V2-Small-hf"
        with explained(ModelError, f"cannot load a depth network from {source}", advice):
            network = AutoModelForDepthEstimation.from_pretrained(source, use_safetensors=True, **local)
            processor = AutoImageProcessor.from_pretrained(source, **local)
        self._network = network.to(device).eval()
        self._mean, self._std = (
            torch.tensor(numbers, device=device).view(1, 3, 1, 1)
            for numbers in (processor.image_mean, processor.image_std)
        )
        patch = getattr(getattr(network.config, "backbone_config", None), "patch_size", None) or 32
        self._multiple, self._device, self._short_side = int(patch), device, short_side

    def __call__(self, picture: Picture) -> Map:
        def forward(pictures: torch.Tensor) -> torch.Tensor:
            inputs = ((pictures + 1) / 2 - self._mean) / self._std
            depth: torch.Tensor = self._network(pixel_values=inputs).predicted_depth
            return depth

        return _estimate(forward, picture, self._short_side, self._multiple, self._device)


class LazyDepth:
    """A depth estimator that is loaded when the first map is requested: never, if the depth control is not used."""

    def __init__(self, load: Callable[[], DepthEstimator]) -> None:
        self._load = load
        self._estimator: DepthEstimator | None = None

    def __call__(self, picture: Picture) -> Map:
        if self._estimator is None:
            self._estimator = self._load()
        return self._estimator(picture)


def _estimate(
    network: Callable[[torch.Tensor], torch.Tensor],
    picture: Picture,
    short_side: int,
    multiple: int,
    device: torch.device,
) -> Map:
    """Runs a network at a size near `short_side`, and resizes its maps `[T, h, w]` to the pictures' size."""
    height, width = picture.shape[-3:-1]
    scale = short_side / min(height, width)
    size = tuple(max(multiple, round(side * scale / multiple) * multiple) for side in (width, height))
    pictures = picture.reshape(-1, height, width, 3)
    small = np.stack([resize(one, size, enlarge=cv2.INTER_LINEAR) for one in pictures])
    with torch.inference_mode(), _side_stream(device):
        pixels = torch.from_numpy(small).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
        depths = network(pixels).float().cpu().numpy()
    resized = [cv2.resize(depth, (width, height), interpolation=cv2.INTER_LINEAR) for depth in depths]
    return np.asarray(resized, np.float32).reshape(picture.shape[:-1])


def _side_stream(device: torch.device) -> AbstractContextManager[object]:
    """On a GPU, a stream beside the diffusion's: the next batch's depth need not wait for the batch before."""
    return torch.cuda.stream(_make_stream(device)) if device.type == "cuda" else nullcontext()


@functools.cache
def _make_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
