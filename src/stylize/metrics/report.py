"""A measurement as one HTML page that needs nothing else: table, curves, and the worst pairs of frames as pictures."""

from __future__ import annotations

import base64
import html
import os
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import cv2
import numpy as np

from stylize.errors import VideoError
from stylize.frames import Picture
from stylize.metrics.figures import Figures, error_map
from stylize.metrics.meter import MEANING, Measurement
from stylize.motion import motion_between

WORST, SAMPLES = 4, 4
WIDTH, HEIGHT = 640, 90
STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse}td,th{padding:.25em .9em;text-align:right;border-bottom:1px solid #ddd}
td:first-child,th:first-child,td:last-child{text-align:left}td:last-child{color:#666}
figure{margin:1.2em 0}img{max-width:24.5%;vertical-align:top}.two img{max-width:49.5%}svg{display:block}
polyline{fill:none;stroke:#2563a8;stroke-width:1.2}figcaption{color:#555}"""


def check_page(path: str | PathLike[str]) -> Path:
    """The path, if a page can be written there.

    Raises:
        VideoError: it is no .html name, or its folder is not there.
    """
    page = Path(path)
    if page.suffix.lower() not in (".html", ".htm"):
        raise VideoError(f"{page} is not a page", "give the report a name that ends in .html")
    if not page.parent.is_dir():
        raise VideoError(f"{page.parent}: no such folder", "make it first")
    return page


@dataclass(frozen=True)
class _Pair:
    error: float
    index: int
    before: tuple[Picture, Picture]
    now: tuple[Picture, Picture]


class Page:
    """Collects what the page shows while frames go by: the worst pairs so far, and a frame now and then."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._worst: list[_Pair] = []
        self._samples: list[tuple[int, Picture, Picture]] = []
        self._every = 1
        self._last: tuple[Picture, Picture] | None = None
        self._count = 0

    def add(self, source: Picture, styled: Picture, figures: Figures) -> None:
        """The next frame, and what `Meter.add` said of it."""
        now = source, styled
        error = figures.get("warp_error", 0.0)
        if self._last is not None and error > 0:
            self._worst = sorted([*self._worst, _Pair(error, self._count, self._last, now)], key=lambda p: -p.error)[
                :WORST
            ]
        if self._count % self._every == 0:
            self._samples.append((self._count, source, styled))
            if len(self._samples) == 2 * SAMPLES:  # every other one goes, so that they stay spread over the whole
                self._samples, self._every = self._samples[::2], 2 * self._every
        self._last, self._count = now, self._count + 1

    def write(self, result: Measurement, title: str) -> None:
        """Writes the page, complete or not at all."""
        parts = [
            f"<h1>{html.escape(title)}</h1><p>{result.frames} frames</p>",
            _table(result),
            "<h2>Frame by frame</h2>",
            *(_curve(name, values) for name, values in result.curves.items()),
            "<h2>Source and result</h2>",
            *(_figure(f"frame {i}", (source, styled), kind="two") for i, source, styled in self._samples),
            "<h2>The worst pairs</h2>",
            "<p>Source, the result before, the result, and what the motion leaves unexplained.</p>",
            *map(_worst, self._worst),
        ]
        head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        partial = self._path.with_name(f".{self._path.name}.{os.getpid()}.part")
        try:
            partial.write_text(f"{head}<style>{STYLE}</style>{''.join(parts)}</html>\n", encoding="utf-8")
            os.replace(partial, self._path)
        finally:
            partial.unlink(missing_ok=True)


def _table(result: Measurement) -> str:
    rows = "".join(
        f"<tr><td>{name}<td>{result.figures[name]:.3f}<td>{_number(result.floors.get(name))}<td>{meaning}"
        for name, meaning in MEANING.items()
        if name in result.figures
    )
    return f"<table><tr><th>figure<th>result<th>source itself<th>{rows}</table>"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _curve(name: str, values: list[float]) -> str:
    known = np.nan_to_num(np.asarray(values, np.float32))
    low, high = float(known.min()), float(known.max())
    x = np.linspace(0, WIDTH, len(known)) if len(known) > 1 else np.zeros(1)
    y = HEIGHT - 4 - (known - low) / max(high - low, 1e-9) * (HEIGHT - 8)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    line = f'<svg width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{name}"><polyline points="{points}"/></svg>'
    return f"<figure><figcaption>{name}, {low:.3f} to {high:.3f}</figcaption>{line}</figure>"


def _worst(pair: _Pair) -> str:
    source = cv2.resize(pair.now[0], pair.now[1].shape[1::-1], interpolation=cv2.INTER_AREA)
    earlier = cv2.resize(pair.before[0], pair.now[1].shape[1::-1], interpolation=cv2.INTER_AREA)
    motion = motion_between(source, earlier)
    error = error_map(pair.before[1], pair.now[1], motion.flow, motion.visible)
    shown = cv2.applyColorMap((255 * np.clip(4 * error, 0, 1)).astype(np.uint8), cv2.COLORMAP_INFERNO)
    pictures = (source, pair.before[1], pair.now[1], np.asarray(shown[..., ::-1], np.uint8))
    return _figure(f"frames {pair.index - 1} and {pair.index}: warp error {pair.error:.2f}", pictures)


def _figure(caption: str, pictures: tuple[Picture, ...], kind: str = "") -> str:
    return f'<figure class="{kind}"><figcaption>{caption}</figcaption>{" ".join(map(_image, pictures))}</figure>'


def _image(picture: Picture) -> str:
    """As a JPEG inside the page, at most 640 pixels wide."""
    scale = min(1.0, 640 / picture.shape[1])
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])
    return f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode()}">'
