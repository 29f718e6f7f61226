"""The two calls that most programs need."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stylize.registry import POCKET
from stylize.style import Style

if TYPE_CHECKING:
    import torch

    from stylize.pipeline import Report, Stylizer


def load_stylizer(
    model: str | Path = POCKET,
    *,
    device: str | None = None,
    dtype: torch.dtype | None = None,
    controlnets: Mapping[str, str | Path] | None = None,
) -> Stylizer:
    """Loads a model once, to restyle any number of videos.

    Args:
        model: "pocket" (built in), another name of `stylize models`, a folder in diffusers format, or a hub id.
        device: "cpu", "cuda", "mps", ...; the best one here when `None`.
        dtype: of the networks; what the device does well when `None`.
        controlnets: ControlNets by control name ("depth", "canny"), in place of the model's own.

    Raises:
        ModelError: the model cannot be found or loaded.
    """
    from stylize.models import load_networks
    from stylize.pipeline import Stylizer

    return Stylizer(load_networks(model, device=device, dtype=dtype, controlnets=controlnets))


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
