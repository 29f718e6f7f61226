"""The options that several commands share, written once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import typer

from stylize.errors import StyleError
from stylize.models import POCKET
from stylize.style import Style
from stylize.style.settings import STYLE_OPTIONS, parse_settings, read_style_file
from stylize.style.values import Layout

Model = Annotated[str, typer.Option(help="A name of `stylize models`, a folder, a .safetensors file, a hub id.")]
ControlNet = Annotated[list[str] | None, typer.Option(help="NAME=FOLDER or hub id, repeatable: lineart=lllyasviel/...")]
Lora = Annotated[list[str] | None, typer.Option(help="FILE:WEIGHT of a LoRA, repeatable.")]
IpAdapter = Annotated[str | None, typer.Option(help="IP-Adapter file, so that the model reads --reference.")]
TextualInversion = Annotated[list[str] | None, typer.Option(help="File whose name becomes a word, repeatable.")]
Vae = Annotated[str | None, typer.Option(help="VAE in place of the model's own: taesd (quick), a folder, a hub id.")]
DepthModel = Annotated[str | None, typer.Option(help="Depth network of transformers in place of MiDaS.")]
MotionAdapter = Annotated[str | None, typer.Option(help="AnimateDiff's motion modules for SD models, a folder.")]
Memory = Annotated[Layout | None, typer.Option(help="whole, tiled or offloaded [default: what fits].")]
Batch = Annotated[
    int | None, typer.Option(help="Frames that go through the networks together [default: 8 if they fit].")
]
Compile = Annotated[
    Literal["auto", "on", "off"],
    typer.Option(help="Compile the networks first, on CUDA devices: a minute or two, then a quarter quicker."),
]
Offline = Annotated[bool, typer.Option("--offline", help="Never ask the hub.")]
Start = Annotated[float | None, typer.Option(help="First second to restyle.")]
End = Annotated[float | None, typer.Option(help="Second to stop at.")]
Fps = Annotated[str | None, typer.Option(help="Pictures a second, for pictures: 24 or 30000/1001.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, mps ... [default: the best one here].")]
Force = Annotated[bool, typer.Option("--force", help="Replace an existing output.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")]
Codec = Annotated[str | None, typer.Option(help="h264 h265 av1 vp9 prores ffv1 [default: by the name].")]
Crf = Annotated[int | None, typer.Option(help="Quality, 0 is lossless or nearly [default: by the codec].")]
Preset = Annotated[str, typer.Option(help="Speed of the encoder, ultrafast to veryslow.")]
PixFmt = Annotated[str | None, typer.Option(help="Pixel format, such as yuv444p [default: by the codec].")]
Strict = Annotated[bool, typer.Option("--strict", help="Refuse damaged sources instead of concealing.")]
FieldsOption = Annotated[
    Literal["deinterlace", "keep"], typer.Option(help="Interlaced sources: make pictures whole, or keep fields.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an unfinished run.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print a report as one JSON line a video.")]
PipeFormat = Annotated[
    Literal["y4m", "mpegts", "matroska", "nut"] | None,
    typer.Option(help="What -o - writes [default: what comes in, else matroska]."),
]
PipeSize = Annotated[str | None, typer.Option(help="WxH of raw RGB pictures (rgb24) that come through stdin.")]
PipeFps = Annotated[str | None, typer.Option(help="Their number a second.")]
Workers = Annotated[
    int | None, typer.Option(help="Spread shots and videos over so many workers, one a card, or a share of the cores.")
]
Cluster = Annotated[str | None, typer.Option(help="Spread them over a Ray cluster that is there: ray://HOST:10001.")]
SplitShots = Annotated[
    bool, typer.Option("--split-shots", help="Spread long shots, too; their parts differ a little where they meet.")
]
Verbose = Annotated[bool, typer.Option("--verbose", help="A line about each worker and each part that is done.")]
StyleFile = Annotated[
    Path | None, typer.Option("--style", help="TOML with any of these options; those given here win.")
]
Like = Annotated[Path | None, typer.Option(help="A result, whose settings are taken over.")]


def _make_style_options() -> dict[str, tuple[Any, Any]]:
    """Returns the options that are fields of `Style`: type and default by name."""
    hints, defaults = get_type_hints(Style), {f.name: f.default for f in fields(Style)}
    return {
        name: (Annotated[option.type or hints[field_name], typer.Option(help=option.help)], defaults[field_name])
        for name, (field_name, option) in STYLE_OPTIONS.items()
    }


SHARED: dict[str, tuple[Any, Any]] = _make_style_options() | {
    "model": (Model, POCKET), "controlnet": (ControlNet, None), "lora": (Lora, None), "ip_adapter": (IpAdapter, None),
    "textual_inversion": (TextualInversion, None), "vae": (Vae, None), "depth_model": (DepthModel, None),
    "motion_adapter": (MotionAdapter, None),
    "start": (Start, None), "end": (End, None), "fps": (Fps, None), "style_file": (StyleFile, None),
    "like": (Like, None), "device": (Device, None), "memory": (Memory, None), "batch": (Batch, None),
    "compile": (Compile, "auto"),
    "offline": (Offline, False), "force": (Force, False), "quiet": (Quiet, False),
}  # fmt: skip
"""Types and defaults of the shared options by name, in the order of the help."""
HERE = (
    *(name for name, (_, option) in STYLE_OPTIONS.items() if not option.is_carried),
    "style_file", "like", "start", "end", "device", "memory", "batch", "compile", "offline", "force", "quiet",
)  # fmt: skip
"""Options that belong to one call and not to a look: a result does not record them."""


LOOKS = ("prompt", "reference", "keyframe")
"""Options of which a run needs one."""


def with_shared(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the shared options to a command, which gets the values of all options as `given`."""
    parameters = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != "given"]
    keyword = inspect.Parameter.KEYWORD_ONLY
    shared = [inspect.Parameter(n, keyword, default=d, annotation=hint) for n, (hint, d) in SHARED.items()]
    context = inspect.Parameter("context", keyword, annotation=typer.Context)

    def call(**values: Any) -> None:
        typer_context: typer.Context = values.pop("context")
        command(**{p.name: values[p.name] for p in parameters}, given=Given(typer_context, values))

    call.__name__, call.__doc__ = command.__name__, command.__doc__
    all_parameters = [*(p.replace(kind=keyword) for p in parameters), *shared, context]
    call.__signature__ = inspect.Signature(all_parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {p.name: p.annotation for p in all_parameters}
    return call


def check_look(*rows: Mapping[str, Any]) -> None:
    """Raises typer.BadParameter (exit 2) if none of the options says what the result is to look like."""
    if not any(str(row[name] or "").strip() for row in rows for name in LOOKS):
        raise typer.BadParameter(
            "no look is asked for: add --prompt TEXT, --reference PICTURE or --keyframe SECOND:PICTURE"
        )


class Given:
    """The values of a command's options; files give those that the command line leaves out."""

    def __init__(self, context: typer.Context, values: Mapping[str, Any]) -> None:
        self._context, self._values = context, dict(values)

    def read(self) -> dict[str, Any]:
        """Returns all values: the command line wins over the style file, the style file over the result of `--like`.

        Raises:
            StylizeError: a file cannot be read, or has an unknown option or a value without meaning.
        """
        from stylize.decode import comment_of

        values, parameters = dict(self._values), {p.name: p for p in self._context.command.params}
        known = [name for name in parameters if name in SHARED and name not in ("style_file", "like")]
        from_files: dict[str, tuple[Any, Path]] = {}
        if values["like"] is not None:
            looks = [name for name in known if name not in HERE]
            settings = parse_settings(comment_of(values["like"]), looks, values["like"])
            from_files |= {name: (value, values["like"]) for name, value in settings.items()}
        if values["style_file"] is not None:
            settings = read_style_file(values["style_file"], known)
            from_files |= {name: (value, values["style_file"]) for name, value in settings.items()}
        for name, (value, path) in from_files.items():
            source = self._context.get_parameter_source(name)
            if source is not None and source.name == "DEFAULT":
                try:
                    values[name] = parameters[name].process_value(self._context, value)
                except typer.BadParameter as error:
                    raise StyleError(f"{path}: {name} = {value!r} has no meaning", error.message) from error
        return values
