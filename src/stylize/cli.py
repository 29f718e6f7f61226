"""The `stylize` command: the library's calls on files, with progress on stderr and results on stdout."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stylize import __version__, options
from stylize.console import FAILED, one_line_errors, say, warnings_as_lines
from stylize.parsing import parse_control, parse_named, parse_rate, parse_size, parse_weighted
from stylize.progress import duration, progress_bar
from stylize.registry import POCKET, known_models, models_file
from stylize.style import Style

if TYPE_CHECKING:
    from stylize.networks import Networks
    from stylize.pipeline import Report, Stylizer

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
def run(
    sources: Annotated[
        list[str], typer.Argument(metavar="IN...", help="Videos; also a folder or 'pattern*.png' of pictures.")
    ],
    output: Annotated[
        str, typer.Option("-o", "--output", help="The video to write, or a folder for many: .mp4 .mov .mkv .webm .gif")
    ],
    prompt: options.Prompt = "",
    negative_prompt: options.NegativePrompt = "",
    reference: options.Reference = None,
    reference_weight: options.ReferenceWeight = 1.0,
    model: options.Model = POCKET,
    strength: options.Strength = None,
    mode: options.How = "full",
    temporal: options.TemporalWeight = 1.0,
    control: options.Control = None,
    controlnet: options.ControlNet = None,
    lora: options.Lora = None,
    ip_adapter: options.IpAdapter = None,
    textual_inversion: options.TextualInversion = None,
    vae: options.Vae = None,
    depth_model: options.DepthModel = None,
    guidance: options.Guidance = None,
    guidance_rescale: options.GuidanceRescale = 0.0,
    clip_skip: options.ClipSkip = 0,
    steps: options.Steps = None,
    seed: options.Seed = 0,
    size: options.Size = None,
    fit: options.Fit = None,
    start: options.Start = None,
    end: options.End = None,
    fps: options.Fps = None,
    device: options.Device = None,
    memory: options.Memory = None,
    offline: options.Offline = False,
    codec: Annotated[str | None, typer.Option(help="h264 h265 av1 vp9 prores ffv1 [default: by the name].")] = None,
    crf: Annotated[int | None, typer.Option(help="Quality, 0 is lossless or nearly [default: by the codec].")] = None,
    preset: Annotated[str, typer.Option(help="Speed of the encoder, ultrafast to veryslow.")] = "medium",
    pix_fmt: Annotated[str | None, typer.Option(help="Pixel format, such as yuv444p [default: by the codec].")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse damaged sources instead of concealing.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an unfinished run.")] = False,
    force: options.Force = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a report as one JSON line a video.")] = False,
    quiet: options.Quiet = False,
) -> None:
    """Restyle videos.

    Example: stylize run holiday.mp4 -o woodcut.mp4 --prompt "woodcut print"
    """
    given = locals()
    with one_line_errors():
        style = _style(given)
        from stylize.batch import Job, jobs, restyle_all

        settings = Job(
            force=force, resume=resume, start=start, end=end, fps=parse_rate(fps), strict=strict, codec=codec, crf=crf,
            preset=preset, pixel_format=pix_fmt,
        )  # fmt: skip
        todo = jobs(sources, output, settings)
        for job in todo if len(todo) == 1 else []:
            job.check(style)  # everything that can be wrong with the files is found before the networks are loaded
        if reference is not None:
            from stylize.reference import read_picture

            read_picture(reference)
        stylizer = _loaded(given)
        with warnings_as_lines(shown=not quiet):
            bars = functools.partial(progress_bar, shown=not quiet)
            failed = restyle_all(stylizer, style, todo, bars, say, _told(as_json, quiet))
    if failed:
        raise typer.Exit(FAILED)


@app.command()
def preview(
    source: Annotated[str, typer.Argument(metavar="IN", help="The video; also a folder or pattern of pictures.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The sheet to write: .png, .jpg or .webp.")],
    count: Annotated[int, typer.Option("--frames", help="Frames on the sheet, spread over the video.")] = 4,
    prompt: options.Prompt = "",
    negative_prompt: options.NegativePrompt = "",
    reference: options.Reference = None,
    reference_weight: options.ReferenceWeight = 1.0,
    model: options.Model = POCKET,
    strength: options.Strength = None,
    mode: options.How = "full",
    temporal: options.TemporalWeight = 1.0,
    control: options.Control = None,
    controlnet: options.ControlNet = None,
    lora: options.Lora = None,
    ip_adapter: options.IpAdapter = None,
    textual_inversion: options.TextualInversion = None,
    vae: options.Vae = None,
    depth_model: options.DepthModel = None,
    guidance: options.Guidance = None,
    guidance_rescale: options.GuidanceRescale = 0.0,
    clip_skip: options.ClipSkip = 0,
    steps: options.Steps = None,
    seed: options.Seed = 0,
    size: options.Size = None,
    fit: options.Fit = None,
    start: options.Start = None,
    end: options.End = None,
    fps: options.Fps = None,
    device: options.Device = None,
    memory: options.Memory = None,
    offline: options.Offline = False,
    force: options.Force = False,
    quiet: options.Quiet = False,
) -> None:
    """Restyle a few frames, source above result, and say how long the whole will take.

    Example: stylize preview holiday.mp4 -o sheet.png --prompt "woodcut print"
    """
    given = locals()
    with one_line_errors():
        style = _style(given)
        from stylize.preview import check_sheet, make_preview

        check_sheet(output, force=force)
        with warnings_as_lines(shown=not quiet):
            stylizer = _loaded(given)
            made = make_preview(
                stylizer, source, output, style, count=count, start=start, end=end, fps=parse_rate(fps), force=force
            )
    if not quiet:
        seconds = made.seconds(style)
        whole = "" if seconds is None else f"; all {made.frames_in_all} frames will take about {duration(seconds)}"
        typer.echo(f"{made.output}: {made.seconds_a_frame:.2f} s a frame here{whole}")


def _style(given: Mapping[str, Any]) -> Style:
    """A command's options as a style; what they share has one name in both, but for what is parsed here."""
    parsed = {
        "guidance_scale": given["guidance"],
        "controls": dict(map(parse_control, given["control"])) if given["control"] else None,
        "size": parse_size(given["size"]) if given["size"] else None,
    }
    return Style(**{f.name: given[f.name] for f in fields(Style) if f.name in given} | parsed)


def _loaded(given: Mapping[str, Any]) -> Stylizer:
    """The model that a command's options name, with all that they add to it."""
    from stylize.api import load_stylizer

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
        offline=given["offline"],
        say=tell,
    )
    if tell is not None:
        tell(_explanation(stylizer.networks))
    return stylizer


def _told(as_json: bool, quiet: bool) -> Callable[[Report], None]:
    def told(report: Report) -> None:
        if as_json:
            typer.echo(json.dumps(asdict(report)))
        elif not quiet:
            typer.echo(_summary(report))

    return told


@app.command()
def measure(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="The video as it was.")],
    styled: Annotated[Path, typer.Argument(metavar="STYLED", help="The restyled video, frame for frame.")],
    depth: Annotated[
        bool, typer.Option("--depth", help="Compare near and far too, with the built-in network.")
    ] = False,
    clip: Annotated[str | None, typer.Option(help="Folder or hub id of CLIP weights, for likeness.")] = None,
    prompt: Annotated[str | None, typer.Option(help="How well the frames fit these words; needs --clip.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write a page with curves and the worst pairs: .html.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON line.")] = False,
) -> None:
    """Measure how steady a restyled video is, and how much of the source it kept.

    Example: stylize measure holiday.mp4 woodcut.mp4 --report woodcut.html
    """
    with one_line_errors():
        from stylize.api import measure as measure_videos

        result = measure_videos(source, styled, depth=depth, clip=clip, prompt=prompt, report=report)
        if as_json:
            typer.echo(json.dumps({"frames": result.frames, "figures": result.figures, "floors": result.floors}))
            return
        from stylize.metrics import MEANING

        typer.echo(f"{'':<19} {'result':>9} {'source':>9}")
        for name, meaning in MEANING.items():
            if name in result.figures:
                floor = f"{result.floors[name]:9.3f}" if name in result.floors else " " * 9
                typer.echo(f"{name:<19} {result.figures[name]:9.3f} {floor}  {meaning}")


@app.command()
def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON line.")] = False,
) -> None:
    """List the models that have a name: what for, licence, size, on disk or not."""
    with one_line_errors():
        cards = known_models().values()
    if as_json:
        typer.echo(json.dumps([card.facts() for card in cards]))
        return
    for card in cards:
        state = "on disk" if card.on_disk else "not on disk"
        size = f"{card.size_mb} MB, " if card.size_mb else ""
        typer.echo(f"{card.name}  ({card.base}; {card.licence}; {size}{state})")
        typer.echo(f"    {card.purpose}")
        if card.looks:
            typer.echo(f"    looks: {', '.join(card.looks)}")
            typer.echo(f"    tones: {', '.join(card.tones)}")
    typer.echo(f"Any folder in diffusers format or .safetensors checkpoint works too; own names: {models_file()}")


@app.command()
def doctor() -> None:
    """Look the installation over: versions, devices, what is broken, which models are on disk."""
    from stylize.doctor import examine

    found = examine()
    for line in found.lines:
        typer.echo(line)
    for problem in found.problems:
        say(problem)
    if found.problems:
        raise typer.Exit(FAILED)
    typer.echo("all is well")


def _explanation(networks: Networks) -> str:
    """What runs where, and how much the model knows."""
    line = f"model {networks.name} on {networks.device}, {str(networks.dtype).removeprefix('torch.')}"
    if networks.vocabulary is None:
        return line
    looks = len(networks.vocabulary.looks)
    return f"{line}; it knows {looks} looks by name, `--model sd15` takes any prompt but wants a GPU"


def _summary(report: Report) -> str:
    rate = report.frames / report.seconds
    shots = "1 shot" if report.shots == 1 else f"{report.shots} shots"
    return f"{report.output}: {report.frames} frames, {shots}, {report.seconds:.1f} s ({rate:.2f} frames/s)"


if __name__ == "__main__":
    app()
