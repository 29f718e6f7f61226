"""Runs that people ask the page for: a queue that one thread works off, each in a folder of its own.

What a run needs lies in its folder (source, reference, settings), so one that was stopped, or cut off with the whole
program, can go on from its last segment.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from stylize.errors import StyleError, StylizeError, VideoError
from stylize.preview import make_preview
from stylize.style import Style
from stylize.video import VideoReader

if TYPE_CHECKING:
    from stylize.pipeline import Stylizer

Stage: TypeAlias = Literal["waiting", "running", "done", "stopped", "failed"]

FILES = ("reference", "mask")
"""Settings that are files; they are kept with the order."""
KEEP_DAYS = 7
"""After so long an order goes, with all that is in its folder."""
SHEETS = 8
"""Previews that are kept."""


class Stopped(Exception):
    """A person stopped the run."""


@dataclass
class Order:
    """One video that somebody wants restyled, and how far it is."""

    folder: Path
    source: Path
    settings: Mapping[str, Any]
    """Fields of `Style`."""
    stage: Stage = "waiting"
    done: int = 0
    total: int | None = None
    error: str = ""
    began: float = 0.0
    """When this sitting's first frame was done, on the monotonic clock."""
    before: int = 0
    """Frames that were done then."""
    stopping: threading.Event = field(default_factory=threading.Event, repr=False)

    @property
    def key(self) -> str:
        return self.folder.name

    @property
    def title(self) -> str:
        look = self.settings.get("prompt") or Path(str(self.settings.get("reference") or "")).stem
        return f"{self.source.stem}: {look}"

    @property
    def output(self) -> Path:
        words = re.sub(r"[^\w-]+", "-", self.title).strip("-")[:80]
        return self.folder / f"{words or 'result'}.mp4"

    def save(self) -> None:
        """Writes what another sitting needs to know."""
        known = {
            "source": self.source.name, "settings": dict(self.settings), "stage": self.stage, "error": self.error,
            "done": self.done, "total": self.total,
        }  # fmt: skip
        partial = self.folder / ".order.json.part"
        partial.write_text(json.dumps(known), encoding="utf-8")
        os.replace(partial, self.folder / "order.json")

    @classmethod
    def load(cls, folder: Path) -> Order:
        """What `save` wrote; a run that was under way then was cut off."""
        known = json.loads((folder / "order.json").read_text(encoding="utf-8"))
        stage: Stage = "stopped" if known["stage"] in ("running", "waiting") else known["stage"]
        source = folder / known["source"]
        return cls(folder, source, known["settings"], stage, known["done"], known["total"], known["error"])


class Studio:
    """Takes orders and works them off, one after the other.

    Args:
        folder: where orders are kept; it is made. Orders of an earlier sitting are found again.

    Raises:
        VideoError: the folder cannot be made.
    """

    def __init__(self, stylizer: Stylizer, folder: Path) -> None:
        self.stylizer, self.folder = stylizer, folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise VideoError(f"{folder}: cannot be made ({error.strerror})", "name another with --folder") from error
        self._orders = {order.key: order for order in _found(folder)}
        self._changed, self._closed = threading.Condition(), False
        self._worker = threading.Thread(target=self._work, name="stylize-studio", daemon=True)
        self._worker.start()

    def orders(self) -> list[Order]:
        """The newest first."""
        with self._changed:
            return sorted(self._orders.values(), key=lambda order: order.key, reverse=True)

    def order(self, key: str | None) -> Order | None:
        """The one of this key, if there still is one."""
        with self._changed:
            return self._orders.get(key or "")

    def submit(self, source: str | Path | None, settings: Mapping[str, Any]) -> Order:
        """Copies what the run needs and puts it at the end of the queue.

        Raises:
            StylizeError: a setting has no meaning, or the video cannot be read.
        """
        path = checked(source)
        Style(**settings)
        folder = self.folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
        try:
            folder.mkdir()
            kept = {name: str(_copied(Path(str(settings[name])), folder)) for name in FILES if settings.get(name)}
            order = Order(folder, _copied(path, folder), dict(settings) | kept)
            order.save()
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise VideoError(f"{folder}: cannot be written ({error.strerror})", "free space on the disk") from error
        with self._changed:
            self._orders[order.key] = order
            self._changed.notify()
        return order

    def stop(self, key: str | None) -> None:
        """Ends a run after the frame that it is at; whole segments stay."""
        with self._changed:
            order = self._orders.get(key or "")
            if order is not None and order.stage == "waiting":
                order.stage = "stopped"
                order.save()
            elif order is not None and order.stage == "running":
                order.stopping.set()

    def go_on(self, key: str | None) -> None:
        """Puts a run that was stopped, cut off or failed into the queue again; it begins where it ended."""
        with self._changed:
            order = self._orders.get(key or "")
            if order is not None and order.stage in ("stopped", "failed"):
                order.stage, order.error = "waiting", ""
                order.stopping.clear()
                order.save()
                self._changed.notify()

    def remove(self, key: str | None) -> None:
        """Deletes a run that is not under way, with its files."""
        with self._changed:
            order = self._orders.get(key or "")
            if order is not None and order.stage != "running":
                del self._orders[order.key]
                shutil.rmtree(order.folder, ignore_errors=True)

    def preview(self, source: str | Path | None, settings: Mapping[str, Any], count: int = 3) -> tuple[Path, str]:
        """A sheet of frames, source above result, and what the whole will take, in a sentence.

        Raises:
            StylizeError: as `make_preview`.
        """
        path, style = checked(source), Style(**settings)
        sheets = self.folder / "previews"
        sheets.mkdir(exist_ok=True)
        for old in sorted(sheets.iterdir(), key=lambda sheet: sheet.stat().st_mtime)[:-SHEETS]:
            old.unlink(missing_ok=True)
        sheet = sheets / f"{secrets.token_hex(6)}.png"
        return sheet, make_preview(self.stylizer, path, sheet, style, count=count).cost(style)

    def close(self, timeout: float = 30.0) -> None:
        """Stops what is under way, so that it can go on another time, and ends the thread."""
        with self._changed:
            self._closed = True
            for order in self._orders.values():
                order.stopping.set()
            self._changed.notify()
        self._worker.join(timeout)

    def _work(self) -> None:
        while (order := self._taken()) is not None:
            self._carry_out(order)

    def _taken(self) -> Order | None:
        """The next order, once there is one; none when the studio closes."""
        with self._changed:
            while not self._closed:
                waiting = [order for order in self._orders.values() if order.stage == "waiting"]
                if waiting:
                    order = min(waiting, key=lambda order: order.key)
                    order.stage, order.done, order.before = "running", 0, 0
                    order.save()
                    return order
                self._changed.wait()
        return None

    def _carry_out(self, order: Order) -> None:
        def progress(done: int, total: int | None) -> None:
            if order.done == 0:
                order.before, order.began = done, time.monotonic()
            order.done, order.total = done, total
            if order.stopping.is_set():
                raise Stopped

        try:
            self.stylizer.convert(order.source, order.output, Style(**order.settings), resume=True, progress=progress)
            order.stage = "done"
        except Stopped:
            order.stage = "stopped"
        except StylizeError as error:
            order.stage, order.error = "failed", str(error)
        except Exception as error:  # one run must not end the queue; what it was is said
            order.stage, order.error = "failed", f"{type(error).__name__}: {error}: please report this"
        with suppress(OSError):
            order.save()


def checked(source: str | Path | None) -> Path:
    """The video, if one was given and can be read.

    Raises:
        StylizeError: neither.
    """
    if not source:
        raise StyleError("there is no video yet", "drop one on the page")
    with VideoReader(source):
        return Path(source)


def _copied(path: Path, folder: Path) -> Path:
    """A file beside the order, as a link where that can be."""
    target = folder / path.name
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)
    return target


def _found(folder: Path) -> list[Order]:
    """Orders of earlier sittings; old ones go."""
    orders = []
    for place in folder.iterdir():
        if not (place / "order.json").is_file():
            continue
        if time.time() - place.stat().st_mtime > KEEP_DAYS * 86400:
            shutil.rmtree(place, ignore_errors=True)
            continue
        with suppress(OSError, ValueError, KeyError):
            orders.append(Order.load(place))
    return orders
