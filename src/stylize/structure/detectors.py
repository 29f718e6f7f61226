"""What ControlNets look at, by the name of the control: the detectors of controlnet-aux at the frame's own size."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import warnings
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from stylize.errors import ModelError
from stylize.frames import Map, Picture

ANNOTATORS = "lllyasviel/Annotators"
"""The hub's repository of the detectors' weights."""
CANNY_LOW, CANNY_HIGH = 100, 200
"""Gradient thresholds of ControlNet's own Canny annotator."""
GRID = 64
"""controlnet-aux rounds sizes to multiples of this; frames are padded to it so that nothing is resized."""
WITH_WEIGHTS = {
    "softedge": "HEDdetector", "scribble": "HEDdetector", "lineart": "LineartDetector",
    "lineart_anime": "LineartAnimeDetector", "openpose": "OpenposeDetector", "normal": "NormalBaeDetector",
    "mlsd": "MLSDdetector",
}  # fmt: skip
"""Detector classes of controlnet-aux that load weights."""
OPTIONS: dict[str, dict[str, Any]] = {"scribble": {"scribble": True}}
CONTROLS = ("depth", "canny", *WITH_WEIGHTS, "tile", "shuffle")
"""Names of all controls that maps can be made for; depth has networks of its own."""


def annotators() -> str:
    """Where the detectors' weights are: the hub's repository, or the folder that `STYLIZE_ANNOTATORS` names."""
    return os.environ.get("STYLIZE_ANNOTATORS", ANNOTATORS)


@functools.cache
def controlnet_aux() -> Any:
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
    detect = functools.partial(controlnet_aux().CannyDetector(), low_threshold=CANNY_LOW, high_threshold=CANNY_HIGH)
    return _at_own_size(lambda *args, **options: detect(*args, **options)[..., 0], picture)  # all three are alike


def detector(name: str, device: str = "cpu") -> Callable[[Picture], Map]:
    """Takes the map that the control `name` looks at; "tile" looks at the picture itself.

    Raises:
        ModelError: no detector is known for it, or its weights are not to be had.
    """
    if name == "canny":
        return canny
    if name == "tile":
        return lambda picture: picture.astype(np.float32) / np.float32(255)
    if name == "shuffle":
        return _shuffled
    if name not in WITH_WEIGHTS:
        raise ModelError(f"no detector makes maps for the control '{name}'", f"use {', '.join(CONTROLS)}")
    return functools.partial(_at_own_size, functools.partial(_loaded(name, device), **OPTIONS.get(name, {})))


@functools.cache
def _loaded(name: str, device: str) -> Any:
    kind = getattr(controlnet_aux(), WITH_WEIGHTS[name])
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # one of them prints as it loads
            found = kind.from_pretrained(annotators())
    except (OSError, ValueError) as error:
        what = f"the weights of the detector for '{name}' are not on disk"
        raise ModelError(what, f"go online once: they come from {ANNOTATORS}") from error
    return found.to(device) if hasattr(found, "to") else found


def _shuffled(picture: Picture) -> Map:
    """The picture's colours without its forms; in every frame shuffled alike."""
    state = np.random.get_state()
    np.random.seed(0)
    try:
        return _at_own_size(controlnet_aux().ContentShuffleDetector(), picture)
    finally:
        np.random.set_state(state)


def _at_own_size(detect: Callable[..., Any], picture: Picture) -> Map:
    """Runs a detector at the picture's size, `[H, W, 3]`."""
    height, width = picture.shape[:2]
    padded = cv2.copyMakeBorder(picture, 0, -height % GRID, 0, -width % GRID, cv2.BORDER_REPLICATE)
    side = min(padded.shape[:2])
    found = detect(padded, detect_resolution=side, image_resolution=side, output_type="np")
    return np.asarray(found[:height, :width], np.float32) / np.float32(255)
