"""Many videos with one model: each by itself, a bad one does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stylize.decode import VideoReader
from stylize.decode.reader import Backend
from stylize.encode import Encoding, WorkFolder, check_output, choose_encoding
from stylize.encode.outputs import check_no_input, check_place, is_input
from stylize.errors import Say, StylizeError, UnfinishedRun, VideoError
from stylize.runs.progress import Progress, Report
from stylize.runs.sheets import SUFFIXES
from stylize.style import Style

if TYPE_CHECKING:
    from stylize.runs.stylizer import Stylizer


@dataclass(frozen=True)
class Views:
    """What is to be made of source and result after a run, and where."""

    side_by_side: Path | None = None
    split: Path | None = None
    before_after: Path | None = None

    def make(self, source: str, styled: Path, *, start: float | None, force: bool) -> None:
        """Writes them."""
        from stylize.runs.comparison import before_after, compare

        if self.side_by_side is not None:
            compare(source, styled, self.side_by_side, "side-by-side", start=start, force=force)
        if self.split is not None:
            compare(source, styled, self.split, "split", start=start, force=force)
        if self.before_after is not None:
            before_after(source, styled, self.before_after, start=start, force=force)

    def check(self, source: str, styled: Path, *, force: bool) -> None:
        """Raises StylizeError where one of them cannot be written, or would be written over another or the source."""
        wanted = [path for path in (self.side_by_side, self.split, self.before_after) if path is not None]
        for number, path in enumerate(wanted):
            if path is self.before_after:
                check_place(path, SUFFIXES, force=force)
            else:
                check_output(path, source=styled, force=force)
            others: tuple[str | Path, ...] = (source, styled, *wanted[:number])
            for other in others:
                check_no_input(path, other)


@dataclass(frozen=True)
class Job:
    """One video to restyle, and how its file is to be read and written."""

    source: str = ""
    """A file that FFmpeg reads, a folder or pattern of pictures, or an animation."""
    output: Path = Path()
    force: bool = False
    """Replace an existing output, and begin an unfinished run again."""
    resume: bool = False
    """Go on with an unfinished run; its frames equal an uninterrupted one's, bit by bit."""
    start: float | None = None
    end: float | None = None
    """Seconds from the first frame; only that part is read, and the output starts at 0."""
    fps: Fraction | None = None
    """Pictures a second, where the source is pictures without times."""
    strict: bool = False
    """Refuse a damaged source; otherwise frames that cannot be decoded repeat the one before."""
    backend: Backend = "auto"
    """What decodes: "av", "decord", or "auto", which takes decord where it is exact."""
    codec: str | None = None
    crf: int | None = None
    preset: str = "medium"
    pixel_format: str | None = None
    """As in `encode.choose_encoding`; the kind of file has good ones."""
    settings: Mapping[str, Any] | None = None
    """What the result's comment says it was made with, as options of `stylize run`; the style if left out."""
    views: Views = Views()

    @property
    def is_whole(self) -> bool:
        """The whole source is restyled."""
        return self.start is None and self.end is None

    def open(self) -> VideoReader:
        """The source, to be read as the job says."""
        return VideoReader(
            self.source, start=self.start, end=self.end, fps=self.fps, strict=self.strict, backend=self.backend
        )

    def choose_encoding(self, size: tuple[int, int], *, alpha: bool) -> Encoding:
        """How the output is encoded."""
        return choose_encoding(
            self.output, size, codec=self.codec, crf=self.crf, preset=self.preset, pixel_format=self.pixel_format,
            alpha=alpha,
        )  # fmt: skip

    def check(self, style: Style) -> None:
        """Raises StylizeError for everything about the files that can be known before the work."""
        check_output(self.output, source=self.source, force=self.force, resume=self.resume, also=style.files)
        self.views.check(self.source, self.output, force=self.force)
        reader = self.open()
        self.choose_encoding(style.size or reader.size, alpha=reader.info.has_alpha)

    @property
    def is_done(self) -> bool:
        """True if a resumed job is already complete."""
        there = self.output.exists() and not is_input(self.output, self.source)
        return self.resume and there and not WorkFolder(self.output).path.exists()

    def carry_out(self, stylizer: Stylizer, style: Style, progress: Progress, say: Say) -> Report:
        """Restyles the video and makes the views of it."""
        report = stylizer.restyle(self, style, progress, say)
        self.views.make(self.source, self.output, start=self.start, force=self.force)
        return report


def jobs(sources: Sequence[str], output: str, settings: Job) -> list[Job]:
    """One a source: into the file `output`, or, of many or for a folder, into that folder under the source's name.

    Raises:
        VideoError: many sources and no folder, or two of them with one name.
    """
    place = Path(output)
    if len(sources) == 1 and not place.is_dir() and not output.endswith(("/", "\\")):
        return [replace(settings, source=sources[0], output=place)]
    if settings.views != Views():
        raise VideoError("side-by-side, split and before-after are of one video", "name one source and one output")
    if place.suffix and not place.is_dir() and not output.endswith(("/", "\\")):
        raise VideoError(f"{output}: is one file for {len(sources)} videos", "name a folder: -o results/")
    try:
        place.mkdir(exist_ok=True)
    except OSError as error:
        raise VideoError(f"{place}: cannot be made ({error.strerror})", "name a folder in one that exists") from error
    suffix = {"vp9": ".webm", "prores": ".mov", "ffv1": ".mkv"}.get(settings.codec or "", ".mp4")
    todo = [replace(settings, source=s, output=place / f"{_stem(s)}{suffix}") for s in sources]
    names = [job.output for job in todo]
    if doubled := {name for name in names if names.count(name) > 1}:
        raise VideoError(
            f"{min(doubled)}: would be written twice", "restyle videos of one name into folders of their own"
        )
    return todo


def _stem(source: str) -> str:
    """A file's name; pictures have their folder's."""
    path = Path(source)
    return (path.absolute().parent.name if "*" in path.name else path.stem or path.absolute().name) or "pictures"


def restyle_all(
    stylizer: Stylizer,
    style: Style,
    todo: Sequence[Job],
    progress_bar: Callable[[], AbstractContextManager[Progress]],
    say: Say,
    show: Callable[[Report], None],
) -> int:
    """Goes through the jobs and returns how many failed; of a single one, the error is raised.

    Raises:
        KeyboardInterrupt: with a line on what is done, where that is safe on disk.
    """
    failed: list[StylizeError] = []
    for job in todo:
        if len(todo) > 1 and job.is_done:
            say(f"{job.output}: is done already")
            continue
        try:
            with progress_bar() as progress:
                report = job.carry_out(stylizer, style, progress, say)
            show(report)
        except StylizeError as error:
            explained = _add_frames_done(error, job.output)
            if len(todo) == 1:
                raise explained from error
            failed.append(explained)
            say(str(explained))
        except Exception as error:  # a fault of ours, or of a library's: the other videos are not to wait for it
            if len(todo) == 1:
                raise
            failed.append(StylizeError(f"{job.source}: {type(error).__name__}: {error}", "restyle it by itself"))
            say(str(failed[-1]))
        except KeyboardInterrupt:
            done = frames_done(job.output)
            raise KeyboardInterrupt(
                f"interrupted: {done} frames are done, --resume goes on with them" if done else ""
            ) from None
    if failed:
        say(f"{len(failed)} of {len(todo)} videos failed:")
        for problem in failed:
            say(f"  {problem}")
    return len(failed)


def frames_done(output: Path) -> int:
    """Frames that an unfinished run has safely on disk."""
    try:
        manifest = WorkFolder(output).manifest()
    except VideoError:
        return 0
    return manifest.frames if manifest else 0


def _add_frames_done(error: StylizeError, output: Path) -> StylizeError:
    """The error, and how much of the work is safe; an `UnfinishedRun` says so itself."""
    done = frames_done(output)
    if not done or isinstance(error, UnfinishedRun):
        return error
    return type(error)(f"{error}; {done} frames are done, --resume goes on with them")
