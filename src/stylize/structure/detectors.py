"""Detectors of controlnet-aux that make the maps for ControlNets, by control name, at the frame's full size."""

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

from stylize.errors import ModelError, explained
from stylize.frames import Map, Picture

ANNOTATORS = "lllyasviel/Annotators"
"""Hub repository with the detectors' weights."""
CANNY_LOW, CANNY_HIGH = 100, 200
"""Gradient thresholds of the original ControlNet's Canny annotator."""
GRID = 64
"""controlnet-aux rounds sizes to multiples of this; frames are padded to it so that nothing is resized."""
WITH_WEIGHTS = {
    "softedge": "HEDdetector", "scribble": "HEDdetector", "lineart": "LineartDetector",
    "lineart_anime": "LineartAnimeDetector", "openpose": "OpenposeDetector", "normal": "NormalBaeDetector",
    "mlsd": "MLSDdetector",
}  # fmt: skip
"""Detector classes of controlnet-aux that load weights."""
OPTIONS: dict[str, dict[str, Any]] = {"scribble": {"scribble": True}}
CONTROLS = ("depth", "canny", "strokes", *WITH_WEIGHTS, "tile", "shuffle")
"""Names of all controls that maps can be made for; depth comes from networks of its own, strokes from `stroke_maps`."""


def annotators() -> str:
    """Returns where the detectors' weights are: the hub's repository, or the folder that `STYLIZE_ANNOTATORS` names."""
    return os.environ.get("STYLIZE_ANNOTATORS", ANNOTATORS)


@functools.cache
def controlnet_aux() -> Any:
    """Imports controlnet-aux on first use.

    The import takes seconds, gives a dozen warnings, and sets an environment variable that hides OpenMP faults.
    """
    before = os.environ.get("KMP_DUPLICATE_LIB_OK")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import controlnet_aux
    if before is None:
        os.environ.pop("KMP_DUPLICATE_LIB_OK", None)
    return controlnet_aux


def canny(picture: Picture) -> Map:
    """Returns Canny edges, float32 `[H, W]`, 1 on an edge."""
    detect = functools.partial(controlnet_aux().CannyDetector(), low_threshold=CANNY_LOW, high_threshold=CANNY_HIGH)
    # the three channels are equal
    return _detect_at_full_size(lambda *args, **options: detect(*args, **options)[..., 0], picture)


def detector(name: str, device: str = "cpu") -> Callable[[Picture], Map]:
    """Returns the function that makes the map for the control `name`; the map for "tile" is the picture itself.

    Raises:
        ModelError: no detector is known for the control, or its weights cannot be loaded.
    """
    if name == "canny":
        return canny
    if name == "tile":
        return lambda picture: picture.astype(np.float32) / np.float32(255)
    if name == "shuffle":
        return _shuffle
    if name not in WITH_WEIGHTS:
        raise ModelError(f"no detector makes maps for the control '{name}'", f"use {', '.join(CONTROLS)}")
    return functools.partial(
        _detect_at_full_size, functools.partial(_load_detector(name, device), **OPTIONS.get(name, {}))
    )


@functools.cache
def _load_detector(name: str, device: str) -> Any:
    detector_class = getattr(controlnet_aux(), WITH_WEIGHTS[name])
    what = f"the weights of the detector for '{name}' are not on disk"
    missing = explained(ModelError, what, f"go online once: they come from {ANNOTATORS}", (OSError, ValueError))
    with missing, contextlib.redirect_stdout(io.StringIO()):  # one detector prints while it loads
        loaded = detector_class.from_pretrained(annotators())
    return loaded.to(device) if hasattr(loaded, "to") else loaded


def _shuffle(picture: Picture) -> Map:
    """Moves the picture's content around, which keeps the colours but not the forms; the same in every frame."""
    state = np.random.get_state()
    np.random.seed(0)
    try:
        return _detect_at_full_size(controlnet_aux().ContentShuffleDetector(), picture)
    finally:
        np.random.set_state(state)


def _detect_at_full_size(detect: Callable[..., Any], picture: Picture) -> Map:
    """Runs a detector at the picture's size, `[H, W, 3]`."""
    height, width = picture.shape[:2]
    padded = cv2.copyMakeBorder(picture, 0, -height % GRID, 0, -width % GRID, cv2.BORDER_REPLICATE)
    side = min(padded.shape[:2])
    detected = detect(padded, detect_resolution=side, image_resolution=side, output_type="np")
    return np.asarray(detected[:height, :width], np.float32) / np.float32(255)
