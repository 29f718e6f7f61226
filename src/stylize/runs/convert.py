"""Restyles one video from file to file: opens and checks everything, chooses what fits the machine, and runs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch

from stylize.decode.source import Source
from stylize.decode.times import packet_times
from stylize.encode import Target, VideoWriter, WorkFolder, check_output
from stylize.encode.segments import Manifest
from stylize.encode.target import warn
from stylize.errors import ModelError, Say, StyleError, StylizeError, UnfinishedRun
from stylize.masks import masking_of
from stylize.networks import Networks, VideoNetworks, arrange, choose_batch
from stylize.networks.compiling import Compile, choose_compile, set_compiled
from stylize.pipeline import Plan, State, make_plan
from stylize.restyle import ImageRestyler, make_restyler
from stylize.runs.identity import check_fits, identity_of, unfinished_identity
from stylize.runs.jobs import Job
from stylize.runs.painted import PaintedSource, read_paintings, refer_to_paintings
from stylize.runs.progress import Progress, Report, peak_rss_mb
from stylize.runs.run import Run
from stylize.runs.state import from_bytes
from stylize.style import Style
from stylize.style.settings import options_of, settings_comment
from stylize.style.values import Layout


@dataclass(frozen=True)
class Resources:
    """The use of the machine; `None` chooses what fits."""

    layout: Layout | None = None
    """Where the networks are."""
    batch: int | None = None
    """Frames that go through them together."""
    compile: Compile = "auto"
    """Whether they are compiled first, on CUDA devices."""


def restyle_video(
    networks: Networks | VideoNetworks,
    job: Job,
    style: Style,
    *,
    resources: Resources = Resources(),
    progress: Progress | None = None,
    say: Say | None = None,
) -> Report:
    """Restyles a video file; see `Stylizer.convert`."""
    began = time.perf_counter()
    output = check_output(job.output, source=job.source, force=job.force, resume=job.resume, also=style.files)
    style = refer_to_paintings(networks, style)
    with open_source(networks, job, style) as reader, explain_memory():
        begun = unfinished_identity(output) if job.resume else {}  # what fits into memory may differ today
        run = prepare_run(networks, replace(job, output=output), style, reader, resources, begun, say)
        manifest, state = _load_unfinished(job, run, networks.device)
        done, tell = manifest.frames if manifest else 0, progress or (lambda done, total: None)
        writer = VideoWriter.for_run(run.target, run.identity, manifest)
        with networks.counting() as evaluations, closing(run.restyle(writer, state, evaluations)) as steps:
            for counts, _ in steps:
                for number in range(done + 1, counts["frames"] + 1):
                    tell(number, reader.frame_count)
                done = counts["frames"]
        counts = writer.counts
        return Report(
            output=str(output),
            model=networks.name,
            seed=style.seed,
            frames=counts["frames"],
            shots=counts["shots"],
            keyframes=counts["keyframes"],
            seconds=round(time.perf_counter() - began, 3),
            unet_evals_per_frame=round(counts["unet"] / counts["frames"], 3),
            peak_rss_mb=peak_rss_mb(),
            peak_vram_mb=_peak_vram_mb(networks.device),
            concealed=reader.damage.concealed,
            resumed_from=manifest.frames if manifest else 0,
        )


def open_source(networks: Networks | VideoNetworks, job: Job, style: Style) -> Source:
    """Opens the source, with the paintings that a style has for it."""
    source = job.open(networks.estimate_depth)
    if not style.keyframes:
        return source

    def open_at(second: float) -> Source:
        return replace(job, start=second or None, end=None).open(networks.estimate_depth)

    return PaintedSource(source, read_paintings(style.keyframes, open_at, source.part))


def prepare_run(
    networks: Networks | VideoNetworks,
    job: Job,
    style: Style,
    reader: Source,
    resources: Resources,
    begun: Mapping[str, Any] = {},
    say: Say | None = None,
) -> Run:
    """Opens and checks everything, and chooses the networks' layout and batch for the size.

    Args:
        begun: identity of the unfinished run that is resumed, if any: its choices stay.
    """
    size = style.size or reader.size
    reader.size = style.fit_to(size)
    restyler = make_restyler(networks)
    plan = make_plan(restyler, style, reader.info.path)
    if isinstance(networks, Networks):
        check_paints(networks, reader.matte is not None)
    if reader.matte is not None:
        plan = replace(plan, masking=masking_of(reader.matte))
    _check_pictures(plan, reader, job)
    if isinstance(restyler, ImageRestyler):
        restyler, chosen = _choose_resources(restyler, plan, reader, resources, begun, say)
    elif resources.layout not in (None, "whole"):
        raise StyleError("a video model is on the device as a whole", "leave out --memory")
    elif resources.batch is not None:
        raise StyleError(f"a video model makes {restyler.batch} frames at once", "leave out --batch")
    else:
        chosen = {"memory": "whole", "batch": restyler.batch, "compiled": False}
    start, end = (None, None) if job.is_whole else reader.part
    target = Target(
        job.output, reader.info, size, job.choose_encoding(size, reader.info), start, end,
        settings_comment(job.settings or options_of(style, networks.name)), say or warn,
    )  # fmt: skip
    identity = identity_of(networks, style, reader, target, (job.start, job.end))
    return Run(restyler, plan, reader, target, identity | chosen)


def _check_pictures(plan: Plan, reader: Source, job: Job) -> None:
    """Raises VideoError if the user's own maps do not go with the video: one for each frame, of its shape."""
    count = None
    if job.is_whole and (plan.drawn or plan.given_depth is not None):  # a count by duration is an estimate
        count = reader.info.frame_count_from_header or len(packet_times(reader.info).times) or None
    if plan.given_depth is not None and count is not None:
        plan.given_depth.check_enough(count)
    for pictures in plan.drawn.values():
        pictures.check(count, reader.size)


def _choose_resources(
    restyler: ImageRestyler,
    plan: Plan,
    reader: Source,
    resources: Resources,
    begun: Mapping[str, Any],
    say: Say | None,
) -> tuple[ImageRestyler, dict[str, Any]]:
    """Lays the networks out, chooses a batch that fits, and compiles if that pays.

    Args:
        begun: identity of the unfinished run that is resumed, if any: its choices stay.
    """
    networks, load = restyler.networks, plan.conditions.load
    layout = arrange(networks, reader.size, resources.layout or begun.get("memory"), say, load)
    batch = choose_batch(networks, reader.size, resources.batch or begun.get("batch"), load)
    compiled = begun.get("compiled")
    if compiled is None or resources.compile != "auto":
        frames = None if plan.fast else reader.frame_count
        compiled = choose_compile(networks, resources.compile, reader.size, frames, load)
    if compiled:
        (say or warn)("the networks are compiled first, which takes a minute or two (--compile off leaves that)")
    elif networks.device.type == "cuda" and say is not None:
        say("the networks are not compiled: it takes minutes, which pay in a long run of the full mode (--compile on)")
    set_compiled(networks, compiled)  # the run before on these networks may have chosen otherwise
    chosen = {"memory": layout, "batch": batch, "compiled": compiled}
    return replace(restyler, batch=batch, static=compiled), chosen


def _load_unfinished(job: Job, run: Run, device: torch.device) -> tuple[Manifest | None, State | None]:
    """Loads the manifest and the state of an unfinished run that is to be resumed.

    Both are `None` if the run begins with the first frame; the state is `None` if only the joining is left.

    Raises:
        UnfinishedRun: there is one but the job neither resumes nor replaces it, or it does not fit this run.
    """
    output, folder = run.target.path, WorkFolder(run.target.path)
    if job.force and not job.resume:
        return None, None
    manifest = folder.manifest()
    if manifest is None or not folder.frames_done():
        return None, None
    if not job.resume:
        done = f"an unfinished run is there, {folder.frames_done()} frames of it done"
        raise UnfinishedRun(f"{output}: {done}", "pass --resume to go on, or --force to begin again")
    check_fits(manifest, run.identity, output)
    if manifest.complete:
        return manifest, None
    try:
        content = (folder.path / manifest.state).read_bytes()
    except OSError as error:
        what = f"{output}: its unfinished run has no state"
        raise UnfinishedRun(what, "pass --force to begin again") from error
    return manifest, from_bytes(content, device)


def check_paints(networks: Networks, leaves_open: bool) -> None:
    """Raises ModelError if an inpainting model is to restyle frames that leave nothing open."""
    if networks.paints and not leaves_open:
        what = f"{networks.name}: is an inpainting model, which paints only what a mask leaves open"
        raise ModelError(what, "use it with stylize expand, and the plain model for restyling")


@contextmanager
def explain_memory() -> Iterator[None]:
    """Turns out-of-memory errors into a StylizeError of one line."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise StylizeError("the GPU is out of memory", "use --batch 1, or a smaller size (--size 512x288)") from error
    except MemoryError as error:
        raise StylizeError("out of memory", "choose a smaller size, such as --size 512x288") from error


def _peak_vram_mb(device: torch.device) -> float | None:
    return round(torch.cuda.max_memory_allocated(device) / 1e6, 1) if device.type == "cuda" else None
