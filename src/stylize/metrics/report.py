"""Renders a measurement as one self-contained HTML page: table, curves, and the worst pairs of frames as pictures."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader

from stylize.frames import Picture, resize
from stylize.metrics.figures import Figures, error_map
from stylize.metrics.meter import MEANING, Measurement
from stylize.motion import motion_between

SUFFIXES = (".html", ".htm")
WORST, SAMPLES = 4, 4
"""Number of the worst pairs on the page, and the least number of samples (fewer than twice as many are shown)."""
WIDTH, HEIGHT = 640, 90
"""Size of a curve in pixels; `WIDTH` is also the greatest width of a picture."""
TEMPLATES = Environment(loader=PackageLoader("stylize.metrics"), autoescape=True)


@dataclass(frozen=True)
class _Pair:
    """Two neighbouring frames, each (source, result)."""

    error: float
    index: int
    before: tuple[Picture, Picture]
    now: tuple[Picture, Picture]


class Page:
    """Collects the page's pictures while frames are measured: the worst pairs so far, and evenly spread samples."""

    def __init__(self) -> None:
        self._worst: list[_Pair] = []
        self._samples: list[tuple[int, Picture, Picture]] = []
        self._every = 1
        self._last: tuple[Picture, Picture] | None = None
        self._count = 0

    def add(self, source: Picture, styled: Picture, figures: Figures) -> None:
        """Adds the next frame with the figures that `Meter.add` returned for it."""
        now, error = (source, styled), figures.get("warp_error", 0.0)
        if self._last is not None and error > 0:
            pairs = [*self._worst, _Pair(error, self._count, self._last, now)]
            self._worst = sorted(pairs, key=lambda pair: -pair.error)[:WORST]
        if self._count % self._every == 0:
            self._samples.append((self._count, source, styled))
            if len(self._samples) == 2 * SAMPLES:  # drop every other one: they stay spread evenly
                self._samples, self._every = self._samples[::2], 2 * self._every
        self._last, self._count = now, self._count + 1

    def render(self, result: Measurement, title: str) -> str:
        """Returns the page as HTML."""
        return TEMPLATES.get_template("report.html").render(
            title=title, result=result, meanings=MEANING, width=WIDTH, height=HEIGHT,
            curves=[_draw_curve(name, values) for name, values in result.curves.items()],
            samples=[(f"frame {i}", [_encode(source), _encode(styled)]) for i, source, styled in self._samples],
            worst=[
                (f"frames {p.index - 1} and {p.index}: warp error {p.error:.2f}", _encode_pair(p)) for p in self._worst
            ],
        )  # fmt: skip


def _draw_curve(name: str, values: list[float]) -> dict[str, Any]:
    """Returns the line over all frames as points of an SVG."""
    numbers = np.nan_to_num(np.asarray(values, np.float32))
    low, high = float(numbers.min()), float(numbers.max())
    x = np.linspace(0, WIDTH, len(numbers)) if len(numbers) > 1 else np.zeros(1)
    y = HEIGHT - 4 - (numbers - low) / max(high - low, 1e-9) * (HEIGHT - 8)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    return {"name": name, "low": low, "high": high, "points": points}


def _encode_pair(pair: _Pair) -> list[str]:
    """Returns the source, the previous result, the result, and the difference that the motion does not explain."""
    height, width = pair.now[1].shape[:2]
    earlier, source = (resize(picture, (width, height)) for picture in (pair.before[0], pair.now[0]))
    motion = motion_between(source, earlier)
    error = error_map(pair.before[1], pair.now[1], motion.flow, motion.visible)
    heat_map = cv2.applyColorMap((255 * np.clip(4 * error, 0, 1)).astype(np.uint8), cv2.COLORMAP_INFERNO)
    pictures = (source, pair.before[1], pair.now[1], np.asarray(heat_map[..., ::-1], np.uint8))
    return [_encode(picture) for picture in pictures]


def _encode(picture: Picture) -> str:
    """Returns the picture as a JPEG in a data URL, at most 640 pixels wide."""
    height, width = picture.shape[:2]
    scale = min(1.0, WIDTH / width)
    small = resize(picture, (round(width * scale), round(height * scale)))
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode()}"
