"""Give a video a new look while its motion and forms stay.

    import stylize
    stylize.stylize_video("in.mp4", "out.mp4", prompt="ukiyo-e woodblock print")

Importing this package does nothing and is quick: each name is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stylize.decode import VideoInfo, VideoReader
    from stylize.encode import VideoWriter
    from stylize.errors import DamagedVideo, ModelError, StyleError, StylizeError, VideoError
    from stylize.frames import Clip
    from stylize.metrics import Measurement
    from stylize.runs import Report
    from stylize.runs.measuring import measure
    from stylize.runs.preview import Preview, make_preview
    from stylize.runs.stylizer import Stylizer, load_stylizer, stylize_video
    from stylize.structure import stroke_field
    from stylize.style import Control, Style, Temporal

__version__ = "0.1.0"

__all__ = [
    "Clip",
    "Control",
    "DamagedVideo",
    "Measurement",
    "ModelError",
    "Preview",
    "Report",
    "Style",
    "StyleError",
    "StylizeError",
    "Stylizer",
    "Temporal",
    "VideoError",
    "VideoInfo",
    "VideoReader",
    "VideoWriter",
    "__version__",
    "load_stylizer",
    "make_preview",
    "measure",
    "stroke_field",
    "stylize_video",
]

_HOMES = {
    "decode": ("VideoInfo", "VideoReader"),
    "encode": ("VideoWriter",),
    "errors": ("DamagedVideo", "ModelError", "StyleError", "StylizeError", "VideoError"),
    "frames": ("Clip",),
    "metrics": ("Measurement",),
    "runs": ("Report",),
    "runs.measuring": ("measure",),
    "runs.preview": ("Preview", "make_preview"),
    "runs.stylizer": ("Stylizer", "load_stylizer", "stylize_video"),
    "structure": ("stroke_field",),
    "style": ("Control", "Style", "Temporal"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'stylize' has no attribute '{name}'")
    return getattr(importlib.import_module(f"stylize.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
