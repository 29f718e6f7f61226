"""What people ask the page for: one video each, with all that its run needs in a folder of its own."""

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

from stylize.decode import VideoReader
from stylize.encode.atomic import write_atomically
from stylize.errors import StyleError, VideoError
from stylize.runs.jobs import frames_done

Stage: TypeAlias = Literal["waiting", "running", "done", "stopped", "failed"]

VIDEOS = {
    ".3gp", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts",
    ".webm", ".webp", ".wmv", ".y4m",
}  # fmt: skip
"""Kinds of files that are taken: they are handed to browsers again, so none may be a page of somebody's."""
KEEP_DAYS = 7
"""After so long an order goes, with all that is in its folder."""


@dataclass
class Order:
    """One video that somebody wants restyled, and how far it is."""

    folder: Path
    """What it needs."""
    shown: Path
    """The source and the result, which the page hands out."""
    name: str
    """Of the video, as it was given."""
    source: Path
    settings: Mapping[str, Any]
    """Fields of `Style`."""
    model: str
    stage: Stage = "waiting"
    done: int = 0
    total: int | None = None
    error: str = ""
    afresh: bool = False
    """Not from the last whole segment, but from the beginning."""
    began: float = 0.0
    """When this sitting's first frame was done, on the monotonic clock."""
    before: int = 0
    """Frames that were done then."""
    stopping: threading.Event = field(default_factory=threading.Event, repr=False)

    @property
    def key(self) -> str:
        """Tells it from other orders, sorted by time."""
        return self.folder.name

    @property
    def title(self) -> str:
        """The video's name and its look, for a list."""
        return f"{self.name}: {self.settings.get('prompt') or 'after a picture'}"

    @property
    def output(self) -> Path:
        """Where the result will be."""
        words = re.sub(r"[^\w-]+", "-", self.title).strip("-")[:80]
        return self.shown / f"{words}-restyled.mp4"

    def save(self) -> None:
        """Writes what another sitting needs to know."""
        known = {
            "name": self.name, "source": self.source.name, "settings": dict(self.settings), "model": self.model,
            "stage": self.stage, "error": self.error, "done": self.done, "total": self.total,
        }  # fmt: skip
        write_atomically(self.folder / "order.json", json.dumps(known).encode())

    @classmethod
    def load(cls, folder: Path, shown: Path) -> Order:
        """What `save` wrote; a run that was under way then was cut off."""
        known = json.loads((folder / "order.json").read_text(encoding="utf-8"))
        order = cls(
            folder, shown, known["name"], shown / known["source"], known["settings"], known["model"],
            known["stage"], known["done"], known["total"], known["error"],
        )  # fmt: skip
        if order.output.exists():
            order.stage = "done"
        elif order.stage in ("running", "waiting"):
            order.stage, order.done = "stopped", frames_done(order.output)
        return order


def set_stage(order: Order, stage: Stage, error: str = "") -> None:
    """Brings an order to a stage; on a full disk another sitting will not know."""
    order.stage, order.error = stage, error
    with suppress(OSError):
        order.save()


def check_video(source: str | Path | None) -> Path:
    """The video, if one was given and can be read.

    Raises:
        StylizeError: neither.
    """
    if not source:
        raise StyleError("there is no video yet", "drop one on the page")
    path = Path(source)
    if path.suffix.lower() not in VIDEOS:
        raise VideoError(f"{path.name}: is not a kind of video that the page takes", "use the command line for it")
    with VideoReader(path):
        return path


def check_file(what: str, file: str | Path) -> Path:
    """The file of a setting, if it is still there.

    Raises:
        StyleError: it is gone, as uploads are after a day.
    """
    if not Path(file).is_file():
        raise StyleError(f"the {what} is gone", "give it again")
    return Path(file)


def link_or_copy(path: Path, target: Path) -> Path:
    """The file under another name, as a link where that can be."""
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)
    return target


def load_orders(folder: Path, shown: Path) -> list[Order]:
    """Orders of earlier sittings; old ones go."""
    orders = []
    for place in folder.iterdir():
        if not (place / "order.json").is_file():
            continue
        if time.time() - place.stat().st_mtime > KEEP_DAYS * 86400:
            for old in (place, shown / place.name):
                shutil.rmtree(old, ignore_errors=True)
            continue
        with suppress(OSError, ValueError, KeyError, TypeError):
            orders.append(Order.load(place, shown / place.name))
    return orders
