"""The named models as plain data: listing them imports no network library."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import platformdirs

from stylize.errors import ModelError
from stylize.models.hub import is_on_disk

POCKET = "pocket"
POCKET_FOLDER = Path(__file__).parents[1] / POCKET


@dataclass(frozen=True)
class ModelCard:
    """One named model."""

    name: str
    base: str
    """Hub id or path; "built in" for the built-in model."""
    licence: str
    size_mb: int
    """Megabytes on disk, with its ControlNets and depth estimator."""
    purpose: str
    controlnets: Mapping[str, str] = field(default_factory=dict)
    """By control name. Hub ids or paths, as in the following fields."""
    loras: Mapping[str, float] = field(default_factory=dict)
    """LoRAs with their weights."""
    ip_adapter: str = ""
    vae: str = ""
    motion_adapter: str = ""
    family: str = ""
    folder: Path | None = None
    """The model's folder, if it comes with the package; `None` otherwise."""

    @property
    def looks(self) -> tuple[str, ...]:
        """Names of the looks that the model knows; empty if it is a general model or not on disk."""
        return self._read_names("looks")

    @property
    def tones(self) -> tuple[str, ...]:
        """Names of the palettes, lights, seasons and times of day that the model knows; empty in the same cases."""
        return self._read_names("tones")

    def facts(self) -> dict[str, Any]:
        """Returns the facts that a listing shows, as JSON data."""
        plain = ("name", "base", "family", "licence", "size_mb", "on_disk", "purpose", "looks", "tones")
        return {name: getattr(self, name) for name in plain} | {"beside": [*self.controlnets, *self.loras]}

    def _read_names(self, key: str) -> tuple[str, ...]:
        settings = self.folder / "stylize.json" if self.folder is not None else None
        if settings is None or not settings.is_file():
            return ()
        return tuple(json.loads(settings.read_text(encoding="utf-8")).get(key, ()))

    @property
    def on_disk(self) -> bool:
        """True if the model runs without a download."""
        if self.folder is not None:
            return (self.folder / "model_index.json").is_file()
        parts = (self.base, *self.controlnets.values(), *self.loras, self.ip_adapter, self.vae, self.motion_adapter)
        return all(is_on_disk(part) for part in parts if part)


KNOWN_CONTROLNETS: dict[str, dict[str, str]] = {
    "SD 1.5": {
        "depth": "lllyasviel/control_v11f1p_sd15_depth", "canny": "lllyasviel/control_v11p_sd15_canny",
        "softedge": "lllyasviel/control_v11p_sd15_softedge", "scribble": "lllyasviel/control_v11p_sd15_scribble",
        "lineart": "lllyasviel/control_v11p_sd15_lineart",
        "lineart_anime": "lllyasviel/control_v11p_sd15s2_lineart_anime",
        "openpose": "lllyasviel/control_v11p_sd15_openpose", "normal": "lllyasviel/control_v11p_sd15_normalbae",
        "mlsd": "lllyasviel/control_v11p_sd15_mlsd", "tile": "lllyasviel/control_v11f1e_sd15_tile",
        "shuffle": "lllyasviel/control_v11e_sd15_shuffle",
    },
    "SDXL": {
        "depth": "diffusers/controlnet-depth-sdxl-1.0", "canny": "diffusers/controlnet-canny-sdxl-1.0",
        **dict.fromkeys(
            ("openpose", "softedge", "scribble", "lineart", "lineart_anime", "mlsd", "normal"),
            "xinsir/controlnet-union-sdxl-1.0",
        ),
    },
}  # fmt: skip
"""Published ControlNets by family and control."""


KNOWN_VAES: dict[str, dict[str, str]] = {
    "SD 1.5": {"taesd": "madebyollin/taesd"},
    "SD 2.1": {"taesd": "madebyollin/taesd"},
    "SDXL": {"taesd": "madebyollin/taesdxl"},
}
"""Published VAEs by family and name."""


def _depth_and_canny(family: str) -> dict[str, str]:
    return {name: KNOWN_CONTROLNETS[family][name] for name in ("depth", "canny")}


_POCKET = ModelCard(
    name=POCKET,
    base="built in",
    licence="Apache-2.0",
    size_mb=52,
    purpose="33 looks by name, or a reference picture, on a laptop without a GPU, offline",
    family="pocket",
    folder=POCKET_FOLDER,
)
_SD15 = ModelCard(
    name="sd15",
    base="stable-diffusion-v1-5/stable-diffusion-v1-5",
    licence="CreativeML OpenRAIL-M",
    size_mb=7600,
    purpose="any look in words; wants a GPU; downloaded from the hub on first use",
    family="SD 1.5",
    controlnets=_depth_and_canny("SD 1.5"),
)
_SD15_LCM = replace(
    _SD15,
    name="sd15-lcm",
    size_mb=7700,
    purpose="as sd15 in 4 steps instead of 20, without guidance",
    loras={"latent-consistency/lcm-lora-sdv1-5": 1.0},
)
_SDXL = replace(
    _SD15,
    name="sdxl",
    base="stabilityai/stable-diffusion-xl-base-1.0",
    licence="CreativeML OpenRAIL++-M",
    size_mb=24000,
    purpose="any look in words, in 1024 pixels; wants a GPU with 12 GB or more",
    family="SDXL",
    controlnets=_depth_and_canny("SDXL"),
)
_SDXL_LIGHTNING = replace(
    _SDXL,
    name="sdxl-lightning",
    size_mb=24400,
    purpose="as sdxl in 4 steps, without guidance",
    loras={"ByteDance/SDXL-Lightning/sdxl_lightning_4step_lora.safetensors": 1.0},
)
_SD15_INPAINT = replace(
    _SD15,
    name="sd15-inpaint",
    base="stable-diffusion-v1-5/stable-diffusion-inpainting",
    size_mb=4300,
    purpose="paints what lies beyond a frame (stylize expand); wants a GPU",
    controlnets={},
)
_ANIMATEDIFF = replace(
    _SD15,
    name="animatediff",
    size_mb=9300,
    purpose="as sd15, sixteen frames at a time beside one another; wants a GPU with 24 GB",
    motion_adapter="guoyww/animatediff-motion-adapter-v1-5-3",
)
_WAN_VACE = ModelCard(
    name="wan-vace",
    base="Wan-AI/Wan2.1-VACE-1.3B-diffusers",
    licence="Apache-2.0",
    size_mb=19000,
    purpose="a video model: restyles by depth, moves stills, draws from words, fills canvases; wants a GPU with 24 GB",
    family="Wan VACE",
)
MODELS: dict[str, ModelCard] = {
    card.name: card
    for card in (_POCKET, _SD15, _SD15_LCM, _SDXL, _SDXL_LIGHTNING, _SD15_INPAINT, _ANIMATEDIFF, _WAN_VACE)
}
"""The models that come with the package."""


def models_file() -> Path:
    """Returns the path of the user's own list of models: `STYLIZE_MODELS`, else `models.toml` in the user's settings.

    On Linux that is `~/.config/stylize/models.toml`.
    """
    named = os.environ.get("STYLIZE_MODELS")
    return Path(named).expanduser() if named else platformdirs.user_config_path("stylize") / "models.toml"


def known_models() -> dict[str, ModelCard]:
    """Returns the package's models and the user's; if both use a name, the user's model is taken.

    The user's file has a table for each name, with the fields of `ModelCard`, of which only `base` is required:

        [anime]
        base = "~/models/anime.safetensors"
        controlnets = { lineart = "lllyasviel/control_v11p_sd15_lineart" }
        loras = { "~/loras/ink.safetensors" = 0.8 }

    Raises:
        ModelError: the file cannot be read, or has an unknown field.
    """
    path = models_file()
    if not path.is_file():
        return dict(MODELS)
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        blank: dict[str, Any] = {"licence": "its own", "size_mb": 0, "purpose": "yours"}
        user_models = {}
        for name, table in tables.items():
            folder = {"folder": Path(table["folder"]).expanduser()} if "folder" in table else {}
            user_models[name] = ModelCard(**(blank | table | {"name": name} | folder))
    except (OSError, TypeError, ValueError) as error:
        reason = " ".join(str(error).replace("ModelCard.__init__() ", "").split())
        raise ModelError(f"{path}: is not a list of models ({reason})", "give each a table with its base") from error
    return MODELS | user_models
