"""Turns the state of a run into the bytes of one safetensors file, and back."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from stylize.errors import UnfinishedRun
from stylize.finish import Tones
from stylize.masks import Bars
from stylize.motion import CutDetector, FramePair
from stylize.pipeline import State
from stylize.restyle import Memory
from stylize.restyle.memory import FrameCache
from stylize.structure import DepthRange, StrokeState
from stylize.structure.cells import Cells
from stylize.structure.strokes import Strokes

CACHES = ("style_anchor", "anchor", "previous")
ARRAYS = ("cuts/", "last/", "matte/", "strokes/", "cells/", "tones/")
WINDOW = "window/"
STROKES = ("values", "coordinates", "level", "forms", "direction")
TONES = ("contrasts", "mean", "covariance")
CELLS = ("points", "values", "ids", "labels", "cover")


def to_bytes(state: State) -> bytes:
    """Returns the state as one safetensors file, whose metadata hold the numbers."""
    memory, tensors = state.memory, dict[str, torch.Tensor]()
    for name in CACHES:
        for step, layers in enumerate(getattr(memory, name)):
            for layer, pair in layers.items():
                for part, tensor in zip("kv", pair, strict=True):
                    tensors[f"{name}/{step}/{layer}/{part}"] = tensor.detach().cpu().contiguous().clone()
    tensors |= {f"{WINDOW}{n}": one.detach().cpu().contiguous().clone() for n, one in memory.window.items()}
    arrays: dict[str, Any] = {"cuts/thumbnail": state.cuts.thumbnail, "cuts/histogram": state.cuts.histogram}
    if state.last is not None:
        arrays |= {"last/source": state.last.source, "last/styled": state.last.styled}
    if state.matte is not None:
        arrays |= {"matte/picture": state.matte[0], "matte/matte": state.matte[1]}
    arrays |= {f"tones/{i}/{name}": getattr(one, name) for i, one in enumerate(state.tones) for name in TONES}
    drawn = state.strokes
    if drawn is not None:
        arrays |= {f"strokes/{name}": getattr(drawn.strokes, name) for name in STROKES}
        arrays |= {f"cells/{one.kind}/{name}": getattr(one, name) for one in drawn.cells for name in CELLS}
    tensors |= {name: torch.from_numpy(array.copy()) for name, array in arrays.items() if array is not None}
    numbers = {
        "shot": memory.shot, "frames_in_shot": memory.frames_in_shot, "usual": state.cuts.usual,
        "depth_range": None if state.depth_range is None else asdict(state.depth_range),
        "toned": [tones.weight for tones in state.tones],
        "bars": None if state.bars is None else asdict(state.bars),
        "born": {} if drawn is None else {one.kind: one.born for one in drawn.cells},
    }  # fmt: skip
    return save(tensors, metadata={"state": json.dumps(numbers)})


def from_bytes(content: bytes, device: torch.device) -> State:
    """Restores the state that `to_bytes` wrote, with the tensors of the memory on the networks' device.

    Raises:
        UnfinishedRun: the content is broken.
    """
    try:
        # copies are aligned in memory, as computed tensors are; kernels may round differently on unaligned ones
        tensors = {name: tensor.clone() for name, tensor in load(content).items()}
        length = int.from_bytes(content[:8], "little")
        numbers: dict[str, Any] = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["state"])
        arrays = {name: x.numpy() for name, x in tensors.items() if name.startswith(ARRAYS)}
        window = {n.removeprefix(WINDOW): x.to(device) for n, x in tensors.items() if n.startswith(WINDOW)}
        caches = {name: _restore_cache(name, tensors, device) for name in CACHES}
        depth = numbers["depth_range"]
        last = FramePair(arrays["last/source"], arrays["last/styled"]) if "last/source" in arrays else None
        return State(
            CutDetector(arrays.get("cuts/thumbnail"), arrays.get("cuts/histogram"), numbers["usual"]),
            None if depth is None else DepthRange(**depth),
            Memory(**caches, window=window, shot=numbers["shot"], frames_in_shot=numbers["frames_in_shot"]),
            _restore_strokes(arrays, numbers["born"]),
            last,
            _restore_tones(arrays, numbers["toned"]),
            (arrays["matte/picture"], arrays["matte/matte"]) if "matte/matte" in arrays else None,
            None if numbers["bars"] is None else Bars(**numbers["bars"]),
        )
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise UnfinishedRun("the state of the unfinished run is broken", "pass --force to begin again") from error


def _restore_tones(arrays: dict[str, Any], weights: list[float]) -> tuple[Tones, ...]:
    return tuple(
        Tones(**{name: arrays[f"tones/{i}/{name}"] for name in TONES}, weight=weight)
        for i, weight in enumerate(weights)
    )


def _restore_strokes(arrays: dict[str, Any], born: dict[str, int]) -> StrokeState | None:
    if "strokes/values" not in arrays:
        return None
    strokes = Strokes(**{name: arrays[f"strokes/{name}"] for name in STROKES})
    cells = [
        Cells(kind, born=n, **{name: arrays[f"cells/{kind}/{name}"] for name in CELLS}) for kind, n in born.items()
    ]
    return StrokeState(strokes, tuple(cells))


def _restore_cache(name: str, tensors: dict[str, torch.Tensor], device: torch.device) -> FrameCache:
    steps: list[dict[str, tuple[torch.Tensor, torch.Tensor]]] = []
    for key in (k for k in tensors if k.startswith(f"{name}/") and k.endswith("/k")):
        _, step, layer, _ = key.split("/")
        while len(steps) <= int(step):
            steps.append({})
        steps[int(step)][layer] = (tensors[key].to(device), tensors[key[:-1] + "v"].to(device))
    return tuple(steps)
