"""The commands that make pictures that were not there: `generate` films a still, `expand` paints beyond the frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stylize.cli import options
from stylize.cli.console import one_line_errors, progress_bar, say, warnings_as_lines
from stylize.cli.loader import load_from, make_report_printer
from stylize.errors import StyleError
from stylize.style import Style
from stylize.style.camera import CameraPath, parse_camera
from stylize.style.parsing import parse_rate, parse_size
from stylize.style.settings import style_from

if TYPE_CHECKING:
    from stylize.runs import Job
    from stylize.runs.expand import CanvasJob
    from stylize.runs.generate import SceneJob
    from stylize.runs.stylizer import Stylizer

Output = Annotated[Path, typer.Option("-o", "--output", help="The video to write: .mp4 .mov .mkv .webm .gif")]
Sheet = Annotated[Path | None, typer.Option("--preview", help="Write a sheet of a few frames instead: .png .jpg .webp")]
WITH_LOOK = ("mask", "mask_from", "control", "control_from", "negative_prompt")
"""Options that say nothing without a look."""


@options.with_shared
def generate(
    output: Output,
    given: options.Given,
    image: Annotated[Path | None, typer.Option(help="The still to film; without it, --prompt is drawn first.")] = None,
    camera: Annotated[
        str | None,
        typer.Option(
            help="Moves joined by +, as in 'orbit left 0.5 + handheld', or a .toml file of key poses "
            "[default: push in; a video model moves the picture by itself]."
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(help="Length of the video.")] = 4.0,
    codec: options.Codec = None,
    crf: options.Crf = None,
    preset: options.Preset = "medium",
    pix_fmt: options.PixFmt = None,
    resume: options.Resume = False,
    sheet: Sheet = None,
    as_json: options.AsJson = False,
) -> None:
    """Make a video of a still: a camera moves through the scene, which gets the look.

    Example: stylize generate --image beach.jpg -o beach.mp4 --camera "push in + handheld" --prompt "oil painting"
    """
    with one_line_errors():
        values = given.read()
        style, quiet = read_look(values), values["quiet"]
        if image is None and style is None:
            raise typer.BadParameter("there is nothing to film: add --image FILE, or --prompt TEXT")
        if values["mask"] or values["mask_from"]:
            raise StyleError("a mask belongs to a video", "film the still first, then restyle a part with run")
        path = CameraPath("", ()) if camera is None else parse_camera(camera)  # a video model may do without
        from stylize.runs.generate import SceneJob, prepare
        from stylize.runs.generate import generate as film
        from stylize.scenes import Shot

        rate = parse_rate(values["fps"])
        shot = Shot(path, seconds) if rate is None else Shot(path, seconds, rate)
        job = SceneJob(
            source="" if image is None else str(image), output=output, force=values["force"], resume=resume,
            start=values["start"], end=values["end"], codec=codec, crf=crf, preset=preset, pixel_format=pix_fmt,
            size=None if values["size"] is None else parse_size(values["size"]),
            depth_from=values["depth_from"], depth_large=values["depth_large"],
            settings=_settings(values) | {"camera": camera, "seconds": seconds}, shot=shot,
        )  # fmt: skip
        _check(job, style, sheet, values)
        stylizer = load_from(values)
        if sheet is not None:
            _show(stylizer, *prepare(stylizer, job, style), sheet, values)
            return
        with warnings_as_lines(shown=not quiet), progress_bar(shown=not quiet) as progress:
            report = film(stylizer, job, style, progress, None if quiet else say)
        make_report_printer(as_json, quiet)(report)


@options.with_shared
def expand(
    source: Annotated[str, typer.Argument(metavar="IN", help="The video; also a folder or pattern of pictures.")],
    output: Output,
    given: options.Given,
    canvas: Annotated[str, typer.Option(help="WIDTHxHEIGHT of the result, or its shape, such as 16:9.")],
    place: Annotated[
        str, typer.Option(help="Where the picture lies: center, left, right, top, bottom, X,Y.")
    ] = "center",
    codec: options.Codec = None,
    crf: options.Crf = None,
    preset: options.Preset = "medium",
    pix_fmt: options.PixFmt = None,
    strict: options.Strict = False,
    fields: options.FieldsOption = "deinterlace",
    resume: options.Resume = False,
    sheet: Sheet = None,
    as_json: options.AsJson = False,
) -> None:
    """Paint beyond the frame: the picture stays as it is, the canvas around it is filled.

    Example: stylize expand upright.mp4 -o wide.mp4 --canvas 16:9
    """
    with one_line_errors():
        values = given.read()
        style, quiet = read_look(values), values["quiet"]
        if values["size"] or values["fit"]:
            raise StyleError("the picture stays as it is, so it cannot be resized", "expand it first, then resize it")
        from stylize.runs.expand import CanvasJob
        from stylize.runs.expand import expand as paint

        job = CanvasJob(
            source=source, output=output, force=values["force"], resume=resume, start=values["start"],
            end=values["end"], fps=parse_rate(values["fps"]), strict=strict, fields=fields, codec=codec, crf=crf,
            preset=preset, pixel_format=pix_fmt, settings=_settings(values) | {"canvas": canvas, "place": place},
            canvas=canvas, place=place,
        )  # fmt: skip
        _check(job, style, sheet, values)
        stylizer = None if style is None and sheet is None else load_from(values)
        if sheet is not None and stylizer is not None:
            _show(stylizer, job, style, sheet, values)
            return
        with warnings_as_lines(shown=not quiet), progress_bar(shown=not quiet) as progress:
            report = paint(stylizer, job, style, progress, None if quiet else say)
        make_report_printer(as_json, quiet)(report)


def _check(job: SceneJob | CanvasJob, style: Style | None, sheet: Path | None, values: Mapping[str, Any]) -> None:
    """Raises StylizeError for every fault of the files; a preview writes no video, so one of that name may be there."""
    if style is None and (given := [name for name in WITH_LOOK if values[name]]):
        name = given[0].replace("_", "-")
        raise typer.BadParameter(f"--{name} is for a look: add --prompt TEXT or --reference PICTURE")
    replace(job, force=job.force or sheet is not None).check(style)


def _show(stylizer: Stylizer, job: Job, style: Style | None, sheet: Path, values: Mapping[str, Any]) -> None:
    """Writes a sheet of a few frames of a job."""
    from stylize.runs.preview import make_preview

    with warnings_as_lines(shown=not values["quiet"]):
        made = make_preview(stylizer, job, sheet, style, force=values["force"])
    if not values["quiet"]:
        typer.echo(f"{made.output}: {made.cost(style)}" if style is not None else made.output)


def read_look(values: Mapping[str, Any]) -> Style | None:
    """Returns the style that the options ask for; `None` if they name no look."""
    if any(str(values[name] or "").strip() for name in options.LOOKS):
        return style_from(values)
    return None


def _settings(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in options.SHARED if name not in options.HERE}
