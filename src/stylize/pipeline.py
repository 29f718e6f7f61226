"""The whole flow: clips in, shots found, structure taken, frames restyled, clips out."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from os import PathLike

import torch

from stylize.encode import VideoWriter, check_output
from stylize.errors import StylizeError
from stylize.fast import restyle_keyframes
from stylize.frames import Clip
from stylize.memory import Memory
from stylize.motion import Motion
from stylize.networks import Networks
from stylize.restyle import conditions_for, restyle_clip
from stylize.shots import split_shots
from stylize.structure import take_maps
from stylize.style import Style
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


class Stylizer:
    """A loaded model that restyles videos; get one from `load_stylizer`."""

    def __init__(self, networks: Networks) -> None:
        self.networks = networks

    def stream(self, video: VideoReader | Iterable[Clip], style: Style) -> Iterator[Clip]:
        """Restyled clips at the same times, as many frames; clips are cut anew so that none crosses a cut.

        How the input is cut into clips changes no pixel. Nothing is done until the result is iterated.

        Raises:
            StylizeError: a setting does not fit the model, or the video cannot be read.
        """
        conditions = conditions_for(self.networks, style)
        clips = video.clips() if isinstance(video, VideoReader) else video

        def diffuse(clip: Clip, memory: Memory, motion: Motion | None = None) -> tuple[Clip, Memory]:
            maps, depth_range = take_maps(clip, conditions.controls, self.networks.estimate_depth, memory.depth_range)
            memory = replace(memory, depth_range=depth_range)
            frames, memory = restyle_clip(self.networks, conditions, clip, maps, memory, motion)
            return replace(clip, frames=frames), memory

        if style.mode == "fast":
            yield from restyle_keyframes(split_shots(clips), lambda *frame: diffuse(*frame)[1])
            return
        memory = Memory()
        for clip in split_shots(clips):
            styled, memory = diffuse(clip, memory.cut() if clip.starts_shot else memory)
            yield styled

    def convert(
        self,
        source: str | PathLike[str],
        output: str | PathLike[str],
        style: Style,
        *,
        start: float | None = None,
        end: float | None = None,
        force: bool = False,
        crf: int = 17,
        preset: str = "medium",
        backend: Backend = "auto",
        progress: Progress | None = None,
    ) -> Report:
        """Restyles a video file into another, with the same times, size and sound.

        Args:
            start, end: seconds from the first frame; only that part is read, and the output starts at 0.
            force: replace an existing output.
            crf, preset: quality and speed of the H.264 encoder.
            progress: called after every frame.

        Raises:
            StylizeError: anything expected that went wrong, in one line; the output is then not there.
        """
        began = time.perf_counter()
        output = check_output(output, source=source, force=force)
        frames = shots = 0
        with VideoReader(source, start=start, end=end, size=style.size, backend=backend) as reader:
            part = reader.part if start is not None or end is not None else (None, None)
            writer = VideoWriter(output, reader.info, reader.size, crf=crf, preset=preset, start=part[0], end=part[1])
            with writer, self.networks.counting() as evaluations, _memory_explained():
                for clip in self.stream(reader.clips(length=1), style):  # one at a time, for progress and Ctrl-C
                    writer.write(clip)
                    frames += len(clip)
                    shots += clip.starts_shot
                    if progress is not None:
                        progress(frames, reader.frame_count)
        return Report(
            output=str(output),
            model=self.networks.name,
            seed=style.seed,
            frames=frames,
            shots=shots,
            keyframes=evaluations.frames,
            seconds=round(time.perf_counter() - began, 3),
            unet_evals_per_frame=round(evaluations.unet / frames, 3),
            peak_rss_mb=_peak_rss_mb(),
            peak_vram_mb=_peak_vram_mb(self.networks.device),
        )


@contextmanager
def _memory_explained() -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise StylizeError("the GPU is out of memory", "choose a smaller size, such as --size 512x288") from error
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
