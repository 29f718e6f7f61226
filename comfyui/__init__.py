"""ComfyUI nodes that restyle frames with stylize; copy or link this folder into `custom_nodes`."""

from __future__ import annotations

from .maps import StylizeMaps
from .measure import StylizeMeasure
from .paintings import StylizePaintedKeyframes
from .restyle import StylizeLoad, StylizeRestyle

NODE_CLASS_MAPPINGS = {
    "StylizeLoad": StylizeLoad,
    "StylizeRestyle": StylizeRestyle,
    "StylizeMaps": StylizeMaps,
    "StylizePaintedKeyframes": StylizePaintedKeyframes,
    "StylizeMeasure": StylizeMeasure,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "StylizeLoad": "Load Stylizer",
    "StylizeRestyle": "Restyle Frames",
    "StylizeMaps": "Stroke, Depth and Edge Maps",
    "StylizePaintedKeyframes": "Painted Keyframes",
    "StylizeMeasure": "Measure Steadiness",
}

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
