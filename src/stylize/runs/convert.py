"""One run from file to file: frames read ahead, restyled, encoded behind, and safe on disk a segment at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch

from stylize import __version__
from stylize.decode import ReadAhead, VideoReader
from stylize.encode import Encoding, VideoWriter, WorkFolder
from stylize.encode.segments import Manifest
from stylize.errors import Say, StylizeError, VideoError
from stylize.frames import Clip
from stylize.networks.image_networks import Evaluations
from stylize.restyle import Conditions
from stylize.runs.identity import _names, check_fits, fingerprint
from stylize.runs.state import State
from stylize.structure.given import GivenDepth
from stylize.style import Style
from stylize.style.settings import options_of, settings_comment
from stylize.style.style import Layout

if TYPE_CHECKING:
    from stylize.runs.progress import Progress
    from stylize.runs.stylizer import Stylizer


@dataclass(frozen=True)
class Run:
    """What is to be done, all of it checked."""

    stylizer: Stylizer
    style: Style
    conditions: Conditions
    """What the style has become."""
    reader: VideoReader
    output: Path
    encoding: Encoding
    size: tuple[int, int]
    """Of the result; the networks may see another."""
    layout: Layout
    batch: int
    """Frames that are denoised together."""
    part: tuple[float | None, float | None]
    settings: Mapping[str, Any] | None = None
    """What the result says that it was made with; the style if left out."""

    def unfinished(self, *, resume: bool, force: bool) -> tuple[Manifest | None, State | None]:
        """What an earlier run of the same kind left, if it is to be gone on with.

        Raises:
            VideoError: there is one and nobody said what to do with it, or it does not fit this run.
        """
        folder = WorkFolder(self.output)
        if force and not resume:
            return None, None
        manifest = folder.manifest()
        if manifest is None or not manifest.segments:
            return None, None
        if not resume:
            done = f"an unfinished run is there, {manifest.frames} frames of it done"
            raise VideoError(f"{self.output}: {done}", "pass --resume to go on, or --force to begin again")
        check_fits(manifest, self.identity(), self.output)
        if manifest.complete:
            return manifest, None
        try:
            content = (folder.path / manifest.state).read_bytes()
        except OSError as error:
            what = f"{self.output}: its unfinished run has no state"
            raise VideoError(what, "pass --force to begin again") from error
        return manifest, State.from_bytes(content, self.stylizer.networks.device)

    def identity(self) -> Mapping[str, Any]:
        """All that the frames depend on, as JSON has it."""
        networks, style = self.stylizer.networks, self.style
        given = {f.name.replace("_", " "): getattr(style, f.name) for f in fields(style)}
        given["temporal"] = asdict(style.means)
        given["controls"] = None if style.controls is None else {n: asdict(c) for n, c in style.asked_controls.items()}
        given["reference"] = None if style.reference is None else fingerprint(Path(style.reference))
        given["mask"] = None if style.mask is None else fingerprint(Path(style.mask))
        given["depth from"] = None if style.depth_from is None else _names(GivenDepth(style.depth_from).files())
        given["size"], given["fit"] = list(self.size), list(self.reader.size)
        return given | {
            "version": __version__,
            "input": fingerprint(self.reader.info.path),
            "model": f"{networks.name} {networks.fingerprint()}",
            "device": f"{networks.device.type} {networks.dtype}",
            "memory": self.layout,
            "batch": self.batch if self.style.mode == "full" else 1,
            "encoding": asdict(self.encoding),
            "start and end": list(self.part),
            "backend": self.reader.backend,
        }

    def carry_out(
        self,
        manifest: Manifest | None,
        state: State | None,
        evaluations: Evaluations,
        progress: Progress | None,
        say: Say | None,
    ) -> Mapping[str, int]:
        """Does it, or the rest of it, and sums up: frames, shots, keyframes, UNet samples."""
        before = manifest.counts if manifest else {}
        whole = self.part == (None, None)
        start, end = (None, None) if whole else self.reader.part
        writer = VideoWriter(
            self.output, self.reader.info, self.size, encoding=self.encoding, start=start, end=end, say=say,
            identity=self.identity(), manifest=manifest, keep=True,
            comment=settings_comment(self.settings or options_of(self.style, self.stylizer.networks.name)),
        )  # fmt: skip
        frames, shots = manifest.frames if manifest else 0, before.get("shots", 0)

        def counts() -> dict[str, int]:
            return {
                "frames": frames, "shots": shots,
                "keyframes": before.get("keyframes", 0) + evaluations.frames,
                "unet": before.get("unet", 0) + evaluations.unet,
            }  # fmt: skip

        if manifest is not None and manifest.complete:
            with writer:  # nothing is left but to join the segments
                return before
        # one by one, so that no more is read ahead than is under way
        with writer, ReadAhead(self.reader.clips(length=1, skip=frames)) as clips:
            path = self.reader.info.path
            for clip, after in self.stylizer.steps(clips, self.style, state, path, self.conditions, self.batch):
                writer.write(scaled(clip, self.size))
                frames, shots = frames + len(clip), shots + clip.starts_shot
                if after is not None:
                    writer.checkpoint(after.to_bytes, counts())
                if progress is not None:
                    progress(frames, self.reader.frame_count)
            writer.counts = counts()
        return counts()


def begun_with(output: Path) -> Mapping[str, Any]:
    """All that the frames of an unfinished run depend on; nothing if there is none."""
    manifest = WorkFolder(output).manifest()
    return {} if manifest is None else manifest.identity


def scaled(clip: Clip, size: tuple[int, int]) -> Clip:
    """The clip at the size of the result, by Lanczos where it grows."""
    height, width = clip.frames.shape[1:3]
    if (width, height) == size:
        return clip
    way = cv2.INTER_AREA if size[0] < width else cv2.INTER_LANCZOS4

    def resized(pictures: Any) -> Iterator[Any]:
        return (cv2.resize(picture, size, interpolation=way) for picture in pictures)

    alpha = None if clip.alpha is None else np.stack(list(resized(clip.alpha)))
    return replace(clip, frames=np.stack(list(resized(clip.frames))), alpha=alpha)


@contextmanager
def _memory_explained() -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise StylizeError("the GPU is out of memory", "use --batch 1, or a smaller size (--size 512x288)") from error
    except MemoryError as error:
        raise StylizeError("out of memory", "choose a smaller size, such as --size 512x288") from error
