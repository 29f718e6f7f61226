"""ControlNets behind one call: a network for one control, and ControlNet-Union's for many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from stylize.errors import ModelError
from stylize.networks.devices import memory_format

UNION_TYPES = {
    "openpose": 0, "depth": 1, "softedge": 2, "scribble": 2, "canny": 3, "lineart": 3, "lineart_anime": 3, "mlsd": 3,
    "normal": 4, "segment": 5, "tile": 6,
}  # fmt: skip
"""ControlNet-Union's numbers of the controls (xinsir/controlnet-union-sdxl-1.0); 6 is in its ProMax form only."""


class ControlNet:
    """A diffusers ControlNet whose conditioning embedding is taken out.

    The embedding works at full resolution and is the same at every step, so it is computed once a frame.
    """

    def __init__(self, network: Any) -> None:
        self.network = network
        self._embedding = network.controlnet_cond_embedding
        network.controlnet_cond_embedding = torch.nn.Identity()
        self._flips = network.config.controlnet_conditioning_channel_order == "bgr"

    def to(self, device: torch.device) -> ControlNet:
        """Moves both parts and makes them ready for inference."""
        for part in (self.network, self._embedding):
            part.to(device, memory_format=memory_format(device)).eval().requires_grad_(False)
        return self

    def residuals(
        self,
        latents: torch.Tensor,
        t: torch.Tensor,
        words: torch.Tensor,
        embedded: torch.Tensor,
        weight: float,
        added: Mapping[str, torch.Tensor],
    ) -> tuple[Sequence[torch.Tensor], torch.Tensor]:
        """Computes the residuals for the UNet's skip connections and for its middle block."""
        down, middle = self.network(
            latents,
            t,
            encoder_hidden_states=words,
            conditioning_scale=weight,
            added_cond_kwargs=dict(added) or None,
            return_dict=False,
            **self._map_arguments(embedded),
        )
        return down, middle

    def _map_arguments(self, embedded: torch.Tensor) -> dict[str, Any]:
        """Returns the network's arguments for its embedded maps, `[G * B, C, h, w]`."""
        return {"controlnet_cond": embedded}

    def embed(self, control: torch.Tensor) -> torch.Tensor:
        """Embeds maps `[B, 3, H, W]` in [0, 1] as `[B, C, H / 8, W / 8]`."""
        if self._flips:
            control = control.flip(1)
        embedded: torch.Tensor = self._embedding(control)
        return embedded.flip(1) if self._flips else embedded  # the network flips what it is given, now the embedding


class UnionControlNet(ControlNet):
    """One control of a ControlNet-Union; several share the network, and each is asked by itself.

    Raises:
        ModelError: this network was not made for the control.
    """

    def __init__(self, network: Any, control: str, sharing: UnionControlNet | None = None) -> None:
        count = network.config.num_control_type
        self._type = UNION_TYPES.get(control, count)
        if self._type >= count:
            known = ", ".join(name for name, number in UNION_TYPES.items() if number < count)
            raise ModelError(f"this ControlNet-Union has no control '{control}'", f"it has {known}")
        if sharing is None:
            super().__init__(network)
        else:
            self.network, self._embedding, self._flips = network, sharing._embedding, sharing._flips

    def _map_arguments(self, embedded: torch.Tensor) -> dict[str, Any]:
        types = torch.zeros(len(embedded), self.network.config.num_control_type).to(embedded)
        types[:, self._type] = 1
        return {"controlnet_cond": [embedded], "control_type": types, "control_type_idx": [self._type]}
