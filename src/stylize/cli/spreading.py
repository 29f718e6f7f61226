"""Runs on many workers: what `run --workers` does, and `cluster`, which shows beforehand how a run would be spread."""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stylize.cli import options
from stylize.cli.console import one_line_errors, progress_bar, say, warnings_as_lines
from stylize.cli.loader import load_from, load_options
from stylize.errors import StyleError
from stylize.style.parsing import parse_rate
from stylize.style.settings import style_from

if TYPE_CHECKING:
    from stylize.runs import Job, Report
    from stylize.runs.cluster.plan import SpreadPlan
    from stylize.runs.units import Unit
    from stylize.style import Style

SHOWN = 24
"""Units that a plan lists for people; `--json` lists all."""


@dataclass(frozen=True)
class Spreading:
    """How a run is spread."""

    workers: int | None
    cluster: str | None
    """Address of a Ray cluster that is there already."""
    split_shots: bool
    verbose: bool


def restyle_videos(
    spreading: Spreading,
    style: Style,
    todo: Sequence[Job],
    given: Mapping[str, Any],
    show: Callable[[Report], None],
) -> int:
    """Restyles videos here or on many workers, and returns how many failed."""
    if style.reference is not None:  # before the networks are loaded
        from stylize.decode import read_picture

        read_picture(style.reference)
    if spreading.workers is not None or spreading.cluster is not None:
        return _restyle_spread(spreading, style, todo, given, show)
    if spreading.split_shots:
        raise StyleError("--split-shots is for several workers", "add --workers or --cluster")
    from stylize.runs.jobs import restyle_all

    bars = functools.partial(progress_bar, shown=not given["quiet"])
    return restyle_all(load_from(given), style, todo, bars, say, show)


def _restyle_spread(
    spreading: Spreading,
    style: Style,
    todo: Sequence[Job],
    given: Mapping[str, Any],
    show: Callable[[Report], None],
) -> int:
    """Restyles videos on many workers, and returns how many failed.

    Raises:
        KeyboardInterrupt: the run was interrupted; the message counts the frames that are safe on disk, if any.
    """
    from stylize.runs.cluster import RayCrew, restyle_spread
    from stylize.runs.cluster.video import check_spreadable
    from stylize.runs.jobs import frames_done

    tell = None if given["quiet"] else say
    for job in todo:  # before Ray starts
        check_spreadable(job, style)
    try:
        if spreading.cluster and tell is not None:
            tell(f"connecting to {spreading.cluster}")
        crew = RayCrew(spreading.workers, spreading.cluster, on_cpu=given["device"] == "cpu")
        if tell is not None:
            tell(f"{crew.size} workers")
            if spreading.split_shots:
                tell("long shots are split: where their parts meet, they differ a little from a run by one worker")
        with progress_bar(shown=tell is not None) as progress:
            failed = restyle_spread(
                crew, todo, style, load_options(given), split=spreading.split_shots, progress=progress, say=say,
                tell=tell if spreading.verbose else None, show=show,
            )  # fmt: skip
    except KeyboardInterrupt:
        done = sum(frames_done(job.output) for job in todo)
        kept = f"interrupted: {done} frames are done, --resume goes on with them" if done else ""
        raise KeyboardInterrupt(kept) from None
    if failed and tell is not None:
        tell(f"{len(failed)} of {len(todo)} videos failed:", *(f"  {problem}" for problem in failed))
    return len(failed)


@options.with_shared
def cluster(
    sources: Annotated[
        list[str], typer.Argument(metavar="IN...", help="Videos; also a folder or 'pattern*.png' of pictures.")
    ],
    given: options.Given,
    workers: Annotated[int, typer.Option(help="How many workers there will be.", min=1, max=1024)] = 2,
    split_shots: options.SplitShots = False,
    seconds_a_frame: Annotated[
        float | None, typer.Option(help="Time of a frame on a worker [default: measured here].", min=0.0001)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only plan, which is all that this command does.")] = True,
    as_json: options.AsJson = False,
) -> None:
    """Show how a run would be spread over workers: its parts, their frames, the expected time, and what is sent.

    Example: stylize cluster film.mp4 --prompt "oil painting" --workers 8 --dry-run
    """
    with one_line_errors():
        values = given.read()
        options.check_look(values)
        style = style_from(values)
        from stylize.runs import Job
        from stylize.runs.cluster.plan import find_units, simulate
        from stylize.runs.preview import SHARE, make_preview

        todo = [
            Job(source, start=values["start"], end=values["end"], fps=parse_rate(values["fps"])) for source in sources
        ]
        with warnings_as_lines(shown=not values["quiet"]):
            videos = [find_units(job, style, split=split_shots) for job in todo]
            if seconds_a_frame is None:
                with tempfile.TemporaryDirectory(prefix="stylize-") as folder:
                    made = make_preview(load_from(values), todo[0], Path(folder) / "sheet.png", style, count=3)
                seconds_a_frame = made.seconds_a_frame * SHARE[style.mode]
        plans = {count: simulate(videos, count, seconds_a_frame) for count in sorted({1, workers})}
        if as_json:
            typer.echo(json.dumps(_as_values(sources, plans[workers], seconds_a_frame)))
        else:
            for line in _describe(sources, style, videos, plans, seconds_a_frame):
                typer.echo(line)


def _as_values(sources: Sequence[str], plan: SpreadPlan, seconds_a_frame: float) -> dict[str, Any]:
    units = [
        asdict(one.unit) | {"source": sources[one.video], "worker": one.worker, "begin": one.begin, "end": one.end}
        for one in plan.assignments
    ]
    return {
        "workers": plan.workers, "seconds": plan.seconds, "idle": plan.idle, "seconds_a_frame": seconds_a_frame,
        "units": units,
    }  # fmt: skip


def _describe(
    sources: Sequence[str],
    style: Style,
    videos: Sequence[Sequence[Unit]],
    plans: Mapping[int, SpreadPlan],
    seconds_a_frame: float,
) -> list[str]:
    from stylize.runs.progress import duration

    plan = plans[max(plans)]
    lines = []
    for source, units in zip(sources, videos, strict=True):
        lines.append(f"{source}: {sum(unit.frames for unit in units)} frames in {len(units)} units")
    for one in plan.assignments[:SHOWN]:
        where = f"{sources[one.video]}: " if len(sources) > 1 else ""
        span = f"{where}frames {one.unit.first} to {one.unit.first + one.unit.frames - 1} ({one.unit.frames})"
        lines.append(f"  {span}: worker {one.worker + 1}, from {duration(one.begin)} to {duration(one.end)}")
    if len(plan.assignments) > SHOWN:
        lines.append(f"  and {len(plan.assignments) - SHOWN} more (--json lists all)")
    for count, expected in plans.items():
        idle = f", {expected.idle:.0%} of it idle" if count > 1 else ""
        lines.append(f"{count} worker{'s' * (count > 1)}: {duration(expected.seconds)}{idle}")
    lines.append(f"at {seconds_a_frame:.3g} s a frame; loading the model and joining the file come on top")
    for path in (*sources, *(path for path in style.files if path is not None)):
        size = f"{Path(path).stat().st_size / 1e6:.1f} MB" if Path(path).is_file() else "a folder"
        lines.append(f"{path} ({size}): read where a machine sees it by this name, else sent there once a worker")
    lines.append("encoded parts come back, through a folder that all see or through Ray; frames never travel")
    return lines
