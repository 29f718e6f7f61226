"""What holds the forms of a frame: edges and depth, as maps in [0, 1] that stay steady over a shot."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import cv2
import numpy as np
import numpy.typing as npt
import torch

from stylize.depth import DepthNetwork
from stylize.errors import ModelError
from stylize.frames import Clip, Picture, StructureMaps

Map = npt.NDArray[np.float32]

CANNY_LOW, CANNY_HIGH = 100, 200
"""Gradient thresholds of ControlNet's own Canny annotator."""
CANNY_GRID = 64
"""controlnet-aux rounds sizes to multiples of this; frames are padded to it so that nothing is resized."""
MIDAS_REPOSITORY = "lllyasviel/Annotators"
MIDAS_FILE = "dpt_hybrid-midas-501f0c75.pt"


class DepthEstimator(Protocol):
    """Relative inverse depth of one picture, near is large; scale and shift are unknown but do not jump."""

    def __call__(self, picture: Picture) -> Map:
        """uint8 RGB `[H, W, 3]` to float32 `[H, W]`."""
        ...


class PocketDepth:
    """The built-in estimator; always computes in float32, it is too small for anything else to pay."""

    def __init__(self, folder: str | Path, device: torch.device, short_side: int = 128) -> None:
        network = DepthNetwork.from_pretrained(str(folder), use_safetensors=True, local_files_only=True)
        self._network: DepthNetwork = network.to(device).eval()
        self._device, self._short_side = device, short_side

    def __call__(self, picture: Picture) -> Map:
        def forward(pictures: torch.Tensor) -> torch.Tensor:
            depth: torch.Tensor = self._network(pictures)
            return depth[:, 0]

        return _estimate(forward, picture, self._short_side, self._network.multiple, self._device)


class MidasDepth:
    """MiDaS 3 (DPT-Hybrid) of controlnet-aux, what the SD 1.5 depth ControlNet was trained on.

    Args:
        source: hub id or a folder that holds `dpt_hybrid-midas-501f0c75.pt`.

    Raises:
        ModelError: the weights are neither in the folder nor on the hub.
    """

    def __init__(self, source: str | Path, device: torch.device, short_side: int = 384) -> None:
        if Path(source).is_dir() and not (Path(source) / MIDAS_FILE).is_file():
            raise ModelError(f"{source}: holds no {MIDAS_FILE}", "name the folder or hub id of MiDaS' weights")
        try:
            detector = _controlnet_aux().MidasDetector.from_pretrained(str(source))
        except (OSError, ValueError) as error:
            raise ModelError(
                f"cannot load MiDaS from {source}", "go online once, or name a folder that has it"
            ) from error
        self._network: Callable[[torch.Tensor], torch.Tensor] = detector.to(device).model.eval()
        self._device, self._short_side = device, short_side

    def __call__(self, picture: Picture) -> Map:
        return _estimate(self._network, picture, self._short_side, 32, self._device)


def _estimate(
    network: Callable[[torch.Tensor], torch.Tensor],
    picture: Picture,
    short_side: int,
    multiple: int,
    device: torch.device,
) -> Map:
    """Runs a network at a working size near `short_side` and brings its map `[1, h, w]` back to the picture's size."""
    height, width = picture.shape[:2]
    scale = short_side / min(height, width)
    size = tuple(max(multiple, round(side * scale / multiple) * multiple) for side in (width, height))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    pixels = torch.from_numpy(small).to(device).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.inference_mode():
        depth = network(pixels)[0].float().cpu().numpy()
    return np.asarray(cv2.resize(depth, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


@functools.cache
def _controlnet_aux() -> Any:
    """Imported on first use: it takes seconds, warns a dozen times, and sets a variable that hides OpenMP faults."""
    before = os.environ.get("KMP_DUPLICATE_LIB_OK")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import controlnet_aux
    if before is None:
        os.environ.pop("KMP_DUPLICATE_LIB_OK", None)
    return controlnet_aux


def canny(picture: Picture) -> Map:
    """Canny edges, float32 `[H, W]`, 1 on an edge."""
    height, width = picture.shape[:2]
    below, right = -height % CANNY_GRID, -width % CANNY_GRID
    padded = cv2.copyMakeBorder(picture, 0, below, 0, right, cv2.BORDER_REPLICATE)
    side = min(padded.shape[:2])
    edges = _controlnet_aux().CannyDetector()(
        padded, CANNY_LOW, CANNY_HIGH, detect_resolution=side, image_resolution=side, output_type="np"
    )
    return np.asarray(edges[:height, :width, 0], np.float32) / np.float32(255)


@dataclass(frozen=True)
class DepthRange:
    """The raw depths that become 0 and 1 in this shot.

    It starts at the first frame's 2nd and 98th percentile and follows slowly, so that an object that comes near does
    not push everything else back in one frame, as scaling each frame by itself does.
    """

    low: float
    high: float

    FOLLOW: ClassVar[float] = 0.05
    """Share of the way to the new frame's percentiles, per frame."""

    @classmethod
    def after(cls, previous: DepthRange | None, raw: Map) -> DepthRange:
        """The range once a frame with this raw depth was seen."""
        low, high = (float(x) for x in np.percentile(raw, (2, 98)))
        if previous is None:
            return cls(low, high)
        return cls(
            previous.low + cls.FOLLOW * (low - previous.low), previous.high + cls.FOLLOW * (high - previous.high)
        )

    def scaled(self, raw: Map) -> Map:
        """Raw inverse depth to [0, 1], near is 1; a flat picture is far."""
        span = max(self.high - self.low, 1e-6)
        return np.asarray(np.clip((raw - self.low) / span, 0, 1), np.float32)


def take_maps(
    clip: Clip, names: Iterable[str], estimate_depth: DepthEstimator, depth_range: DepthRange | None
) -> tuple[StructureMaps, DepthRange | None]:
    """The maps that the named controls need, and the shot's depth range after the clip.

    Args:
        depth_range: the shot's range before the clip; `None` at the start of a shot.

    Raises:
        ModelError: no detector is known for a control.
    """
    maps: dict[str, list[Map]] = {name: [] for name in names}
    if unknown := set(maps) - {"depth", "canny"}:
        raise ModelError(f"no detector makes maps for the control '{min(unknown)}'", "use depth or canny")
    for picture in clip.frames:
        if "canny" in maps:
            maps["canny"].append(canny(picture))
        if "depth" in maps:
            raw = estimate_depth(picture)
            depth_range = DepthRange.after(depth_range, raw)
            maps["depth"].append(depth_range.scaled(raw))
    return StructureMaps({name: np.stack(values)[:, None] for name, values in maps.items()}), depth_range
