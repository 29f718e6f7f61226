"""From a still, or from words alone, to a video: a camera moves through the scene, and each frame gets the look."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stylize.decode import read_picture
from stylize.decode.source import Source
from stylize.encode import VideoWriter, check_output, choose_encoding
from stylize.errors import Say, StyleError
from stylize.frames import Clip, DepthEstimator, Map, Picture
from stylize.networks import Networks
from stylize.runs.jobs import Job
from stylize.runs.progress import Progress, Report, peak_rss_mb
from stylize.scenes import SceneReader, Shot
from stylize.scenes.blank import BlankReader
from stylize.scenes.reader import LONGEST
from stylize.scenes.scene import fit_still
from stylize.structure import GivenDepth
from stylize.style import Style
from stylize.style.camera import CameraPath
from stylize.style.style import check_size
from stylize.style.values import Large

if TYPE_CHECKING:
    from stylize.runs.stylizer import Stylizer

DRAWN = (512, 512)
"""Size of a still that is drawn from words, if none is asked for: SD 1.5's own."""


@dataclass(frozen=True)
class SceneJob(Job):
    """A still to film, and how its video is written; `source` is the still's file, or empty for words alone."""

    blank: bool = False
    """A video model moves the picture, and no camera: all but the still is left for it to paint."""
    shot: Shot = field(default_factory=Shot)
    still: Picture | None = None
    """The still, if it does not come from a file."""
    size: tuple[int, int] | None = None
    """Width and height of the result, if no style says so; the still is cropped to their shape."""
    depth_from: Path | None = None
    depth_large: Large | None = None
    """The still's own depth, as in `Style.depth_from`; it is estimated otherwise."""

    def open(self, estimate_depth: DepthEstimator | None = None) -> Source:
        """Opens the scene; see `Job.open`."""
        if self.blank:
            drawn = self._read_still() if self.source or self.still is not None else None
            return BlankReader(Path(self.source), drawn, self.shot.seconds, self.shot.rate, self.size)
        still = self._read_still()
        if self.depth_from is not None:
            depth: Map | DepthEstimator = GivenDepth(self.depth_from, self.depth_large).at(0, still.shape[1::-1])
        elif estimate_depth is not None:
            depth = estimate_depth
        else:
            raise StyleError(f"{self.source}: nothing estimates its depth", "load a model first")
        reader = SceneReader(Path(self.source), still, self.shot, depth)
        reader.size = self.size or reader.size
        return reader

    def run(
        self, stylizer: Stylizer, style: Style | None, progress: Progress | None = None, say: Say | None = None
    ) -> Report:
        """Films the still; see `generate`."""
        return generate(stylizer, self, style, progress, say)

    def frame_at(self, second: float, size: tuple[int, int], estimate_depth: DepthEstimator | None = None) -> Clip:
        """Returns the view at a second; see `Job.frame_at`."""
        with self.open(estimate_depth) as reader:
            reader.size = size
            number = min(int(second * self.shot.rate), (reader.frame_count or 1) - 1)
            return next(iter(reader.clips(1, skip=number)))

    def _read_still(self) -> Picture:
        return np.array(read_picture(self.source), np.uint8) if self.still is None else self.still

    def check(self, style: Style | None) -> None:
        """Raises StylizeError for every fault of the files that can be known before the run."""
        if self.start is not None or self.end is not None:
            raise StyleError("a still has no time to start or end at", "use --seconds for the length")
        if style is not None and (style.mask is not None or style.mask_from):
            raise StyleError("a mask belongs to a video", "film the still first, then restyle a part with run")
        if style is not None and style.keyframes:
            raise StyleError("a painting belongs to a video", "give the painting itself as the still")
        files = () if style is None else style.files
        check_output(self.output, source=self.source, force=self.force, resume=self.resume, also=files)
        asked = self.size if style is None else style.size
        size = asked or DRAWN
        check_size(size)
        if self.source:
            still = fit_still(self._read_still(), asked, LONGEST)
            size = still.shape[1], still.shape[0]
        choose_encoding(
            self.output, size, codec=self.codec, crf=self.crf, preset=self.preset, pixel_format=self.pixel_format,
            rate=self.shot.rate,
        )  # fmt: skip


def generate(
    stylizer: Stylizer, job: SceneJob, style: Style | None, progress: Progress | None = None, say: Say | None = None
) -> Report:
    """Films a still, and restyles every frame; without a style the frames stay as they are.

    Raises:
        StylizeError: any expected failure, in one line.
    """
    job, style = prepare(stylizer, job, style)
    if style is None:
        return write_frames(job, job.open(stylizer.networks.estimate_depth), progress, say)
    return stylizer.restyle(job, style, progress, say)


def prepare(stylizer: Stylizer, job: SceneJob, style: Style | None) -> tuple[SceneJob, Style | None]:
    """Returns the job with its still, drawn if need be, and with its own depth; and the style for the frames."""
    networks = stylizer.networks
    if not isinstance(networks, Networks):
        if not job.shot.camera.parts:
            if style is None:
                raise StyleError("a video model is to be told what happens", "add --prompt TEXT, or --camera")
            return replace(job, blank=True, size=job.size or style.size), replace(style, controls={}, strength=1.0)
        if not job.source:
            raise StyleError("there is no still for the camera", "add --image FILE, or leave out --camera")
    elif not job.shot.camera.parts:
        job = replace(job, shot=replace(job.shot, camera=CameraPath()))
    if style is not None and style.depth_from is not None:
        job = replace(job, depth_from=Path(style.depth_from), depth_large=style.depth_large)
        style = replace(style, depth_from=None, depth_large=None)
    if job.depth_from is not None and not job.source and job.still is None:
        raise StyleError("depth is given of a still that is not", "add --image FILE")
    if not job.source and job.still is None:
        if style is None or not style.prompt.strip():
            raise StyleError("there is nothing to film", "add --image FILE, or --prompt TEXT with a model that draws")
        job = replace(job, still=_draw(stylizer, style))
    return job, style


def _draw(stylizer: Stylizer, style: Style) -> Picture:
    """Draws the still from a style's words, with the networks laid out as in a run."""
    from stylize.networks import arrange
    from stylize.restyle import ImageRestyler
    from stylize.restyle.still import draw_still
    from stylize.runs.convert import check_paints, explain_memory

    assert isinstance(stylizer.networks, Networks)
    check_paints(stylizer.networks, leaves_open=False)
    size, reference = style.size or DRAWN, None if style.reference is None else read_picture(style.reference)
    with explain_memory():
        arrange(stylizer.networks, size, stylizer.layout)
        return draw_still(ImageRestyler(stylizer.networks), style, size, reference)


def write_frames(
    job: Job,
    source: Source,
    progress: Progress | None = None,
    say: Say | None = None,
) -> Report:
    """Writes the frames of a source as they are."""
    if job.resume and say is not None:
        say("without a look nothing is kept of a run that was stopped: it begins anew")
    began, done = time.perf_counter(), 0
    output = check_output(job.output, source=job.source, force=job.force, resume=job.resume)
    with source as reader:
        start, end = (None, None) if job.is_whole else reader.part
        encoding = job.choose_encoding(reader.size, reader.info)
        with VideoWriter(
            output, reader.info, reader.size, encoding=encoding, start=start, end=end, say=say, force=job.force
        ) as writer:
            for clip in reader.clips(1):
                writer.write(clip)
                done += len(clip)
                if progress is not None:
                    progress(done, reader.frame_count)
        return Report(
            output=str(output), model="none", seed=0, frames=done, shots=1, keyframes=0,
            seconds=round(time.perf_counter() - began, 3), unet_evals_per_frame=0.0, peak_rss_mb=peak_rss_mb(),
            peak_vram_mb=None, concealed=reader.damage.concealed,
        )  # fmt: skip
