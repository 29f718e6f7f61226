"""The calls that most programs need."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stylize.registry import POCKET, POCKET_FOLDER
from stylize.style import Layout, Style

if TYPE_CHECKING:
    import torch

    from stylize.metrics import Measurement
    from stylize.pipeline import Report, Stylizer


def load_stylizer(
    model: str | Path = POCKET,
    *,
    device: str | None = None,
    dtype: torch.dtype | None = None,
    controlnets: Mapping[str, str | Path] | None = None,
    controls: Sequence[str] = (),
    loras: Mapping[str | Path, float] | None = None,
    ip_adapter: str | Path | None = None,
    textual_inversions: Sequence[str | Path] = (),
    vae: str | Path | None = None,
    depth: str | Path | None = None,
    memory: Layout | None = None,
    batch: int | None = None,
    offline: bool = False,
    say: Callable[[str], None] | None = None,
) -> Stylizer:
    """Loads a model once, to restyle any number of videos.

    What is named beside the model is a path, a hub id, or a hub id with a file: `owner/repository/file.safetensors`.

    Args:
        model: "pocket" (built in), another name of `stylize models`, a folder in diffusers format, a .safetensors
            checkpoint of SD 1.5, SD 2.1 or SDXL, or a hub id.
        device: "cpu", "cuda", "mps", ...; the best one here when `None`.
        dtype: of the networks; what the device does well when `None`.
        controlnets: ControlNets by control name ("depth", "canny", "lineart", ...), in place of the model's own.
        controls: names of the controls that will be asked for: only their ControlNets are loaded then, and those that
            the model lacks ("lineart", "openpose", ...) are the family's published ones.
        loras: LoRAs with their weights, such as `{"ink.safetensors": 0.8}`.
        ip_adapter: an IP-Adapter, which lets a Stable Diffusion model read reference pictures.
        textual_inversions: each is a word of the prompt, the one that its file is named by.
        vae: in place of the model's own; also TAESD.
        depth: a depth network of transformers (Depth Anything V2) in place of MiDaS.
        memory: how the networks are laid out; what fits is chosen when `None`.
        batch: frames that are denoised together, 1 to 32 and at most as many as there are steps; up to 4 if they
            fit when `None`.
        offline: never ask the hub, whatever is missing.
        say: gets a line before each download, with its size.

    Raises:
        ModelError: the model or one of the others cannot be found or loaded, or does not fit the model's family.
        StyleError: `batch` is out of range.
    """
    from stylize.hardware import check_batch
    from stylize.models import load_networks
    from stylize.pipeline import Stylizer
    from stylize.sources import Extras

    check_batch(batch)
    extras = Extras(controlnets, controls, loras or {}, ip_adapter, textual_inversions, vae, depth)
    networks = load_networks(model, device=device, dtype=dtype, extras=extras, offline=offline, say=say)
    return Stylizer(networks, memory, batch)


def stylize_video(
    source: str | PathLike[str],
    output: str | PathLike[str],
    *,
    prompt: str = "",
    model: str | Path = POCKET,
    force: bool = False,
    **style: Any,
) -> Report:
    """Restyles one video file: `stylize_video("in.mp4", "out.mp4", prompt="ink drawing")`.

    Args:
        style: any further field of `Style`, such as `strength=0.6` or `seed=7`.

    Raises:
        StylizeError: anything expected that went wrong, in one line; the output is then not there.
    """
    wish = Style(prompt=prompt, **style)
    return load_stylizer(model).convert(source, output, wish, force=force)


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

    from stylize.errors import StyleError, VideoError
    from stylize.metrics import Meter
    from stylize.report import Page, check_page
    from stylize.video import VideoReader

    if prompt is not None and clip is None:
        raise StyleError(
            "comparing with a prompt needs CLIP", "name its weights, such as openai/clip-vit-large-patch14"
        )
    page = Page(check_page(report)) if report is not None else None
    similarity, estimate = None, None
    if clip is not None:
        from stylize.similarity import ClipSimilarity

        similarity = ClipSimilarity(clip, prompt)
    if depth:
        import torch

        from stylize.estimators import PocketDepth

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
