"""Jobs: many videos restyled with one model, one after the other; a failed one does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stylize.decode import VideoInfo, VideoReader
from stylize.decode.reader import Backend, Fields
from stylize.decode.source import Source
from stylize.encode import Encoding, WorkFolder, check_output, choose_encoding
from stylize.encode.outputs import check_no_input, check_place, is_input
from stylize.errors import Say, StyleError, StylizeError, UnfinishedRun, VideoError
from stylize.frames import Clip, DepthEstimator
from stylize.runs.progress import Progress, Report
from stylize.runs.sheets import SUFFIXES
from stylize.style import Style

if TYPE_CHECKING:
    from stylize.runs.stylizer import Stylizer


@dataclass(frozen=True)
class Views:
    """The comparisons of source and result to write after a run: the path of each, or `None`."""

    side_by_side: Path | None = None
    split: Path | None = None
    before_after: Path | None = None

    def make(self, source: str, styled: Path, *, start: float | None, force: bool) -> None:
        """Writes the comparisons."""
        from stylize.runs.comparison import before_after, compare

        if self.side_by_side is not None:
            compare(source, styled, self.side_by_side, "side-by-side", start=start, force=force)
        if self.split is not None:
            compare(source, styled, self.split, "split", start=start, force=force)
        if self.before_after is not None:
            before_after(source, styled, self.before_after, start=start, force=force)

    def check(self, source: str, styled: Path, *, force: bool) -> None:
        """Raises StylizeError if a comparison cannot be written, or would overwrite source, result or another one."""
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
    """One video to restyle, and how its files are read and written."""

    source: str = ""
    """A file that FFmpeg reads, a folder or pattern of pictures, or an animation."""
    output: Path = Path()
    force: bool = False
    """Replace an existing output, and start an unfinished run over."""
    resume: bool = False
    """Go on with an unfinished run; the frames equal those of an uninterrupted run, bit by bit."""
    start: float | None = None
    end: float | None = None
    """Seconds from the first frame. Only the part from `start` to `end` is read, and the output starts at 0."""
    fps: Fraction | None = None
    """Pictures per second, if the source is pictures without times."""
    strict: bool = False
    """Refuse a damaged source; otherwise a frame that cannot be decoded repeats the one before."""
    fields: Fields = "deinterlace"
    """Whether whole pictures are made of interlaced ones ("deinterlace"), or these are kept as they are ("keep")."""
    backend: Backend = "auto"
    """The decoder: "av", "decord", or "auto", which takes decord where it is exact."""
    codec: str | None = None
    crf: int | None = None
    preset: str = "medium"
    pixel_format: str | None = None
    """Encoding options as in `encode.choose_encoding`; `None` takes a good value for the file format."""
    settings: Mapping[str, Any] | None = None
    """Options of `stylize run` that the result's comment records; `None` records those of the style and model."""
    views: Views = Views()

    @property
    def is_whole(self) -> bool:
        """True if the whole source is restyled."""
        return self.start is None and self.end is None

    def open(self, estimate_depth: DepthEstimator | None = None) -> Source:
        """Opens the source, to be read as the job says.

        Args:
            estimate_depth: for sources that are rendered.
        """
        return VideoReader(
            self.source, start=self.start, end=self.end, fps=self.fps, strict=self.strict, backend=self.backend,
            fields=self.fields,
        )  # fmt: skip

    def frame_at(self, second: float, size: tuple[int, int], estimate_depth: DepthEstimator | None = None) -> Clip:
        """Returns the frame at a second, at a size; the first one if the header promised more than there is."""
        for moment in (second, self.start or 0.0):
            with replace(self, start=moment).open(estimate_depth) as reader:
                reader.size = size
                try:
                    return next(iter(reader.clips(1)))
                except VideoError:
                    if moment == (self.start or 0.0):
                        raise
        raise AssertionError

    def choose_encoding(self, size: tuple[int, int], info: VideoInfo) -> Encoding:
        """Returns the encoding of the output, for a source."""
        return choose_encoding(
            self.output, size, codec=self.codec, crf=self.crf, preset=self.preset, pixel_format=self.pixel_format,
            alpha=info.has_alpha, rate=info.frame_rate,
        )  # fmt: skip

    def check(self, style: Style) -> None:
        """Raises StylizeError for every fault of the files that can be known before the run."""
        check_output(self.output, source=self.source, force=self.force, resume=self.resume, also=style.files)
        self.views.check(self.source, self.output, force=self.force)
        reader = self.open()
        self.choose_encoding(style.size or reader.size, reader.info)

    @property
    def is_done(self) -> bool:
        """True if a resumed job is already complete."""
        there = self.output.exists() and not is_input(self.output, self.source)
        return self.resume and there and not WorkFolder(self.output).path.exists()

    def run(
        self, stylizer: Stylizer, style: Style | None, progress: Progress | None = None, say: Say | None = None
    ) -> Report:
        """Restyles the video.

        Raises:
            StyleError: there is no style.
        """
        if style is None:
            raise StyleError("no look is asked for", "add a prompt or a reference")
        return stylizer.restyle(self, style, progress, say)

    def carry_out(self, stylizer: Stylizer, style: Style, progress: Progress, say: Say) -> Report:
        """Restyles the video and writes its comparisons."""
        report = self.run(stylizer, style, progress, say)
        self.views.make(self.source, self.output, start=self.start, force=self.force)
        return report


def jobs(sources: Sequence[str], output: str, settings: Job) -> list[Job]:
    """Makes one job per source.

    A single source is written to the file `output`. Results of several sources go into the folder `output`, each under
    its source's name, and so does a single one if `output` is a folder.

    Raises:
        VideoError: there are several sources and `output` is a file, two sources have the same name, comparisons are
            asked for with a folder, or the folder cannot be made.
    """
    path = Path(output)
    if len(sources) == 1 and not path.is_dir() and not output.endswith(("/", "\\")):
        return [replace(settings, source=sources[0], output=path)]
    if settings.views != Views():
        raise VideoError("side-by-side, split and before-after are of one video", "name one source and one output")
    if path.suffix and not path.is_dir() and not output.endswith(("/", "\\")):
        raise VideoError(f"{output}: is one file for {len(sources)} videos", "name a folder: -o results/")
    suffix = {"vp9": ".webm", "prores": ".mov", "ffv1": ".mkv"}.get(settings.codec or "", ".mp4")
    todo = [replace(settings, source=s, output=path / f"{_choose_stem(s)}{suffix}") for s in sources]
    names = [job.output for job in todo]
    if doubled := {name for name in names if names.count(name) > 1}:
        raise VideoError(
            f"{min(doubled)}: would be written twice", "restyle videos of one name into folders of their own"
        )
    try:
        path.mkdir(exist_ok=True)
    except OSError as error:
        raise VideoError(f"{path}: cannot be made ({error.strerror})", "name a folder in one that exists") from error
    return todo


def _choose_stem(source: str) -> str:
    """Returns the source's name without its suffix; for a pattern of pictures, the name of their folder."""
    path = Path(source)
    if "*" in path.name:
        return path.absolute().parent.name or "pictures"
    name = path.absolute().name if path.is_dir() else path.stem
    return name or "pictures"


def restyle_all(
    stylizer: Stylizer,
    style: Style,
    todo: Sequence[Job],
    progress_bar: Callable[[], AbstractContextManager[Progress]],
    say: Say,
    show: Callable[[Report], None],
) -> int:
    """Carries out the jobs and returns how many failed; if there is only one, its error is raised.

    Raises:
        KeyboardInterrupt: the run was interrupted; the message counts the frames that are safe on disk, if any.
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
            explained = add_frames_done(error, job.output)
            if len(todo) == 1:
                raise explained from error
            failed.append(explained)
            say(str(explained))
        except Exception as error:  # a bug here or in a library must not stop the other videos
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
    """Returns the number of frames that an unfinished run has safely on disk."""
    try:
        return WorkFolder(output).frames_done()
    except VideoError:
        return 0


def add_frames_done(error: StylizeError, output: Path) -> StylizeError:
    """Adds to the error how many frames are safe on disk; an `UnfinishedRun` says so itself."""
    done = frames_done(output)
    if not done or isinstance(error, UnfinishedRun):
        return error
    return type(error)(f"{error}; {done} frames are done, --resume goes on with them")
