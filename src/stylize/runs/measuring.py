"""Measures a restyled video file against its source file."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from stylize.decode import VideoReader
from stylize.encode.atomic import write_atomically
from stylize.encode.outputs import check_place, explain_writing
from stylize.errors import StyleError, VideoError
from stylize.frames import Picture
from stylize.metrics import Measurement, Meter
from stylize.metrics.report import SUFFIXES, Page
from stylize.models.registry import POCKET_FOLDER

if TYPE_CHECKING:
    from stylize.metrics.similarity import ClipSimilarity
    from stylize.structure.depth import PocketDepth


def measure(
    source: str | PathLike[str],
    styled: str | PathLike[str],
    *,
    depth: bool = False,
    clip: str | PathLike[str] | None = None,
    prompt: str | None = None,
    report: str | PathLike[str] | None = None,
) -> Measurement:
    """Measures how steady a restyled video is, how much of its source it kept, and how far it was restyled.

    Args:
        depth: also compare the depth of both videos, estimated by the built-in depth network.
        clip: folder or hub id of CLIP weights; adds `frame_consistency` and, with a prompt, `prompt_consistency`.
        report: HTML file to write, self-contained, with curves, the worst pairs of frames and the table of figures.

    Raises:
        StylizeError: a video cannot be read, the videos differ in length, or the weights cannot be loaded.
    """
    if prompt is not None and clip is None:
        raise StyleError(
            "comparing with a prompt needs CLIP", "name its weights, such as openai/clip-vit-large-patch14"
        )
    report_path = None if report is None else check_place(report, SUFFIXES, force=True)
    meter = Meter(depth=_load_depth() if depth else None, similarity=None if clip is None else _load_clip(clip, prompt))
    page = Page()
    for one, other in _read_frame_pairs(source, styled):
        figures = meter.add(one, other)
        if report_path is not None:
            page.add(one, other, figures)
    result = meter.result()
    if report_path is not None:
        with explain_writing(report_path):
            text = page.render(result, f"{Path(source).name} → {Path(styled).name}")
            write_atomically(report_path, text.encode())
    return result


def _read_frame_pairs(source: str | PathLike[str], styled: str | PathLike[str]) -> Iterator[tuple[Picture, Picture]]:
    with ExitStack() as stack:
        readers = [stack.enter_context(VideoReader(path)) for path in (source, styled)]
        streams = [(frame for clip in reader.clips() for frame in clip.frames) for reader in readers]
        for one, other in itertools.zip_longest(*streams):
            if one is None or other is None:
                raise VideoError(f"{source} and {styled} differ in length", "compare whole videos, frame for frame")
            yield one, other


def _load_depth() -> PocketDepth:
    import torch

    from stylize.structure.depth import PocketDepth

    return PocketDepth(POCKET_FOLDER / "depth", torch.device("cpu"))


def _load_clip(model: str | PathLike[str], prompt: str | None) -> ClipSimilarity:
    from stylize.metrics.similarity import ClipSimilarity

    return ClipSimilarity(model, prompt)
