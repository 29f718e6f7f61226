"""The whole flow: clips in, shots found, structure taken, frames restyled, clips out."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from stylize.codecs import choose_encoding
from stylize.conditions import Conditions, conditions_for
from stylize.errors import StyleError, StylizeError
from stylize.fast import restyle_keyframes
from stylize.frames import Clip, Picture, StructureMaps, one_by_one
from stylize.givendepth import GivenDepth
from stylize.hardware import arrange, check_batch, choose_batch
from stylize.masking import Masking
from stylize.mattes import Matte, matte_source
from stylize.memory import Memory
from stylize.motion import Motion
from stylize.networks import Networks
from stylize.outputs import check_output
from stylize.restyle import restyle_frame, restyle_frames
from stylize.run import Run, begun_with
from stylize.shots import CutDetector, split_shots
from stylize.state import State
from stylize.structure import DepthRange, take_maps
from stylize.style import Layout, Style
from stylize.tracks import Say
from stylize.video import Backend, VideoReader

Progress = Callable[[int, int | None], None]
"""Called with the frames done and the frames there will be, as far as known."""


@dataclass(frozen=True)
class Report:
    """What a run did and what it took."""

    output: str
    model: str
    seed: int
    frames: int
    shots: int
    keyframes: int
    """Frames that were diffused; the others were filled in between them or repeated."""
    seconds: float
    unet_evals_per_frame: float
    """Samples that went through the UNet, guidance counted double."""
    peak_rss_mb: float | None
    peak_vram_mb: float | None
    concealed: int = 0
    """Frames of the source that could not be decoded and show the one before."""
    resumed_from: int = 0
    """Frames that an earlier, unfinished run had done."""


class Stylizer:
    """A loaded model that restyles videos; get one from `load_stylizer`."""

    def __init__(self, networks: Networks, layout: Layout | None = None, batch: int | None = None) -> None:
        self.networks, self.layout, self.batch = networks, layout, check_batch(batch)

    def stream(self, video: VideoReader | Iterable[Clip], style: Style) -> Iterator[Clip]:
        """Restyled clips of one frame each, at the same times, as many as there are frames.

        How the input is cut into clips changes no pixel. Nothing is done until the result is iterated.

        Raises:
            StylizeError: a setting does not fit the model, or the video cannot be read.
        """
        clips, path = (video.clips(), video.info.path) if isinstance(video, VideoReader) else (video, None)
        return (clip for clip, _ in self.steps(clips, style, source=path))

    def steps(
        self,
        clips: Iterable[Clip],
        style: Style,
        state: State | None = None,
        source: Path | None = None,
        conditions: Conditions | None = None,
        batch: int | None = None,
    ) -> Iterator[tuple[Clip, State | None]]:
        """Restyled clips, beside each the state from which a run can go on after it, where one can.

        Args:
            state: of a run that was broken off; `clips` then begin with the first frame that it did not restyle.
            source: the file that the clips come from; a mask from motion looks at its beginning.
            conditions: what the style has become already.
            batch: frames to denoise together, where that is decided already.
        """
        conditions = conditions or conditions_for(self.networks, style)
        given = None if style.depth_from is None else GivenDepth(style.depth_from, style.depth_large)
        if given is not None and "depth" not in conditions.controls:
            raise StyleError(f"{self.networks.name} is asked for no depth", "add --control depth:1, or leave depth out")
        memory, detector = (state.memory, state.detector) if state else (Memory(), CutDetector())
        masking = masking_for(style, source, state.matte if state else None)

        def maps_of(clip: Clip, depth_range: DepthRange | None) -> tuple[StructureMaps, DepthRange | None]:
            return take_maps(
                clip, conditions.controls, self.networks.estimate_depth, depth_range, str(self.networks.device),
                structure=conditions.structure, given=given,
            )  # fmt: skip

        def keyframe(frame: Clip, memory: Memory, motion: Motion | None) -> Memory:
            maps, depth_range = maps_of(frame, memory.depth_range)
            memory = replace(memory, depth_range=depth_range)
            return restyle_frame(self.networks, conditions, frame, maps, memory, motion)[1]

        sources = deque[Clip]()
        frames = remembered(split_shots(one_by_one(clips), detector), sources)
        if style.mode == "fast":
            restyled = restyle_keyframes(frames, keyframe, memory)
        else:
            restyled = restyle_frames(self.networks, conditions, frames, maps_of, memory, batch or self.batch)
        for styled, after in restyled:
            source_frame = sources.popleft()
            done = masking.applied(source_frame, styled) if masking else styled
            yield done, State(after, detector.copy(), masking.before if masking else None) if after else None

    def convert(
        self,
        source: str | PathLike[str],
        output: str | PathLike[str],
        style: Style,
        *,
        start: float | None = None,
        end: float | None = None,
        force: bool = False,
        resume: bool = False,
        fps: Fraction | None = None,
        strict: bool = False,
        codec: str | None = None,
        crf: int | None = None,
        preset: str = "medium",
        pixel_format: str | None = None,
        backend: Backend = "auto",
        progress: Progress | None = None,
        say: Say | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Report:
        """Restyles a video file into another, with the same times, size, sound and all else that it can hold.

        Args:
            start, end: seconds from the first frame; only that part is read, and the output starts at 0.
            force: replace an existing output, and begin an unfinished run again.
            resume: go on with an unfinished run; its frames equal an uninterrupted one's, bit by bit.
            fps: pictures a second, where the source is pictures without times.
            strict: refuse a damaged source; otherwise frames that cannot be decoded repeat the one before.
            codec, crf, preset, pixel_format: as in `choose_encoding`; the kind of file has good ones.
            progress: called after every frame.
            settings: what the result's comment says it was made with, as options of `stylize run`; else the style.
            say: is told in a line of what had to be converted or left out; a warning if left out.

        Raises:
            StylizeError: anything expected that went wrong, in one line; the output is then not there, and whole
                segments of the run are kept for `resume`.
        """
        began = time.perf_counter()
        output = check_output(output, source=source, force=force, resume=resume, also=style.files)
        with VideoReader(source, start=start, end=end, backend=backend, fps=fps, strict=strict) as reader:
            size = style.size or reader.size
            reader.size = style.fitted(size)
            if style.depth_from is not None and start is None and end is None and reader.frame_count is not None:
                GivenDepth(style.depth_from).check_enough(reader.frame_count)
            alpha = reader.info.has_alpha
            with _memory_explained():
                conditions = conditions_for(self.networks, style)
                begun = begun_with(output) if resume else {}  # what fits may be another today
                layout = arrange(self.networks, reader.size, self.layout or begun.get("memory"), say, conditions.load)
                batch = choose_batch(self.networks, reader.size, self.batch or begun.get("batch"), conditions.load)
            encoding = choose_encoding(
                output, size, codec=codec, crf=crf, preset=preset, pixel_format=pixel_format, alpha=alpha
            )
            run = Run(self, style, conditions, reader, output, encoding, size, layout, batch, (start, end), settings)
            manifest, state = run.unfinished(resume=resume, force=force)
            with self.networks.counting() as evaluations, _memory_explained():
                counts = run.carry_out(manifest, state, evaluations, progress, say)
        return self._report(output, style, counts, began, reader, manifest.frames if manifest else 0)

    def _report(
        self, output: Path, style: Style, counts: Mapping[str, int], began: float, reader: VideoReader, resumed: int
    ) -> Report:
        return Report(
            output=str(output),
            model=self.networks.name,
            seed=style.seed,
            frames=counts["frames"],
            shots=counts["shots"],
            keyframes=counts["keyframes"],
            seconds=round(time.perf_counter() - began, 3),
            unet_evals_per_frame=round(counts["unet"] / counts["frames"], 3),
            peak_rss_mb=_peak_rss_mb(),
            peak_vram_mb=_peak_vram_mb(self.networks.device),
            concealed=reader.damage.concealed,
            resumed_from=resumed,
        )


def masking_for(style: Style, source: Path | None, before: tuple[Picture, Matte] | None) -> Masking | None:
    """What keeps the rest of the picture as it is, if only a part is to be restyled."""
    if style.mask is None and not style.mask_from:
        return None
    mattes = matte_source(None if style.mask is None else Path(style.mask), style.mask_from, source)
    return Masking(mattes, background=style.mask_part == "background", feather=style.mask_feather, before=before)


def remembered(frames: Iterable[Clip], kept: deque[Clip]) -> Iterator[Clip]:
    """The same frames, each of which waits in `kept` until somebody takes it out."""
    for frame in frames:
        kept.append(frame)
        yield frame


@contextmanager
def _memory_explained() -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise StylizeError("the GPU is out of memory", "use --batch 1, or a smaller size (--size 512x288)") from error
    except MemoryError as error:
        raise StylizeError("out of memory", "choose a smaller size, such as --size 512x288") from error


def _peak_rss_mb() -> float | None:
    """The process's peak resident memory; not known on Windows."""
    if sys.platform == "win32":
        return None
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kibibytes elsewhere
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)


def _peak_vram_mb(device: torch.device) -> float | None:
    return round(torch.cuda.max_memory_allocated(device) / 1e6, 1) if device.type == "cuda" else None
