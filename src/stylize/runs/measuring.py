"""TODO"""

from __future__ import annotations

import itertools
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from stylize.models.registry import POCKET_FOLDER

if TYPE_CHECKING:
    from stylize.metrics import Measurement


def measure(
    source: str | PathLike[str],
    styled: str | PathLike[str],
    *,
    depth: bool = False,
    clip: str | PathLike[str] | None = None,
    prompt: str | None = None,
    report: str | PathLike[str] | None = None,
) -> Measurement:
    """How steady a restyled video is, how much of its source it kept, and how far it was restyled.

    Args:
        depth: also compare near and far, with the built-in depth network.
        clip: folder or hub id of CLIP weights; adds `frame_consistency` and, with a prompt, `prompt_consistency`.
        report: write one self-contained HTML page with curves, the worst pairs of frames and this table.

    Raises:
        StylizeError: a video cannot be read, they differ in length, or the weights cannot be loaded.
    """
    from contextlib import ExitStack

    from stylize.decode import VideoReader
    from stylize.errors import StyleError, VideoError
    from stylize.metrics import Meter
    from stylize.metrics.report import Page, check_page

    if prompt is not None and clip is None:
        raise StyleError(
            "comparing with a prompt needs CLIP", "name its weights, such as openai/clip-vit-large-patch14"
        )
    page = Page(check_page(report)) if report is not None else None
    similarity, estimate = None, None
    if clip is not None:
        from stylize.metrics.similarity import ClipSimilarity

        similarity = ClipSimilarity(clip, prompt)
    if depth:
        import torch

        from stylize.structure.depth import PocketDepth

        estimate = PocketDepth(POCKET_FOLDER / "depth", torch.device("cpu"))
    meter = Meter(depth=estimate, similarity=similarity)
    with ExitStack() as stack:
        readers = [stack.enter_context(VideoReader(path)) for path in (source, styled)]
        streams = [(frame for clip in reader.clips() for frame in clip.frames) for reader in readers]
        for one, other in itertools.zip_longest(*streams):
            if one is None or other is None:
                raise VideoError(f"{source} and {styled} differ in length", "compare whole videos, frame for frame")
            figures = meter.add(one, other)
            if page is not None:
                page.add(one, other, figures)
    result = meter.result()
    if page is not None:
        page.write(result, f"{Path(source).name} → {Path(styled).name}")
    return result
