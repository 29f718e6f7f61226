"""The commands other than `run` and `preview`: measure, compare, models, doctor, ui."""

from __future__ import annotations

import importlib.util
import json
import secrets
from pathlib import Path
from typing import Annotated

import typer

from stylize.cli.console import FAILED, one_line_errors, say, warnings_as_lines
from stylize.errors import StylizeError
from stylize.models import POCKET, known_models
from stylize.models.registry import models_file
from stylize.style.values import View


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
        from stylize.runs.measuring import measure as measure_videos

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


def doctor() -> None:
    """Look the installation over: versions, devices, what is broken, which models are on disk."""
    from stylize.cli.doctor import examine

    findings = examine()
    for line in findings.lines:
        typer.echo(line)
    for problem in findings.problems:
        say(problem)
    if findings.problems:
        raise typer.Exit(FAILED)
    typer.echo("all is well")


def compare(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="The video as it was.")],
    styled: Annotated[Path, typer.Argument(metavar="STYLED", help="The restyled video.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="A video of both, or a picture of a few frames: .png, .jpg or .webp.")
    ],
    view: Annotated[View, typer.Option(help="side-by-side, or split: a wipe between both.")] = "side-by-side",
    start: Annotated[float | None, typer.Option(help="Second of the source at which the result begins.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing output.")] = False,
) -> None:
    """Show source and result in one video or picture.

    Example: stylize compare holiday.mp4 woodcut.mp4 -o both.mp4 --view split
    """
    with one_line_errors():
        from stylize.runs.comparison import before_after, compare
        from stylize.runs.sheets import SUFFIXES

        if output.suffix.lower() in SUFFIXES:
            before_after(source, styled, output, start=start, force=force)
        else:
            compare(source, styled, output, view, start=start, force=force, say=say)


def ui(
    model: Annotated[str, typer.Option(help="A name of `stylize models`, a folder, a checkpoint, a hub id.")] = POCKET,
    host: Annotated[str, typer.Option(help="Address to listen at; any but this machine's own asks for a token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="Port to listen at.")] = 7860,
    token: Annotated[str | None, typer.Option(help="Password of the page [default: made where one is needed].")] = None,
    folder: Annotated[Path | None, typer.Option(help="Where runs are kept for a week.")] = None,
    max_upload: Annotated[str, typer.Option(help="Size of a video at most, such as 500mb.")] = "4gb",
    device: Annotated[str | None, typer.Option(help="cpu, cuda, mps ... [default: the best one here].")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Never ask the hub.")] = False,
) -> None:
    """Show a local page: drop a video, choose a look, preview, run, compare, download.

    Example: stylize ui
    """
    with one_line_errors():
        if importlib.util.find_spec("gradio") is None:
            raise StylizeError("the page needs Gradio", "pip install 'gradio>=6'")
        from stylize.page import page
        from stylize.page.local import is_loopback
        from stylize.page.studio import Studio
        from stylize.runs.stylizer import load_stylizer

        page.check_size(max_upload)
        if not token and not is_loopback(host):
            token = secrets.token_urlsafe(12)
        studio = Studio(load_stylizer(model, device=device, offline=offline, say=say), folder or page.default_folder())
        try:
            with warnings_as_lines(shown=True):
                blocks = page.serve(studio, host=host, port=port, token=token, max_upload=max_upload)
                say(f"http://{f'[{host}]' if ':' in host else host}:{port} shows the page, Ctrl-C ends it")
                if token:
                    say(f"its password is {token}, any name goes with it")
                blocks.block_thread()
        finally:
            studio.close()
