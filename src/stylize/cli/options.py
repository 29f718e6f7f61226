"""The options that say how a video shall look, written once for all commands that have them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from stylize.errors import StyleError
from stylize.models import POCKET
from stylize.style.style import FootageKind, Large, Layout, Mode, Part

Prompt = Annotated[str, typer.Option(help="The look in words, such as 'ukiyo-e woodblock print'.")]
NegativePrompt = Annotated[str, typer.Option(help="What to stay away from; needs --guidance above 1.")]
Reference = Annotated[Path | None, typer.Option(help="A picture whose look the video shall have.")]
ReferenceWeight = Annotated[float, typer.Option(help="How much of it: 0 nothing, 1 all, up to 1.5.")]
Model = Annotated[str, typer.Option(help="A name of `stylize models`, a folder, a .safetensors file, a hub id.")]
StyleWeight = Annotated[float, typer.Option(help="How much of the prompt's look: 0 nothing, 1 all, up to 1.5.")]
Footage = Annotated[FootageKind, typer.Option(help="What the source is; of a storyboard depth leads.")]
Structure = Annotated[
    float | None, typer.Option(help="How tightly forms are held: 1 as they are, 0 hardly [default: by --footage].")
]
DepthFrom = Annotated[
    Path | None, typer.Option(help="Depth of every frame: a folder or 'pattern*.exr', also PNG; a video.")
]
DepthLarge = Annotated[Large | None, typer.Option(help="What large numbers in it mean [default: far in EXR].")]
Strength = Annotated[float | None, typer.Option(help="How far from the source, above 0, up to 1.")]
How = Annotated[Mode, typer.Option("--mode", help="full: diffuse every frame; fast: keyframes, filled in between.")]
TemporalWeight = Annotated[float, typer.Option("--temporal", help="Hold on to earlier frames: 0 not at all, 1 fully.")]
Control = Annotated[
    list[str] | None, typer.Option(help="NAME:WEIGHT or NAME:WEIGHT@FROM-TO, repeatable [default: all it has].")
]
ControlNet = Annotated[list[str] | None, typer.Option(help="NAME=FOLDER or hub id, repeatable: lineart=lllyasviel/...")]
Lora = Annotated[list[str] | None, typer.Option(help="FILE:WEIGHT of a LoRA, repeatable.")]
IpAdapter = Annotated[str | None, typer.Option(help="IP-Adapter file, so that the model reads --reference.")]
TextualInversion = Annotated[list[str] | None, typer.Option(help="File whose name becomes a word, repeatable.")]
Vae = Annotated[str | None, typer.Option(help="VAE in place of the model's own, such as madebyollin/taesd.")]
DepthModel = Annotated[str | None, typer.Option(help="Depth network of transformers in place of MiDaS.")]
GuidanceRescale = Annotated[float, typer.Option(help="Bring guidance's contrast back, 0 to 1.")]
ClipSkip = Annotated[int, typer.Option(help="Last layers of the text encoder to leave out.")]
Mask = Annotated[Path | None, typer.Option(help="Matte of the subject: a still, a video, a folder of pictures.")]
MaskFrom = Annotated[str, typer.Option(help="Make it: motion, box:X,Y,W,H, MODEL#LABEL, MODEL#box:X,Y,W,H.")]
MaskPart = Annotated[Part, typer.Option(help="Restyle the subject, or the background.")]
MaskFeather = Annotated[float, typer.Option(help="Softness of the matte's border, in pixels.")]
Memory = Annotated[Layout | None, typer.Option(help="whole, tiled or offloaded [default: what fits].")]
Batch = Annotated[
    int | None, typer.Option(help="Frames denoised together, at most as many as steps [default: 4 if they fit].")
]
Offline = Annotated[bool, typer.Option("--offline", help="Never ask the hub.")]
Guidance = Annotated[float | None, typer.Option(help="Classifier-free guidance scale; 1 is off.")]
Steps = Annotated[int | None, typer.Option(help="Denoising steps [default: the model's own].")]
Seed = Annotated[int, typer.Option(help="Same seed, same result.")]
Size = Annotated[str | None, typer.Option(help="WxH of the result [default: the source's].")]
Fit = Annotated[int | None, typer.Option(help="Longer side for the networks [default: the result's].")]
Start = Annotated[float | None, typer.Option(help="First second to restyle.")]
End = Annotated[float | None, typer.Option(help="Second to stop at.")]
Fps = Annotated[str | None, typer.Option(help="Pictures a second, for pictures: 24 or 30000/1001.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, mps ... [default: the best one here].")]
Force = Annotated[bool, typer.Option("--force", help="Replace an existing output.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")]
StyleFile = Annotated[
    Path | None, typer.Option("--style", help="TOML with any of these options; those given here win.")
]
Like = Annotated[Path | None, typer.Option(help="A result, whose settings are taken over.")]

SHARED: dict[str, tuple[Any, Any]] = {
    "prompt": (Prompt, ""), "negative_prompt": (NegativePrompt, ""), "reference": (Reference, None),
    "reference_weight": (ReferenceWeight, 1.0), "style_weight": (StyleWeight, 1.0), "model": (Model, POCKET),
    "footage": (Footage, "video"), "strength": (Strength, None), "structure": (Structure, None),
    "mode": (How, "full"), "temporal": (TemporalWeight, 1.0), "control": (Control, None),
    "controlnet": (ControlNet, None), "lora": (Lora, None), "ip_adapter": (IpAdapter, None),
    "textual_inversion": (TextualInversion, None), "vae": (Vae, None), "depth_model": (DepthModel, None),
    "depth_from": (DepthFrom, None), "depth_large": (DepthLarge, None),
    "mask": (Mask, None), "mask_from": (MaskFrom, ""), "mask_part": (MaskPart, "subject"),
    "mask_feather": (MaskFeather, 3.0), "guidance": (Guidance, None), "guidance_rescale": (GuidanceRescale, 0.0),
    "clip_skip": (ClipSkip, 0),
    "steps": (Steps, None), "seed": (Seed, 0), "size": (Size, None), "fit": (Fit, None), "start": (Start, None),
    "end": (End, None), "fps": (Fps, None), "style_file": (StyleFile, None), "like": (Like, None),
    "device": (Device, None), "memory": (Memory, None), "batch": (Batch, None), "offline": (Offline, False),
    "force": (Force, False), "quiet": (Quiet, False),
}  # fmt: skip
"""Types and defaults by name, in the order of the help."""
HERE = (
    "style_file", "like", "depth_from", "depth_large", "start", "end", "device", "memory", "batch", "offline", "force",
    "quiet",
)  # fmt: skip
"""What belongs to one call, not to a look: a result does not carry it."""


def with_shared(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the shared options; it gets the values of all options by name as `given`."""
    own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != "given"]
    keyword = inspect.Parameter.KEYWORD_ONLY
    shared = [inspect.Parameter(n, keyword, default=d, annotation=kind) for n, (kind, d) in SHARED.items()]
    context = inspect.Parameter("context", keyword, annotation=typer.Context)

    def full(**values: Any) -> None:
        found: typer.Context = values.pop("context")
        command(**{p.name: values[p.name] for p in own}, given=Given(found, values))

    full.__name__, full.__doc__ = command.__name__, command.__doc__
    parameters = [*(p.replace(kind=keyword) for p in own), *shared, context]
    full.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    full.__annotations__ = {p.name: p.annotation for p in parameters}
    return full


class Given:
    """The values of a command's options, with those of files read in where none is given on the command line."""

    def __init__(self, context: typer.Context, values: Mapping[str, Any]) -> None:
        self._context, self._values = context, dict(values)

    def read(self) -> dict[str, Any]:
        """All of them; those given win over the style file's, those over the ones of `--like`.

        Raises:
            StylizeError: a file cannot be read, or has an option or a value that is none.
        """
        from stylize.style.settings import read_settings, read_style_file

        values, parameters = dict(self._values), {p.name: p for p in self._context.command.params}
        known = [name for name in parameters if name in SHARED and name not in ("style_file", "like")]
        found: dict[str, Any] = {}
        if values["like"] is not None:
            found |= read_settings(values["like"], [name for name in known if name not in HERE])
        if values["style_file"] is not None:
            found |= read_style_file(values["style_file"], known)
        for name, value in found.items():
            source = self._context.get_parameter_source(name)
            if source is not None and source.name == "DEFAULT":
                try:
                    values[name] = parameters[name].process_value(self._context, value)
                except typer.BadParameter as error:
                    where = values["style_file"] or values["like"]
                    raise StyleError(f"{where}: {name} = {value!r} has no meaning", error.message) from error
        return values
