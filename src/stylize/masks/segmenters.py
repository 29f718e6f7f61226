"""Makes mattes with segmentation networks of transformers: by a label, or by a box in the first frame."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoModelForMaskGeneration, AutoProcessor, pipeline

from stylize.errors import StyleError, explained
from stylize.frames import Picture
from stylize.masks.mattes import Box, Matte, MattedFrame, MatteMaker, to_matte
from stylize.motion import warp
from stylize.motion.flow import optical_flow

MARGIN = 0.06
"""Share of its width or height by which the box around the previous matte is widened on each side."""
SUBJECT = 0.1
"""Values above this in the previous matte are the subject: mattes are mixed over time, so three frames may miss it."""


def network_mattes(text: str, source: Path | None = None, device: str = "cpu") -> MatteMaker:
    """Makes mattes from `MODEL#LABEL`, or `MODEL#box:X,Y,WIDTH,HEIGHT` for networks that take a box (SAM, SAM 2).

    Args:
        device: device that the network runs on.

    Raises:
        StyleError: the network cannot be loaded, or the box is not valid.
    """
    name, _, what = text.partition("#")
    if what.startswith("box:"):
        return BoxSegmenter(name, Box(what, source), device)
    return LabelSegmenter(name, what, device)


class LabelSegmenter:
    """Finds a label with a segmentation network such as facebook/mask2former-swin-tiny-coco-panoptic."""

    def __init__(self, name: str, label: str, device: str) -> None:
        self._label = label
        with explained(StyleError, f"cannot load a segmentation network from {name}", "use motion or box:X,Y,W,H"):
            self._segment: Any = pipeline("image-segmentation", model=name, device=device)

    def __call__(self, picture: Picture, before: MattedFrame | None, index: int, time: Fraction = Fraction(0)) -> Matte:
        segments = self._segment(Image.fromarray(picture))
        known = {str(label) for label in self._segment.model.config.id2label.values()}
        if self._label not in known:
            few = ", ".join(sorted(known)[:12])
            raise StyleError(f"the network knows no '{self._label}'", f"write MODEL#LABEL; it knows {few}")
        matte = np.zeros(picture.shape[:2], np.uint8)
        for segment in segments:
            if str(segment["label"]) == self._label:  # several segments may have it
                matte = np.maximum(matte, np.asarray(segment["mask"]).astype(np.uint8))
        return to_matte(matte, (picture.shape[1], picture.shape[0]))


class BoxSegmenter:
    """Segments a box with a network such as SAM (Kirillov et al. 2023) or SAM 2 (Ravi et al. 2024).

    A shot's first frame takes the user's box; later frames take the box around the previous matte, warped along the
    motion. Memory does not grow with the video's length, unlike that of SAM 2's own tracker.
    """

    def __init__(self, name: str, box: Box, device: str) -> None:
        self._box = box
        what = f"cannot load a network that is told where to look from {name}"
        advice = "name one such as facebook/sam2.1-hiera-tiny, or use box:X,Y,W,H alone"
        with explained(StyleError, what, advice):
            network = AutoModelForMaskGeneration.from_pretrained(name, use_safetensors=True)
            self._processor: Any = AutoProcessor.from_pretrained(name)
        self._network: Any = network.to(device).eval()

    def __call__(self, picture: Picture, before: MattedFrame | None, index: int, time: Fraction = Fraction(0)) -> Matte:
        if before is None:
            corners: tuple[int, int, int, int] | None = self._box.corners(picture)
        else:
            corners = box_around(warp(before[1], optical_flow(picture, before[0])))
        if corners is None:  # the subject has left the picture
            return np.zeros(picture.shape[:2], np.float32)
        inputs = self._processor(images=Image.fromarray(picture), input_boxes=[[list(corners)]], return_tensors="pt")
        inputs = inputs.to(self._network.device)
        with torch.inference_mode():
            masks = self._network(**inputs, multimask_output=False).pred_masks
        sizes = [inputs[key].cpu() for key in ("original_sizes", "reshaped_input_sizes") if key in inputs]
        cut_outs = self._processor.post_process_masks(masks.cpu(), *sizes)[0]
        return np.asarray(cut_outs.reshape(-1, *picture.shape[:2])[0].numpy(), np.float32)


def box_around(matte: Matte) -> tuple[int, int, int, int] | None:
    """Returns the left, upper, right and lower side of the subject with a margin; `None` if there is no subject."""
    rows, columns = (np.nonzero((matte > SUBJECT).any(axis))[0] for axis in (1, 0))
    if not len(rows):
        return None
    height, width = matte.shape
    wide, high = (round(MARGIN * (side[-1] - side[0] + 1)) for side in (columns, rows))
    return (
        max(0, int(columns[0]) - wide), max(0, int(rows[0]) - high),
        min(width, int(columns[-1]) + 1 + wide), min(height, int(rows[-1]) + 1 + high),
    )  # fmt: skip
