"""The `stylize` command: calls the library on files; progress goes to stderr, results go to stdout."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from stylize import __version__
from stylize.cli import options, tools
from stylize.cli.console import FAILED, one_line_errors, progress_bar, say, warnings_as_lines
from stylize.errors import StyleError
from stylize.style import parse_control
from stylize.style.parsing import parse_named, parse_rate, parse_sweep, parse_weighted
from stylize.style.settings import style_from

if TYPE_CHECKING:
    from stylize.networks import Networks
    from stylize.runs import Report
    from stylize.runs.stylizer import Stylizer


app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True)
def main(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Give a video a new look while its motion and forms stay."""
    if version:
        typer.echo(f"stylize {__version__}")
        raise typer.Exit


@app.command()
@options.with_shared
def run(
    sources: Annotated[
        list[str], typer.Argument(metavar="IN...", help="Videos; also a folder or 'pattern*.png' of pictures.")
    ],
    output: Annotated[
        str, typer.Option("-o", "--output", help="The video to write, or a folder for many: .mp4 .mov .mkv .webm .gif")
    ],
    given: options.Given,
    codec: Annotated[str | None, typer.Option(help="h264 h265 av1 vp9 prores ffv1 [default: by the name].")] = None,
    crf: Annotated[int | None, typer.Option(help="Quality, 0 is lossless or nearly [default: by the codec].")] = None,
    preset: Annotated[str, typer.Option(help="Speed of the encoder, ultrafast to veryslow.")] = "medium",
    pix_fmt: Annotated[str | None, typer.Option(help="Pixel format, such as yuv444p [default: by the codec].")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse damaged sources instead of concealing.")] = False,
    fields: Annotated[
        Literal["deinterlace", "keep"],
        typer.Option(help="Interlaced sources: make pictures whole, or keep fields."),
    ] = "deinterlace",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an unfinished run.")] = False,
    side_by_side: Annotated[Path | None, typer.Option(help="Also write a video of source and result.")] = None,
    split: Annotated[Path | None, typer.Option(help="Also write a video that wipes between both.")] = None,
    before_after: Annotated[Path | None, typer.Option(help="Also write a picture of frames of both.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a report as one JSON line a video.")] = False,
) -> None:
    """Restyle videos.

    Example: stylize run holiday.mp4 -o woodcut.mp4 --prompt "woodcut print"
    """
    with one_line_errors():
        all_given = given.read()
        options.check_look(all_given)
        style, quiet = style_from(all_given), all_given["quiet"]
        from stylize.runs import Job, jobs
        from stylize.runs.jobs import Views, restyle_all

        settings = Job(
            force=all_given["force"], resume=resume, start=all_given["start"], end=all_given["end"],
            fps=parse_rate(all_given["fps"]), strict=strict, fields=fields, codec=codec, crf=crf, preset=preset,
            pixel_format=pix_fmt,
            settings={name: all_given[name] for name in options.SHARED if name not in options.HERE},
            views=Views(side_by_side, split, before_after),
        )  # fmt: skip
        todo = jobs(sources, output, settings)
        if len(todo) > 1 and style.depth_from is not None:
            raise StyleError("depth maps belong to one video", "restyle the videos one by one")
        for job in todo if len(todo) == 1 else []:
            job.check(style)  # faults of the files are reported before the networks are loaded
        if style.reference is not None:
            from stylize.decode import read_picture

            read_picture(style.reference)
        stylizer = _load_stylizer(all_given)
        with warnings_as_lines(shown=not quiet):
            bars = functools.partial(progress_bar, shown=not quiet)
            failed = restyle_all(stylizer, style, todo, bars, say, _make_report_printer(as_json, quiet))
    if failed:
        raise typer.Exit(FAILED)


@app.command()
@options.with_shared
def preview(
    source: Annotated[str, typer.Argument(metavar="IN", help="The video; also a folder or pattern of pictures.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The sheet to write: .png, .jpg or .webp.")],
    given: options.Given,
    count: Annotated[int, typer.Option("--frames", help="Frames on the sheet, spread over the video.")] = 4,
    compare: Annotated[
        str | None, typer.Option(help="One row for each value of an option: 'strength=0.5|0.7', 'prompt=ink|oil'.")
    ] = None,
) -> None:
    """Restyle a few frames, source above result, and say what the whole will take.

    Example: stylize preview holiday.mp4 -o sheet.png --prompt "woodcut print"
    """
    with one_line_errors():
        values = given.read()
        rows = {} if compare is None else {text: values | change for text, change in parse_sweep(compare).items()}
        options.check_look(values, *rows.values())
        sweep = {text: style_from(row) for text, row in rows.items()}
        style = next(iter(sweep.values())) if sweep else style_from(values)
        from stylize.encode.outputs import check_place
        from stylize.runs.preview import make_preview
        from stylize.runs.sheets import SUFFIXES

        check_place(output, SUFFIXES, force=values["force"])
        with warnings_as_lines(shown=not values["quiet"]):
            made = make_preview(
                _load_stylizer(values), source, output, style, count=count, start=values["start"], end=values["end"],
                fps=parse_rate(values["fps"]), force=values["force"], sweep=list(sweep.values()),
                captions=["source", *sweep] if sweep else (),
            )  # fmt: skip
    if not values["quiet"]:
        typer.echo(f"{made.output}: {made.cost(style)}")


def _load_stylizer(given: Mapping[str, Any]) -> Stylizer:
    """Loads the model that a command's options name, with everything that they add to it."""
    from stylize.runs.stylizer import load_stylizer

    tell = None if given["quiet"] else say
    stylizer = load_stylizer(
        given["model"],
        device=given["device"],
        controlnets=dict(map(parse_named, given["controlnet"])) if given["controlnet"] else None,
        controls=[parse_control(text)[0] for text in given["control"] or []],
        loras=dict(map(parse_weighted, given["lora"] or [])),
        ip_adapter=given["ip_adapter"],
        textual_inversions=given["textual_inversion"] or [],
        vae=given["vae"],
        depth=given["depth_model"],
        memory=given["memory"],
        batch=given["batch"],
        compile=given["compile"],
        offline=given["offline"],
        say=tell,
    )
    if tell is not None:
        tell(_describe_model(stylizer.networks))
    return stylizer


def _make_report_printer(as_json: bool, quiet: bool) -> Callable[[Report], None]:
    def print_report(report: Report) -> None:
        if as_json:
            typer.echo(json.dumps(asdict(report)))
        elif not quiet:
            typer.echo(_describe_report(report))

    return print_report


def _describe_model(networks: Networks) -> str:
    """Names the model, its device and number format, and how many looks it knows."""
    line = f"model {networks.name} on {networks.device}, {str(networks.dtype).removeprefix('torch.')}"
    if networks.vocabulary is None:
        return line
    looks = len(networks.vocabulary.looks)
    return f"{line}; it knows {looks} looks by name, `--model sd15` takes any prompt but wants a GPU"


def _describe_report(report: Report) -> str:
    rate = report.frames / report.seconds
    shots = "1 shot" if report.shots == 1 else f"{report.shots} shots"
    return f"{report.output}: {report.frames} frames, {shots}, {report.seconds:.1f} s ({rate:.2f} frames/s)"


for command in (tools.measure, tools.compare, tools.models, tools.doctor, tools.ui):
    app.command()(command)
