"""Orders from users of the page: one video each, with everything that its run needs in a folder of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from stylize.decode import VideoReader, read_picture
from stylize.decode.pictures import SUFFIXES, VIDEOS
from stylize.encode.atomic import write_atomically
from stylize.errors import StyleError, VideoError
from stylize.runs.expand import CanvasJob
from stylize.runs.generate import SceneJob
from stylize.runs.jobs import Job, frames_done
from stylize.scenes import Shot
from stylize.style import Style
from stylize.style.camera import parse_camera

Stage: TypeAlias = Literal["waiting", "running", "done", "stopped", "failed"]

ACCEPTED = VIDEOS | {".webp"}
"""File types that are accepted. The page sends these files back to browsers, so web pages must not be among them."""
NAME_BYTES = 120
"""Of a result's name: a disk takes 255, and the run's folder has a longer name than the result."""
SHOWN = ("camera", "canvas")
"""Parts of what is made of a source that a run's title names."""
KEEP_DAYS = 7
"""Days after which an order is deleted, with its files."""


@dataclass
class Order:
    """One video that a user wants restyled, and the progress of its run."""

    folder: Path
    """Holds `order.json` and what the run needs beside the source: reference and mask."""
    shown: Path
    """Holds the source and the result, which the page sends to browsers."""
    name: str
    """Name of the video, as it was given."""
    source: Path
    settings: Mapping[str, Any]
    """Fields of `Style`."""
    model: str
    making: Mapping[str, Any] = field(default_factory=dict)
    """What is made of the source: `camera` and `seconds` of a still, or the `canvas` around a video; else empty."""
    workers: int = 1
    """Workers that the run is spread over."""
    stage: Stage = "waiting"
    done: int = 0
    total: int | None = None
    error: str = ""
    afresh: bool = False
    """True if the run starts over instead of going on from its last complete segment."""
    began: float = 0.0
    """Time when the first frame was done since the run was started or resumed; seconds of the monotonic clock."""
    before: int = 0
    """Number of frames that were done at that time."""
    stopping: threading.Event = field(default_factory=threading.Event, repr=False)

    @property
    def key(self) -> str:
        """The identifier of the order; identifiers sort by time."""
        return self.folder.name

    @property
    def title(self) -> str:
        """The video's name and its look, for a list."""
        look = self.settings.get("prompt") or ("after a picture" if self.settings.get("reference") else "as it is")
        return ", ".join([f"{self.name}: {look}", *(str(self.making[n]) for n in SHOWN if n in self.making)])

    @property
    def output(self) -> Path:
        """The path of the result."""
        words = re.sub(r"[^\w-]+", "-", self.title).strip("-").encode()[:NAME_BYTES].decode(errors="ignore")
        return self.shown / f"{words}-restyled.mp4"

    def save(self) -> None:
        """Writes what a later session of the page needs to know."""
        known = {
            "name": self.name, "source": self.source.name, "settings": dict(self.settings), "model": self.model,
            "making": dict(self.making), "workers": self.workers, "stage": self.stage, "error": self.error,
            "done": self.done, "total": self.total,
        }  # fmt: skip
        write_atomically(self.folder / "order.json", json.dumps(known).encode())

    @classmethod
    def load(cls, folder: Path, shown: Path) -> Order:
        """Loads what `save` wrote; a run that waited or was under way then is now stopped."""
        known = json.loads((folder / "order.json").read_text(encoding="utf-8"))
        order = cls(
            folder, shown, known["name"], shown / known["source"], known["settings"], known["model"],
            known.get("making", {}), known.get("workers", 1), known["stage"], known["done"], known["total"],
            known["error"],
        )  # fmt: skip
        if order.output.exists():
            order.stage = "done"
        elif order.stage in ("running", "waiting"):
            order.stage, order.done = "stopped", frames_done(order.output)
        return order


def set_stage(order: Order, stage: Stage, error: str = "") -> None:
    """Sets the stage of an order and saves it; if the disk is full, a later session does not know the stage."""
    order.stage, order.error = stage, error
    with suppress(OSError):
        order.save()


def check_video(source: str | Path | None) -> Path:
    """Returns the path of the video, if one was given and can be read.

    Raises:
        StylizeError: no video was given, or it cannot be read.
    """
    if not source:
        raise StyleError("there is no video yet", "drop one on the page")
    path = Path(source)
    if path.suffix.lower() not in ACCEPTED:
        raise VideoError(f"{path.name}: is not a kind of video that the page takes", "use the command line for it")
    with VideoReader(path):
        return path


def make_job(source: Path, output: Path, making: Mapping[str, Any], *, force: bool = False) -> Job:
    """Returns the job of what is made of a source; without `force` it goes on with an unfinished run.

    Raises:
        StyleError: a camera, a length or a canvas has no meaning.
    """
    options: dict[str, Any] = {"source": str(source), "output": output, "force": force, "resume": not force}
    if "camera" in making:
        return SceneJob(shot=Shot(parse_camera(making["camera"]), float(making["seconds"])), **options)
    if "canvas" in making:
        return CanvasJob(canvas=making["canvas"], **options)
    return Job(**options)


def style_of(settings: Mapping[str, Any], making: Mapping[str, Any]) -> Style | None:
    """Returns the style of an order; `None` if a still or a canvas is to stay without a look.

    Raises:
        StyleError: a setting has no meaning.
    """
    named = str(settings.get("prompt") or "").strip() or settings.get("reference")
    if making and not named:
        return None
    # beside a picture that stays as it is, nothing can be resized
    return Style(**{k: v for k, v in settings.items() if not ("canvas" in making and k == "fit")})


def check_still(source: str | Path) -> Path:
    """Returns the path of a still, if it can be read.

    Raises:
        StylizeError: it is not a picture.
    """
    if Path(source).suffix.lower() not in SUFFIXES:
        raise VideoError(f"{Path(source).name}: is not a picture", f"give one of {', '.join(sorted(SUFFIXES))}")
    read_picture(source)
    return Path(source)


def check_file(what: str, file: str | Path) -> Path:
    """Returns the path of a file that a setting names, if it still exists.

    Raises:
        StyleError: it is gone, as uploads are after a day.
    """
    if not Path(file).is_file():
        raise StyleError(f"the {what} is gone", "give it again")
    return Path(file)


def link_or_copy(path: Path, target: Path) -> Path:
    """Makes the file available at `target`, as a hard link where possible, else as a copy."""
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)
    return target


def load_orders(folder: Path, shown: Path) -> list[Order]:
    """Loads the orders of earlier sessions and deletes the old ones."""
    orders = []
    for path in folder.iterdir():
        if not (path / "order.json").is_file():
            continue
        if time.time() - path.stat().st_mtime > KEEP_DAYS * 86400:
            for old in (path, shown / path.name):
                shutil.rmtree(old, ignore_errors=True)
            continue
        with suppress(OSError, ValueError, KeyError, TypeError):
            orders.append(Order.load(path, shown / path.name))
    return orders
