"""A loaded model that restyles videos, and the calls that most programs need."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stylize.decode import VideoReader
from stylize.errors import Say, StyleError
from stylize.frames import Clip, one_by_one
from stylize.masks import Masking
from stylize.models import POCKET
from stylize.models.loading import load_model
from stylize.models.parts import Extras
from stylize.networks import Networks, VideoNetworks, choose_batch
from stylize.networks.budget import arrange, check_batch
from stylize.networks.compiling import Compile
from stylize.pipeline import State, make_plan, restyle_clips
from stylize.restyle import ImageRestyler, make_restyler
from stylize.runs.convert import Resources, check_paints, explain_memory, restyle_video
from stylize.runs.jobs import Job
from stylize.runs.progress import Progress, Report
from stylize.style import Style
from stylize.style.values import Layout

if TYPE_CHECKING:
    import torch

    from stylize.runs.live.session import Live


class Stylizer:
    """A loaded model that restyles videos; get one from `load_stylizer`.

    Several threads can share it: `convert` and `restyle` then run one after the other, as their networks are the same.
    `stream` holds nothing between clips: give each thread that streams a `Stylizer` of its own.
    """

    def __init__(
        self,
        networks: Networks | VideoNetworks,
        layout: Layout | None = None,
        batch: int | None = None,
        compile: Compile = "auto",
    ) -> None:
        self.networks, self.layout, self.batch, self.compile = networks, layout, check_batch(batch), compile
        self.loaded_with: Mapping[str, Any] | None = None
        """The arguments of `load_stylizer`, by which workers can load the same; `None` if it was not used."""
        self._turn = threading.RLock()

    def stream(self, video: VideoReader | Iterable[Clip], style: Style) -> Iterator[Clip]:
        """Yields every restyled frame as a clip of one frame, at the same time as in the input.

        The result does not depend on how the input is cut into clips. Nothing is done until it is iterated.

        Raises:
            StylizeError: a setting does not fit the model, or the video cannot be read.
        """
        if style.keyframes:
            raise StyleError("a stream cannot carry paintings both ways", "use Stylizer.convert on a file")
        clips, path = (video.clips(), video.info.path) if isinstance(video, VideoReader) else (video, None)
        yield from one_by_one(clip for clip, _ in self.stream_on(clips, style, path=path))

    def stream_on(
        self,
        video: Iterable[Clip],
        style: Style,
        state: State | None = None,
        masking: Masking | None = None,
        *,
        path: Path | None = None,
    ) -> Iterator[tuple[Clip, State]]:
        """Yields restyled clips, each with the state after it, from which the next part of the video goes on.

        Args:
            state: after the frames before these; `None` begins a video.
            masking: where it is restyled, in place of the style's mask.
            path: the file of the video, which a mask from motion looks into.

        Raises:
            StylizeError: a setting does not fit the model, or the video cannot be read.
        """
        clips = iter(video)
        if (first := next(clips, None)) is None:
            return
        restyler = make_restyler(self.networks)
        if isinstance(restyler, ImageRestyler):
            check_paints(restyler.networks, first.known is not None)
        plan = make_plan(restyler, style, path)
        plan = plan if masking is None else replace(plan, masking=masking)
        if isinstance(restyler, ImageRestyler):
            arrange(restyler.networks, first.size, self.layout, load=plan.conditions.load)
            batch = choose_batch(restyler.networks, first.size, self.batch, plan.conditions.load)
            restyler = replace(restyler, batch=batch)
        with explain_memory():
            yield from restyle_clips(itertools.chain([first], clips), restyler, plan, state)

    @contextmanager
    def live(
        self, source: str, style: Style, *, target_fps: float | None = None, say: Say | None = None
    ) -> Iterator[Live]:
        """Opens a camera, a screen or a stream, and gives its restyled frames; the style can be changed meanwhile.

            with stylizer.live("camera:0", Style(prompt="oil painting"), target_fps=12) as live:
                for frame in live:
                    show(frame.picture)

        Args:
            source: as for the command: "camera:0", "screen:0", "rtsp://...", "udp://...", "loop:FILE", "test:".
            target_fps: frames a second for which size, steps and mode are chosen; `None` leaves the style's own.
            say: called with a line when the source is lost or back, and when another size is chosen.

        Raises:
            StylizeError: the source is not there, or the model or the style does not go with a live picture.
        """
        from stylize.decode.live import LiveReader
        from stylize.decode.live_address import parse_live_address
        from stylize.runs.live.session import Live

        with LiveReader(parse_live_address(source), say=say) as reader:
            live = Live(self, reader, style, target_fps=target_fps, say=say)
            yield live

    def convert(
        self,
        source: str | PathLike[str],
        output: str | PathLike[str],
        style: Style,
        *,
        progress: Progress | None = None,
        say: Say | None = None,
        **options: Any,
    ) -> Report:
        """Restyles a video file into another, with the same times, size, sound and all else that the output can hold.

        Args:
            progress: called after every frame.
            say: called with a line about each thing that was converted or dropped; `None` makes each line a warning.
            options: any further field of `Job`, such as `force=True`, `start=2.5` or `codec="h265"`.

        Raises:
            StylizeError: any expected failure, in one line; the output is then not there, and complete segments are
                kept for `resume`.
        """
        return self.restyle(Job(fspath(source), Path(output), **options), style, progress, say)

    def restyle(self, job: Job, style: Style, progress: Progress | None = None, say: Say | None = None) -> Report:
        """Does the same as `convert`, with everything about the files in one `Job`."""
        from stylize.runs.cluster import LocalCrew, restyle_spread, was_spread

        reports: list[Report] = []
        with self._turn:
            if job.resume and was_spread(job.output):  # its parts are there in any order
                restyle_spread(LocalCrew(self), [job], style, {}, progress=progress, say=say, show=reports.append)
                return reports[0]
            resources = Resources(self.layout, self.batch, self.compile)
            return restyle_video(self.networks, job, style, resources=resources, progress=progress, say=say)


def load_stylizer(
    model: str | Path = POCKET,
    *,
    device: str | None = None,
    dtype: torch.dtype | None = None,
    controlnets: Mapping[str, str | Path] | None = None,
    controls: Sequence[str] = (),
    more_controls: Sequence[str] = (),
    loras: Mapping[str | Path, float] | None = None,
    ip_adapter: str | Path | None = None,
    textual_inversions: Sequence[str | Path] = (),
    vae: str | Path | None = None,
    depth: str | Path | None = None,
    motion_adapter: str | Path | None = None,
    memory: Layout | None = None,
    batch: int | None = None,
    compile: Compile = "auto",
    offline: bool = False,
    say: Say | None = None,
) -> Stylizer:
    """Loads a model once, to restyle any number of videos.

    The other files are given as a path, a hub id, or a hub id with a file: `owner/repository/file.safetensors`.

    Args:
        model: "pocket" (built in), another name of `stylize models`, a folder in diffusers format, a .safetensors
            checkpoint of SD 1.5, SD 2.1 or SDXL, or a hub id.
        device: "cpu", "cuda", "mps", ...; `None` chooses the best one of this machine.
        dtype: number format of the networks; `None` chooses one that suits the device.
        controlnets: ControlNets by control name ("depth", "canny", "lineart", ...), in place of the model's own.
        controls: names of the controls that styles will use: only their ControlNets are loaded then. For those that the
            model lacks ("lineart", "openpose", ...), the ones published for its family are loaded.
        more_controls: names of controls beside those, or beside the model's own, such as those of your own pictures.
        loras: LoRAs with their weights, such as `{"ink.safetensors": 0.8}`.
        ip_adapter: an IP-Adapter, which lets a Stable Diffusion model read reference pictures.
        textual_inversions: files of learned words; in a prompt, each is written as the name of its file.
        vae: a VAE in place of the model's own; may be TAESD.
        depth: a depth network in transformers format (Depth Anything V2), in place of MiDaS.
        motion_adapter: AnimateDiff's motion modules, a folder, which restyle the frames of a batch beside one another.
        memory: layout of the networks; `None` chooses one that fits.
        batch: frames that go through the networks together, 1 to 32; `None` takes up to 8 if they fit.
        compile: compile the networks before a run, on CUDA devices: "on", "off", or "auto", which weighs the minutes
            that it takes against the frames that there are.
        offline: never ask the hub, even if a file is missing.
        say: called with a line before each download, with its size.

    Raises:
        ModelError: the model or one of the other files cannot be found or loaded, or a file does not fit the model's
            family.
        StyleError: `batch` is out of range.
    """
    arguments = {name: value for name, value in locals().items() if name != "say"}
    check_batch(batch)
    extras = Extras(
        controlnets, controls, more_controls, loras or {}, ip_adapter, textual_inversions, vae, depth, motion_adapter
    )
    networks = load_model(model, device=device, dtype=dtype, extras=extras, offline=offline, say=say)
    stylizer = Stylizer(networks, memory, batch, compile)
    stylizer.loaded_with = arguments
    return stylizer


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
        StylizeError: any expected failure, in one line; the output is then not there.
    """
    asked = Style(prompt=prompt, **style)
    return load_stylizer(model).convert(source, output, asked, force=force)
