"""What a run needs to go on after a frame as if it had never stopped: its memory and its cut detector, as bytes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from stylize.errors import VideoError
from stylize.frames import Picture
from stylize.masks import Matte
from stylize.motion import CutDetector
from stylize.motion.fusion import Seen
from stylize.networks.attention import FrameCache
from stylize.restyle import Memory
from stylize.structure import DepthRange

CACHES = ("style_anchor", "anchor", "previous")


@dataclass(frozen=True)
class State:
    """The past of a run after one of its frames."""

    memory: Memory
    detector: CutDetector
    matte: tuple[Picture, Matte] | None = None
    """The last frame and its matte, where only a part is restyled."""

    def to_bytes(self) -> bytes:
        """As one safetensors file; its metadata hold the numbers."""
        tensors: dict[str, torch.Tensor] = {}
        for name in CACHES:
            for step, layers in enumerate(getattr(self.memory, name)):
                for layer, pair in layers.items():
                    for part, tensor in zip("kv", pair, strict=True):
                        tensors[f"{name}/{step}/{layer}/{part}"] = tensor.detach().cpu().contiguous().clone()
        if self.memory.last is not None:
            tensors["last/source"] = torch.from_numpy(self.memory.last.source.copy())
            tensors["last/styled"] = torch.from_numpy(self.memory.last.styled.copy())
        if self.matte is not None:
            tensors["matte/picture"], tensors["matte/matte"] = (torch.from_numpy(x.copy()) for x in self.matte)
        for name, array in self.detector.arrays().items():
            tensors[f"detector/{name}"] = torch.from_numpy(array.copy())
        depth = self.memory.depth_range
        numbers = {
            "shot": self.memory.shot, "frames_in_shot": self.memory.frames_in_shot, "usual": self.detector.usual,
            "depth_range": None if depth is None else asdict(depth),
        }  # fmt: skip
        return save(tensors, metadata={"state": json.dumps(numbers)})

    @classmethod
    def from_bytes(cls, content: bytes, device: torch.device) -> State:
        """What `to_bytes` wrote, with the tensors on the networks' device.

        Raises:
            VideoError: it is broken.
        """
        try:
            # copies lie aligned in memory, as tensors that were computed do; on others kernels may round otherwise
            tensors = {name: tensor.clone() for name, tensor in load(content).items()}
            length = int.from_bytes(content[:8], "little")
            numbers: dict[str, Any] = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["state"])
            caches = {name: _cache(name, tensors, device) for name in CACHES}
            depth = numbers["depth_range"]
            last = None
            if "last/source" in tensors:
                last = Seen(tensors["last/source"].numpy(), tensors["last/styled"].numpy())
            memory = Memory(
                **caches, last=last, depth_range=None if depth is None else DepthRange(**depth), shot=numbers["shot"],
                frames_in_shot=numbers["frames_in_shot"],
            )  # fmt: skip
            arrays = {k.removeprefix("detector/"): v.numpy() for k, v in tensors.items() if k.startswith("detector/")}
            matte = None
            if "matte/matte" in tensors:
                matte = tensors["matte/picture"].numpy(), tensors["matte/matte"].numpy()
            return cls(memory, CutDetector.of(arrays, numbers["usual"]), matte)
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            raise VideoError("the state of the unfinished run is broken", "pass --force to begin again") from error


def _cache(name: str, tensors: dict[str, torch.Tensor], device: torch.device) -> FrameCache:
    steps: list[dict[str, tuple[torch.Tensor, torch.Tensor]]] = []
    for key in (k for k in tensors if k.startswith(f"{name}/") and k.endswith("/k")):
        _, step, layer, _ = key.split("/")
        while len(steps) <= int(step):
            steps.append({})
        steps[int(step)][layer] = (tensors[key].to(device), tensors[key[:-1] + "v"].to(device))
    return tuple(steps)
