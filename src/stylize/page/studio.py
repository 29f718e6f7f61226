"""The queue of the page: one thread carries out the orders one after the other, with previews in between.

A run that was stopped, or cut off when the program ended, can go on from its last complete segment.
"""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stylize.errors import StyleError, StylizeError, UnfinishedRun, VideoError
from stylize.page.network_lock import NetworkLock
from stylize.page.orders import (
    Order,
    Stage,
    check_file,
    check_still,
    check_video,
    link_or_copy,
    load_orders,
    make_job,
    set_stage,
    style_of,
)  # fmt: skip
from stylize.runs.preview import make_preview

if TYPE_CHECKING:
    from stylize.runs.jobs import Job
    from stylize.runs.stylizer import Stylizer
    from stylize.style import Style


SHEETS = 8
"""Number of previews that are kept."""


class Stopped(Exception):
    """The user stopped the run."""


class Studio:
    """Takes orders and carries them out, one after the other.

    Args:
        folder: where orders are kept; it is made if it is missing. Orders of earlier sessions are loaded from it.

    Raises:
        VideoError: the folder cannot be made.
    """

    def __init__(self, stylizer: Stylizer, folder: Path) -> None:
        self.stylizer, self.folder, self.shown = stylizer, folder / "orders", folder / "shown"
        self.uploads, self.sheets = folder / "uploads", folder / "previews"
        shutil.rmtree(self.uploads, ignore_errors=True)  # from an earlier session; orders keep their own copies
        try:
            for directory in (self.folder, self.shown, self.uploads, self.sheets):
                directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise VideoError(f"{folder}: cannot be made ({error.strerror})", "name another with --folder") from error
        self._orders = {order.key: order for order in load_orders(self.folder, self.shown)}
        self._networks = NetworkLock()
        self._changed, self._closed = threading.Condition(), False
        self._worker = threading.Thread(target=self._work, name="stylize-studio", daemon=True)
        self._worker.start()

    def orders(self) -> list[Order]:
        """Returns all orders, the newest first."""
        with self._changed:
            return sorted(self._orders.values(), key=lambda order: order.key, reverse=True)

    def order(self, key: str | None) -> Order | None:
        """Returns the order with this key; `None` if it does not exist any more."""
        with self._changed:
            return self._orders.get(key or "")

    def submit(
        self,
        source: str | Path | None,
        settings: Mapping[str, Any],
        making: Mapping[str, Any] | None = None,
        workers: int = 1,
    ) -> Order:
        """Copies the files that the run needs, and puts the order at the end of the queue.

        Args:
            making: what is made of the source beside its look; see `Order.making`.
            workers: processes that the run is spread over, with Ray.

        Raises:
            StylizeError: a setting has no meaning, or the video cannot be read.
        """
        making = making or {}
        path = _check_source(source, settings, making)
        if making and workers > 1:
            raise StyleError("a still or a larger canvas is made by one worker", "turn the workers down to 1")
        given = {name: check_file(name, settings[name]) for name in ("reference", "mask") if settings.get(name)}
        key = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
        folder, shown = self.folder / key, self.shown / key
        try:
            folder.mkdir()
            shown.mkdir()
            kept = {n: str(link_or_copy(file, folder / f"{n}{file.suffix.lower()}")) for n, file in given.items()}
            copy = link_or_copy(path, shown / f"source{path.suffix.lower()}")
            name = self.stylizer.networks.name
            order = Order(folder, shown, path.stem, copy, dict(settings) | kept, name, dict(making), workers)
            order.save()
        except OSError as error:
            for directory in (folder, shown):
                shutil.rmtree(directory, ignore_errors=True)
            raise VideoError(f"{folder}: cannot be written ({error.strerror})", "free space on the disk") from error
        with self._changed:
            self._orders[order.key] = order
            self._changed.notify()
        return order

    def stop(self, key: str | None) -> None:
        """Stops a run after its current frame and keeps its complete segments; a waiting run leaves the queue."""
        with self._changed:
            order = self._orders.get(key or "")
            if order is not None and order.stage == "waiting":
                set_stage(order, "stopped")
            elif order is not None and order.stage == "running":
                order.stopping.set()

    def go_on(self, key: str | None, *, afresh: bool = False) -> None:
        """Puts a run that was stopped, cut off or failed into the queue again.

        Args:
            afresh: start over with the first frame, not where the run ended.
        """
        with self._changed:
            order = self._orders.get(key or "")
            if order is not None and order.stage in ("stopped", "failed"):
                order.afresh = afresh
                order.model = self.stylizer.networks.name if afresh else order.model
                order.stopping.clear()
                set_stage(order, "waiting")
                self._changed.notify()

    def remove(self, key: str | None) -> None:
        """Deletes an order and its files, unless its run is under way."""
        with self._changed:
            order = self._orders.get(key or "")
            if order is not None and order.stage != "running":
                del self._orders[order.key]
                for directory in (order.folder, order.shown):
                    shutil.rmtree(directory, ignore_errors=True)

    def preview(
        self,
        source: str | Path | None,
        settings: Mapping[str, Any],
        making: Mapping[str, Any] | None = None,
        count: int = 3,
    ) -> tuple[Path, str]:
        """Writes a sheet of frames, source above result; returns it with a sentence on what the whole run will take.

        Raises:
            StylizeError: as `make_preview`.
        """
        making = making or {}
        path, style = _check_source(source, settings, making), style_of(settings, making)
        for old in sorted(self.sheets.iterdir(), key=lambda sheet: sheet.stat().st_mtime)[:-SHEETS]:
            old.unlink(missing_ok=True)
        sheet = self.sheets / f"{secrets.token_hex(6)}.png"
        with self._networks.short():
            made = make_preview(self.stylizer, make_job(path, sheet, making), sheet, style, count=count)
            return sheet, "" if style is None else made.cost(style)

    def close(self, timeout: float = 30.0) -> None:
        """Stops the current run so that it can go on later, and ends the thread; waits up to `timeout` seconds."""
        with self._changed:
            self._closed = True
            for order in self._orders.values():
                order.stopping.set()
            self._changed.notify()
        self._worker.join(timeout)

    def _work(self) -> None:
        while (order := self._take_next()) is not None:
            self._carry_out(order)

    def _take_next(self) -> Order | None:
        """Waits for the next order and returns it; `None` when the studio closes."""
        with self._changed:
            while not self._closed:
                waiting = [order for order in self._orders.values() if order.stage == "waiting"]
                if waiting:
                    order = min(waiting, key=lambda order: order.key)
                    order.done = order.before = 0
                    set_stage(order, "running")
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
            if order.workers == 1:
                self._networks.give_way()

        stage, error = self._restyle(order, progress)
        with self._changed:
            set_stage(order, stage, error)

    def _restyle(self, order: Order, progress: Callable[[int, int | None], None]) -> tuple[Stage, str]:
        model = self.stylizer.networks.name
        if order.model != model:
            return "failed", f"it was begun with {order.model}, this page has {model}: begin again, or start the other"
        again = order.afresh
        try:
            style = style_of(order.settings, order.making)
            job = make_job(order.source, order.output, order.making, force=again)
            if order.workers > 1 and style is not None:
                order.done = self._spread(order, job, style, progress)
            else:
                with self._networks.run():
                    order.done = job.run(self.stylizer, style, progress).frames
        except Stopped:
            return "stopped", ""
        except UnfinishedRun as error:
            return "failed", f"{error.what}: begin again"
        except StylizeError as error:
            return "failed", str(error)
        except Exception as error:  # a bug in one run must not end the queue; the message names it
            return "failed", f"{type(error).__name__}: {error}: please report this"
        return "done", ""

    def _spread(self, order: Order, job: Job, style: Style, progress: Callable[[int, int | None], None]) -> int:
        """Restyles on several workers, which load the model themselves, and returns the number of frames."""
        from stylize.runs.cluster import RayCrew, restyle_spread

        frames: list[int] = []
        on_cpu, load = self.stylizer.networks.device.type == "cpu", self.stylizer.loaded_with or {}
        crew = RayCrew(order.workers, on_cpu=on_cpu)
        restyle_spread(crew, [job], style, load, progress=progress, show=lambda report: frames.append(report.frames))
        return frames[0]


def _check_source(source: str | Path | None, settings: Mapping[str, Any], making: Mapping[str, Any]) -> Path:
    """Returns the path of an order's source, if all that was asked for has a meaning.

    Raises:
        StylizeError: it has none, or the source cannot be read.
    """
    path = check_still(source) if "camera" in making and source else check_video(source)
    style = style_of(settings, making)
    if making:
        # the place is only looked at; the run has a name of its own
        replace(make_job(path, path.with_name(f"{secrets.token_hex(6)}.mp4"), making), resume=False).check(style)  # type: ignore[arg-type]
    return path
