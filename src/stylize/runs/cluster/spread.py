"""Restyles videos on a crew of workers, and says what became of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stylize.encode import WorkFolder
from stylize.errors import Say, StylizeError, VideoError
from stylize.runs.cluster.crew import Crew
from stylize.runs.cluster.schedule import Schedule
from stylize.runs.cluster.video import PLAN, Video
from stylize.runs.jobs import Job, add_frames_done
from stylize.runs.progress import Progress, Report
from stylize.style import Style


def restyle_spread(
    crew: Crew,
    todo: Sequence[Job],
    style: Style,
    load: Mapping[str, Any],
    *,
    split: bool = False,
    progress: Progress | None = None,
    say: Say | None = None,
    tell: Say | None = None,
    show: Callable[[Report], None] = lambda report: None,
) -> list[StylizeError]:
    """Restyles videos on a crew, as `Stylizer.restyle` does one by one; returns the errors of those that failed.

    Shots, or a few short ones together, go to the workers as they come free. The frames equal those of a run by one
    worker, bit by bit, at the same batch, layout and kind of device.

    Args:
        load: arguments of `load_stylizer`, for the workers.
        split: cut shots that are longer than `units.STRETCH`, too: their frames differ a little from one worker's.
        progress: called with the frames done and all frames, of all videos together.
        say: as in `Stylizer.convert`.
        tell: gets a line about each worker and each unit that is done.
        show: called with the report of each video that is done.

    Raises:
        StylizeError: the workers cannot load the model; if there is only one video, whatever ended it.
    """
    failed: list[StylizeError] = []

    def end(job: Job, error: StylizeError) -> None:
        explained = add_frames_done(error, job.output)
        if len(todo) == 1:
            raise explained from error
        failed.append(explained)
        if say is not None:
            say(str(explained))

    def ended(video: Video, result: Report | StylizeError) -> None:
        if isinstance(result, Report):
            show(result)
        else:
            end(video.job, result)

    with crew:  # whatever happens, it ends
        videos = []
        for job in todo:
            if len(todo) > 1 and job.is_done:
                (say or (lambda line: None))(f"{job.output}: is done already")
                continue
            try:
                videos.append(Video(job, style, split=split, say=say))
            except StylizeError as error:
                end(job, error)
        Schedule(crew, videos, load, progress=progress, tell=tell, ended=ended).run()
    return failed


def was_spread(output: Path) -> bool:
    """Tells whether an unfinished run of this output was begun by several workers."""
    folder = WorkFolder(output)
    try:
        manifest = folder.manifest()
    except VideoError:
        return False
    return (folder.units / PLAN).is_file() and manifest is not None and not manifest.complete
