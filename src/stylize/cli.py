"""The `stylize` command: the library's calls on files, with progress on stderr and results on stdout."""

from __future__ import annotations

import json
import logging
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stylize import __version__
from stylize.errors import PromptWarning, StylizeError, VideoWarning
from stylize.progress import progress_bar
from stylize.registry import MODELS, POCKET
from stylize.style import Mode, Style, parse_control, parse_rate, parse_size

if TYPE_CHECKING:
    from stylize.networks import Networks
    from stylize.pipeline import Report

FAILED, INTERRUPTED = 1, 130

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
    prompt: Annotated[str, typer.Option(help="The look in words, such as 'ukiyo-e woodblock print'.")] = "",
    negative_prompt: Annotated[str, typer.Option(help="What to stay away from; needs --guidance above 1.")] = "",
    reference: Annotated[Path | None, typer.Option(help="A picture whose look the video shall have.")] = None,
    reference_weight: Annotated[float, typer.Option(help="How much of it: 0 nothing, 1 all, up to 1.5.")] = 1.0,
    model: Annotated[str, typer.Option(help="A name of `stylize models`, a folder, or a hub id.")] = POCKET,
    strength: Annotated[float | None, typer.Option(help="How far from the source, above 0, up to 1.")] = None,
    mode: Annotated[Mode, typer.Option(help="full: diffuse every frame; fast: keyframes, filled in between.")] = "full",
    temporal: Annotated[float, typer.Option(help="Hold on to earlier frames: 0 not at all, 1 fully.")] = 1.0,
    control: Annotated[list[str] | None, typer.Option(help="NAME:WEIGHT, repeatable [default: all it has].")] = None,
    guidance: Annotated[float | None, typer.Option(help="Classifier-free guidance scale; 1 is off.")] = None,
    steps: Annotated[int | None, typer.Option(help="Denoising steps [default: the model's own].")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same result.")] = 0,
    size: Annotated[str | None, typer.Option(help="WxH of the result [default: the source's].")] = None,
    fit: Annotated[int | None, typer.Option(help="Longer side for the networks [default: the result's].")] = None,
    start: Annotated[float | None, typer.Option(help="First second to restyle.")] = None,
    end: Annotated[float | None, typer.Option(help="Second to stop at.")] = None,
    fps: Annotated[str | None, typer.Option(help="Pictures a second, for pictures: 24 or 30000/1001.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, mps ... [default: the best one here].")] = None,
    codec: Annotated[str | None, typer.Option(help="h264 h265 av1 vp9 prores ffv1 [default: by the name].")] = None,
    crf: Annotated[int | None, typer.Option(help="Quality, 0 is lossless or nearly [default: by the codec].")] = None,
    preset: Annotated[str, typer.Option(help="Speed of the encoder, ultrafast to veryslow.")] = "medium",
    pix_fmt: Annotated[str | None, typer.Option(help="Pixel format, such as yuv444p [default: by the codec].")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse damaged sources instead of concealing.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an unfinished run.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing output.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a report as one JSON line a video.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Restyle videos.

    Example: stylize run holiday.mp4 -o woodcut.mp4 --prompt "woodcut print"
    """
    with _one_line_errors():
        style = Style(
            prompt=prompt,
            negative_prompt=negative_prompt,
            reference=reference,
            reference_weight=reference_weight,
            strength=strength,
            guidance_scale=guidance,
            steps=steps,
            controls=dict(map(parse_control, control)) if control else None,
            mode=mode,
            temporal=temporal,
            seed=seed,
            size=parse_size(size) if size else None,
            fit=fit,
        )
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
        card = MODELS.get(model)
        if card is not None and not card.on_disk and not quiet:
            _say(f"{model} is not on disk: about {card.size_mb / 1000:.1f} GB come from the hub, once")
        from stylize.api import load_stylizer

        stylizer = load_stylizer(model, device=device)
        if not quiet:
            _say(_explanation(stylizer.networks))
        with _warnings_as_lines(shown=not quiet):
            failed = restyle_all(
                stylizer, style, todo, lambda: progress_bar(shown=not quiet), _say, _told(as_json, quiet)
            )
    if failed:
        raise typer.Exit(FAILED)


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
    with _one_line_errors():
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
    if as_json:
        rows = [
            {
                "name": card.name,
                "base": card.base,
                "licence": card.licence,
                "size_mb": card.size_mb,
                "on_disk": card.on_disk,
                "purpose": card.purpose,
                "looks": card.looks,
                "tones": card.tones,
            }
            for card in MODELS.values()
        ]
        typer.echo(json.dumps(rows))
        return
    for card in MODELS.values():
        state = "on disk" if card.on_disk else "not on disk"
        typer.echo(f"{card.name}  ({card.base}; {card.licence}; {card.size_mb} MB, {state})")
        typer.echo(f"    {card.purpose}")
        if card.looks:
            typer.echo(f"    looks: {', '.join(card.looks)}")
            typer.echo(f"    tones: {', '.join(card.tones)}")
    typer.echo("Any folder in diffusers format works too: stylize run ... --model FOLDER")


def _explanation(networks: Networks) -> str:
    """What runs where, and how much the model knows."""
    line = f"model {networks.name} on {networks.device}, {str(networks.dtype).removeprefix('torch.')}"
    if networks.vocabulary is None:
        return line
    looks = len(networks.vocabulary.looks)
    return f"{line}; it knows {looks} looks by name, `--model sd15` takes any prompt but wants a GPU"


@contextmanager
def _warnings_as_lines(*, shown: bool) -> Iterator[None]:
    """Words that the model does not know, and damage of sources, become lines on stderr."""

    others = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *where: Any) -> None:
        if not issubclass(category, PromptWarning | VideoWarning):
            others(message, category, *where)
        elif shown:
            _say(f"{'note' if issubclass(category, VideoWarning) else 'warning'}: {message}")

    with warnings.catch_warnings():
        for category in (PromptWarning, VideoWarning):
            warnings.simplefilter("always", category)
        warnings.showwarning = show  # type: ignore[assignment]
        yield


def _summary(report: Report) -> str:
    rate = report.frames / report.seconds
    shots = "1 shot" if report.shots == 1 else f"{report.shots} shots"
    return f"{report.output}: {report.frames} frames, {shots}, {report.seconds:.1f} s ({rate:.2f} frames/s)"


def _say(*lines: str) -> None:
    for line in lines:
        typer.echo(f"stylize: {line}", err=True)


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """Expected failures become one line and exit code 1; Ctrl-C and a polite kill become 130."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        logging.getLogger("libav").setLevel(logging.CRITICAL)  # its findings come as our own errors
        yield
    except StylizeError as error:
        _say(str(error))
        raise typer.Exit(FAILED) from error
    except KeyboardInterrupt as error:
        _say(str(error) or "interrupted: nothing was written")
        raise typer.Exit(INTERRUPTED) from error
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    app()
