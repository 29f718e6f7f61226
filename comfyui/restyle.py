"""The nodes that load a model and restyle frames with it."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from PIL import Image

from stylize import Style, StyleError, Stylizer, load_stylizer
from stylize.frames import Map, Picture, resize
from stylize.masks.masking import Masking
from stylize.models import POCKET, known_models
from stylize.motion.painted import carry_paintings
from stylize.pipeline import State
from stylize.runs.painted import check_painting

from .images import CATEGORY, Progress, to_clips, to_image, to_picture
from .paintings import Painting

NONE = "none"


def list_files(folder: str) -> list[str]:
    """Returns the names of the files of one of ComfyUI's model folders."""
    import folder_paths

    return list(folder_paths.get_filename_list(folder))


def find_file(folder: str, name: str) -> str:
    """Returns the path of a file of one of ComfyUI's model folders."""
    import folder_paths

    return str(folder_paths.get_full_path(folder, name))


class StylizeLoad:
    """Loads a model: the built-in one, one with a name, or one of ComfyUI's checkpoints."""

    CATEGORY = CATEGORY
    FUNCTION = "load"
    RETURN_TYPES = ("STYLIZER",)
    RETURN_NAMES = ("stylizer",)
    OUTPUT_TOOLTIPS = ("For Restyle Frames and for depth maps.",)
    DESCRIPTION = "Loads a model that restyles videos. 'pocket' is built in and needs no download and no GPU."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict[str, Any]]:
        """Describes the inputs, as ComfyUI asks for them."""
        models = [POCKET, *(name for name in known_models() if name != POCKET), *list_files("checkpoints")]
        return {
            "required": {
                "model": (
                    models,
                    {
                        "default": POCKET,
                        "tooltip": "pocket: built in. Other names and SD 1.5, 2.1 and SDXL checkpoints: a GPU.",
                    },
                ),
            },
            "optional": {
                "lora": ([NONE, *list_files("loras")], {"default": NONE, "tooltip": "A LoRA of the model's family."}),
                "lora_weight": ("FLOAT", {"default": 1.0, "min": -2.0, "max": 2.0, "step": 0.05}),
                "vae": (
                    [NONE, "taesd", *list_files("vae")],
                    {"default": NONE, "tooltip": "In place of the model's own; taesd is small and quick."},
                ),
                "path": (
                    "STRING",
                    {
                        "default": "",
                        "tooltip": "Instead of the model above: a folder, a file, or a hub id (owner/name).",
                    },
                ),
                "offline": ("BOOLEAN", {"default": True, "tooltip": "Never download what is missing."}),
            },
        }

    def load(
        self,
        model: str,
        lora: str = NONE,
        lora_weight: float = 1.0,
        vae: str = NONE,
        path: str = "",
        offline: bool = True,
    ) -> tuple[Stylizer]:
        """Loads the model; ComfyUI's own make room on a GPU first."""
        if torch.cuda.is_available():
            import comfy.model_management

            comfy.model_management.unload_all_models()
        checkpoint = path.strip() or (model if model in known_models() else find_file("checkpoints", model))
        loras: Mapping[str | Path, float] | None = None if lora == NONE else {find_file("loras", lora): lora_weight}
        chosen = {NONE: None, "taesd": "taesd"}[vae] if vae in (NONE, "taesd") else find_file("vae", vae)
        with torch.inference_mode(False):  # weights are to be usable outside of this run, too
            return (load_stylizer(checkpoint, loras=loras, vae=chosen, offline=offline),)


class Done(NamedTuple):
    """What a batch leaves to the next one of the same video."""

    frames: int
    """Frames done so far."""
    state: State


class StylizeRestyle:
    """Restyles a batch of frames, or goes on with the next batch of the same video."""

    CATEGORY = CATEGORY
    FUNCTION = "restyle"
    RETURN_TYPES = ("IMAGE", "STYLIZE_STATE")
    RETURN_NAMES = ("images", "state")
    OUTPUT_TOOLTIPS = ("As many frames, of the same size.", "For the next batch of the same video.")
    DESCRIPTION = (
        "Gives frames a new look while their motion and forms stay. Frames hold on to those before them: connect the "
        "batch manager of the video loader, or state to state, and a long video is one video in any number of batches."
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict[str, Any]]:
        """Describes the inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "stylizer": ("STYLIZER", {"tooltip": "Of Load Stylizer."}),
                "images": ("IMAGE", {"tooltip": "Consecutive frames of a video."}),
                "prompt": _text("oil painting", "The look. It may change over time: 0s: ink; 4s: oil painting"),
                "strength": _number(0.0, 1, "How far from the source; 0 takes the model's own."),
                "structure": _number(1.0, 1, "How tightly forms are held."),
                "temporal": _number(1.0, 1, "Hold on to earlier frames: 0 not at all, 1 fully."),
                "mode": (["full", "fast"], {"tooltip": "full: every frame is diffused; fast: keyframes, filled in."}),
                "seed": _whole(2**53 - 1, "Same seed, same result."),
                "fps": _number(24.0, 1000, "Frames a second, for prompts over time.", least=0.01, step=0.01),
            },
            "optional": {
                "style_weight": _number(1.0, 1.5, "How much of the prompt's look (built-in model)."),
                "negative_prompt": _text("", "Needs a guidance scale above 1."),
                "guidance_scale": _number(0.0, 50, "0: the model's.", step=0.1),
                "steps": _whole(1000, "0: the model's."),
                "fit": _whole(8192, "Longer side at which the networks work; 0: the frames'."),
                "reference": ("IMAGE", {"tooltip": "A picture whose look is taken; the first of the batch."}),
                "reference_weight": _number(1.0, 1.5, "How much of the reference."),
                "mask": ("MASK", {"tooltip": "Only here is restyled: one for all frames, or one a frame."}),
                "paintings": ("STYLIZE_PAINTINGS", {"tooltip": "Of Painted Keyframes; the whole video in one batch."}),
                "state": ("STYLIZE_STATE", {"tooltip": "Of the batch before of the same video."}),
                "meta_batch": ("VHS_BatchManager", {"tooltip": "The video loader's: batches go on from one another."}),
            },
            "hidden": {"unique_id": "UNIQUE_ID"},
        }

    def restyle(
        self,
        stylizer: Stylizer,
        images: torch.Tensor,
        fps: float,
        mask: torch.Tensor | None = None,
        reference: torch.Tensor | None = None,
        paintings: Sequence[Painting] = (),
        state: Done | None = None,
        meta_batch: Any = None,
        unique_id: str | None = None,
        **settings: Any,
    ) -> tuple[torch.Tensor, Done]:
        """Restyles the batch.

        Args:
            images: `[B, H, W, C]` in [0, 1].
            settings: the node's other inputs.

        Raises:
            StylizeError: a setting does not fit the model, or a painting does not show its frame.
        """
        before = state or BATCHES.load(meta_batch, unique_id)
        if paintings and (before.frames or meta_batch is not None):
            raise StyleError("painted keyframes are carried both ways", "give the whole video in one batch")
        result, progress = torch.empty((*images.shape[:3], 3)), Progress(len(images))
        size, left = (images.shape[2], images.shape[1]), before
        with tempfile.TemporaryDirectory(prefix="stylize-") as folder:
            style = make_style(settings, reference, paintings, stylizer, Path(folder))
            networks_size = style.fit_to(size)
            clips = to_clips(images, fps, before.frames)
            clips = (dataclasses.replace(c, frames=resize(c.frames[0], networks_size)[None]) for c in clips)
            if paintings:
                clips = carry_paintings(clips, fit_paintings(paintings, images, fps, networks_size))
            masking = None if mask is None else make_masking(mask, before.frames)
            # closed where the user cancels, so that its threads end at once
            restyled: Any = stylizer.stream_on(clips, style, before.state, masking)
            with contextlib.closing(restyled):
                for clip, state_after in restyled:
                    for picture in clip.frames:
                        result[left.frames - before.frames] = to_image(resize(picture, size))
                        left = Done(left.frames + 1, state_after)
                        progress.step(picture)
        BATCHES.keep(meta_batch, unique_id, left)
        return result, left


def _number(
    default: float, most: float, tooltip: str, *, least: float = 0.0, step: float = 0.05
) -> tuple[str, dict[str, Any]]:
    return "FLOAT", {"default": default, "min": least, "max": float(most), "step": step, "tooltip": tooltip}


def _whole(most: int, tooltip: str) -> tuple[str, dict[str, Any]]:
    return "INT", {"default": 0, "min": 0, "max": most, "tooltip": tooltip}


def _text(default: str, tooltip: str) -> tuple[str, dict[str, Any]]:
    return "STRING", {"default": default, "multiline": True, "tooltip": tooltip}


class Batches:
    """What batches leave to the next ones, by the video loader's batch manager and node.

    The manager has no place of its own for it. When a video begins, it makes its table of open inputs anew: by that
    table a video is known.
    """

    def __init__(self) -> None:
        self._kept: WeakKeyDictionary[Any, dict[str, tuple[Any, Done]]] = WeakKeyDictionary()

    def load(self, manager: Any, node: str | None) -> Done:
        """Returns what the batch before left; nothing at the beginning of a video."""
        if manager is not None and (kept := self._kept.get(manager, {}).get(node or "")) is not None:
            inputs, left = kept
            if inputs is manager.inputs:
                return left
        return Done(0, State())

    def keep(self, manager: Any, node: str | None, left: Done) -> None:
        """Keeps what a batch leaves, unless it was the last one."""
        if manager is None:
            return
        kept = self._kept.setdefault(manager, {})
        kept.pop(node or "", None)
        if not manager.has_closed_inputs:
            kept[node or ""] = manager.inputs, left


BATCHES = Batches()


def make_style(
    settings: Mapping[str, Any],
    reference: torch.Tensor | None,
    paintings: Sequence[Painting],
    stylizer: Stylizer,
    folder: Path,
) -> Style:
    """Returns the style that the node's inputs ask for; numbers that are 0 are left to the model.

    Args:
        folder: gets the reference as a file.
    """
    values = dict(settings)
    for name in ("strength", "guidance_scale", "steps", "fit"):
        values[name] = values.get(name) or None
    picture = None if reference is None else to_picture(reference[0])
    if picture is None and paintings and stylizer.networks.reads_pictures:
        picture = paintings[0].picture  # it fills in what no painting shows
    if picture is not None:
        values["reference"] = folder / "reference.png"
        Image.fromarray(picture).save(values["reference"])
    if paintings:  # which ones is not asked here, only that there are some: then nothing is graded
        values["keyframes"] = {Fraction(number): folder / f"painting-{number}.png" for number, _ in paintings}
    return Style(**values)


def make_masking(mask: torch.Tensor, first: int) -> Masking:
    """Returns the masking of a mask for all frames, `[H, W]` or `[1, H, W]`, or of one for each of the batch."""
    mattes = mask[None] if mask.ndim == 2 else mask
    maps: Map = mattes.detach().cpu().float().clamp(0, 1).numpy()

    def give(picture: Picture, before: Any, index: int, time: Any = 0) -> Map:
        if 1 < len(maps) <= index - first:
            raise StyleError(f"there are {len(maps)} masks for more frames", "give one for all, or one a frame")
        matte = maps[min(index - first, len(maps) - 1)]
        return resize(matte, (picture.shape[1], picture.shape[0]))  # type: ignore[return-value]

    return Masking(give, steadied=False)


def fit_paintings(
    paintings: Sequence[Painting], images: torch.Tensor, fps: float, size: tuple[int, int]
) -> list[tuple[Any, Picture]]:
    """Returns the paintings with the times of their frames, at the networks' size.

    Raises:
        StyleError: one has another shape than its frame, shows something else, or has no frame.
    """
    fitted = []
    for number, picture in sorted(paintings):
        if number >= len(images):
            raise StyleError(f"frame {number} is painted, but there are {len(images)}", "count from 0")
        check_painting(f"the painting of frame {number}", picture, to_picture(images[number]))
        (clip,) = to_clips(images[number : number + 1], fps, number)
        fitted.append((clip.times[0], resize(picture, size)))
    return fitted
