"""The calls that most programs need."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stylize.decode import VideoReader
from stylize.decode.reader import Backend
from stylize.encode import check_output, choose_encoding
from stylize.errors import Say, StyleError
from stylize.frames import Clip, StructureMaps, one_by_one
from stylize.masks import masking_for
from stylize.models import POCKET
from stylize.motion import CutDetector, Motion, split_shots
from stylize.networks import Networks, arrange, choose_batch
from stylize.networks.budget import check_batch
from stylize.pipeline import remembered
from stylize.restyle import Conditions, Memory, conditions_for
from stylize.restyle.image_restyler import restyle_frame, restyle_frames
from stylize.restyle.keyframes import restyle_keyframes
from stylize.runs.convert import Run, _memory_explained, begun_with
from stylize.runs.progress import Progress, Report, _peak_rss_mb, _peak_vram_mb
from stylize.runs.state import State
from stylize.structure import DepthRange, take_maps
from stylize.structure.given import GivenDepth
from stylize.style import Style
from stylize.style.style import Layout

if TYPE_CHECKING:
    import torch


def load_stylizer(
    model: str | Path = POCKET,
    *,
    device: str | None = None,
    dtype: torch.dtype | None = None,
    controlnets: Mapping[str, str | Path] | None = None,
    controls: Sequence[str] = (),
    loras: Mapping[str | Path, float] | None = None,
    ip_adapter: str | Path | None = None,
    textual_inversions: Sequence[str | Path] = (),
    vae: str | Path | None = None,
    depth: str | Path | None = None,
    memory: Layout | None = None,
    batch: int | None = None,
    offline: bool = False,
    say: Callable[[str], None] | None = None,
) -> Stylizer:
    """Loads a model once, to restyle any number of videos.

    What is named beside the model is a path, a hub id, or a hub id with a file: `owner/repository/file.safetensors`.

    Args:
        model: "pocket" (built in), another name of `stylize models`, a folder in diffusers format, a .safetensors
            checkpoint of SD 1.5, SD 2.1 or SDXL, or a hub id.
        device: "cpu", "cuda", "mps", ...; the best one here when `None`.
        dtype: of the networks; what the device does well when `None`.
        controlnets: ControlNets by control name ("depth", "canny", "lineart", ...), in place of the model's own.
        controls: names of the controls that will be asked for: only their ControlNets are loaded then, and those that
            the model lacks ("lineart", "openpose", ...) are the family's published ones.
        loras: LoRAs with their weights, such as `{"ink.safetensors": 0.8}`.
        ip_adapter: an IP-Adapter, which lets a Stable Diffusion model read reference pictures.
        textual_inversions: each is a word of the prompt, the one that its file is named by.
        vae: in place of the model's own; also TAESD.
        depth: a depth network of transformers (Depth Anything V2) in place of MiDaS.
        memory: how the networks are laid out; what fits is chosen when `None`.
        batch: frames that are denoised together, 1 to 32 and at most as many as there are steps; up to 4 if they
            fit when `None`.
        offline: never ask the hub, whatever is missing.
        say: gets a line before each download, with its size.

    Raises:
        ModelError: the model or one of the others cannot be found or loaded, or does not fit the model's family.
        StyleError: `batch` is out of range.
    """
    from stylize.models.loading import load_networks
    from stylize.models.parts import Extras
    from stylize.networks.budget import check_batch
    from stylize.runs.stylizer import Stylizer

    check_batch(batch)
    extras = Extras(controlnets, controls, loras or {}, ip_adapter, textual_inversions, vae, depth)
    networks = load_networks(model, device=device, dtype=dtype, extras=extras, offline=offline, say=say)
    return Stylizer(networks, memory, batch)


def stylize_video(
    source: str | PathLike[str],
    output: str | PathLike[str],
    *,
    prompt: str = "",
    model: str | Path = POCKET,
    force: bool = False,
    **style: Any,
) -> Report:
    """Restyles one video file: `stylize_video("in.mp4", "out.mp4", prompt="ink drawing")`.

    Args:
        style: any further field of `Style`, such as `strength=0.6` or `seed=7`.

    Raises:
        StylizeError: anything expected that went wrong, in one line; the output is then not there.
    """
    wish = Style(prompt=prompt, **style)
    return load_stylizer(model).convert(source, output, wish, force=force)


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
