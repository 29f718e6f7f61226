"""A larger canvas: the picture stays as it is, and what lies beyond it is painted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from stylize.decode.source import Source, WrappedSource
from stylize.encode import check_output
from stylize.errors import Say, StyleError
from stylize.frames import Clip, DepthEstimator
from stylize.runs.generate import write_frames
from stylize.runs.jobs import Job
from stylize.runs.progress import Progress, Report
from stylize.scenes.beyond import expand_clips
from stylize.scenes.canvas import Canvas, place_picture
from stylize.style import Style

if TYPE_CHECKING:
    from stylize.runs.stylizer import Stylizer


PREVIEWED = 0.4
"""Seconds after a previewed frame from which something may come into it; two frames at least."""


class CanvasSource(WrappedSource):
    """A source whose frames lie on a larger canvas."""

    def __init__(self, source: Source, canvas: Canvas) -> None:
        super().__init__(source)
        self._canvas = canvas
        self.size, self.matte = canvas.size, canvas.ramp
        self.info = replace(source.info, width=canvas.size[0], height=canvas.size[1])

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the frames depend on beside the file: also the canvas."""
        return {**self._source.facts, "canvas": {name: str(value) for name, value in asdict(self._canvas).items()}}

    def clips(self, length: int = 8, *, skip: int = 0) -> Iterator[Clip]:
        """Yields clips of one frame; those before `skip` are read, too, as what lies beyond comes from there."""
        for clip in expand_clips(self._source.clips(1), self._canvas, skip):
            yield replace(clip, known=self._canvas.known[None])  # a video model paints the rest anew


@dataclass(frozen=True)
class CanvasJob(Job):
    """A video to expand, and how its files are read and written."""

    canvas: str = ""
    """Size of the canvas, "1920x1080", or its shape, "16:9"."""
    place: str = "center"
    """Place of the picture: "center", "left", "right", "top", "bottom" or "X,Y"."""

    def open(self, estimate_depth: DepthEstimator | None = None) -> Source:
        """Opens the source on its canvas; see `Job.open`."""
        source = super().open(estimate_depth)
        return CanvasSource(source, place_picture(source.size, self.canvas, self.place))

    def run(
        self, stylizer: Stylizer | None, style: Style | None, progress: Progress | None = None, say: Say | None = None
    ) -> Report:
        """Paints beyond the picture; see `expand`."""
        return expand(stylizer, self, style, progress, say)

    def frame_at(self, second: float, size: tuple[int, int], estimate_depth: DepthEstimator | None = None) -> Clip:
        """Returns the frame at a second, with what the frames just after it show; see `Job.frame_at`."""
        with Job.open(self) as source:
            seconds = max(PREVIEWED, 2 / float(source.info.frame_rate))
        end = second + seconds if self.end is None else min(self.end, second + seconds)
        return Job.frame_at(replace(self, end=end), second, size, estimate_depth)

    def check(self, style: Style | None) -> None:
        """Raises StylizeError for every fault of the files that can be known before the run."""
        files = () if style is None else style.files
        check_output(self.output, source=self.source, force=self.force, resume=self.resume, also=files)
        if style is not None and (style.size is not None or style.fit is not None):
            raise StyleError("the picture stays as it is, so it cannot be resized", "expand it first, then resize it")
        if style is not None and (style.mask is not None or style.mask_from or style.keyframes):
            raise StyleError("beyond the picture there is no mask and no painting", "expand it first, then restyle it")
        source = self.open()
        self.choose_encoding(source.size, source.info)


def expand(
    stylizer: Stylizer | None, job: CanvasJob, style: Style | None, progress: Progress | None = None,
    say: Say | None = None,
) -> Report:  # fmt: skip
    """Paints beyond a video's picture, which stays as it is, bit by bit.

    What the camera showed in other frames comes from there, the rest is painted. With a style, and a loaded model, all
    that is beyond gets its look.

    Raises:
        StylizeError: any expected failure, in one line.
    """
    if style is None:
        return write_frames(job, job.open(), progress, say)
    assert stylizer is not None
    return stylizer.restyle(job, style, progress, say)
