"""The `stylize` command: calls the library on files; progress goes to stderr, results go to stdout."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stylize import __version__
from stylize.cli import live, making, options, piping, spreading, tools
from stylize.cli.console import FAILED, one_line_errors, warnings_as_lines
from stylize.cli.loader import load_from, make_report_printer
from stylize.errors import StyleError
from stylize.style.parsing import parse_rate, parse_sweep
from stylize.style.settings import style_from

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
    codec: options.Codec = None,
    crf: options.Crf = None,
    preset: options.Preset = "medium",
    pix_fmt: options.PixFmt = None,
    strict: options.Strict = False,
    fields: options.FieldsOption = "deinterlace",
    resume: options.Resume = False,
    side_by_side: Annotated[Path | None, typer.Option(help="Also write a video of source and result.")] = None,
    split: Annotated[Path | None, typer.Option(help="Also write a video that wipes between both.")] = None,
    before_after: Annotated[Path | None, typer.Option(help="Also write a picture of frames of both.")] = None,
    as_json: options.AsJson = False,
    workers: options.Workers = None,
    cluster: options.Cluster = None,
    split_shots: options.SplitShots = False,
    verbose: options.Verbose = False,
    pipe_format: options.PipeFormat = None,
    pipe_size: options.PipeSize = None,
    pipe_fps: options.PipeFps = None,
) -> None:
    """Restyle videos; - is stdin or stdout.

    Example: stylize run holiday.mp4 -o woodcut.mp4 --prompt "woodcut print"
    """
    with one_line_errors():
        all_given = given.read()
        options.check_look(all_given)
        style, quiet = style_from(all_given), all_given["quiet"]
        from stylize.runs import Job, jobs
        from stylize.runs.jobs import Views

        settings = Job(
            force=all_given["force"], resume=resume, start=all_given["start"], end=all_given["end"],
            fps=parse_rate(all_given["fps"]), strict=strict, fields=fields, codec=codec, crf=crf, preset=preset,
            pixel_format=pix_fmt,
            settings={name: all_given[name] for name in options.SHARED if name not in options.HERE},
            views=Views(side_by_side, split, before_after),
        )  # fmt: skip
        if piping.is_piped(sources, output, pipe_format, pipe_size, pipe_fps):
            others, raw = any((as_json, verbose, workers, cluster)), (pipe_size, pipe_fps)
            piping.restyle(sources, output, settings, style, all_given, pipe_format, raw, others)
            return
        todo = jobs(sources, output, settings)
        if len(todo) > 1 and (style.depth_from is not None or style.control_from or style.keyframes):
            what = "depth maps, control pictures and painted frames belong to one video"
            raise StyleError(what, "restyle the videos one by one")
        for job in todo if len(todo) == 1 else []:
            job.check(style)  # faults of the files are reported before the networks are loaded
        how = spreading.Spreading(workers, cluster, split_shots, verbose)
        with warnings_as_lines(shown=not quiet):
            failed = spreading.restyle_videos(how, style, todo, all_given, make_report_printer(as_json, quiet))
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
                load_from(values), source, output, style, count=count, start=values["start"], end=values["end"],
                fps=parse_rate(values["fps"]), force=values["force"], sweep=list(sweep.values()),
                captions=["source", *sweep] if sweep else (),
            )  # fmt: skip
    if not values["quiet"]:
        typer.echo(f"{made.output}: {made.cost(style)}")


for command in (
    making.generate, making.expand, live.live, spreading.cluster, tools.measure, tools.compare, tools.models,
    tools.doctor, tools.ui,
):  # fmt: skip
    app.command()(command)
