"""A live picture: how many frames a second and how late, size by size; and whether a long day costs memory.

    python benchmarks/live.py [--device cpu] [--model pocket] [--prompt "oil painting"] [--seconds 10]
    python benchmarks/live.py --soak 100000

The first form sends the test picture (`test:`, 30 frames a second, with the time in it) through the whole way: reading
thread, networks, JPEG, the page's server, a viewer, who reads the time back. The second restyles so many small frames
as quickly as they go, through the same session, and tells the resident memory on the way. Prints a table, and one JSON
object as the last line.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

from common import hardware, moving_clips, resident_mb

from stylize import Style, load_stylizer
from stylize.decode.live import LiveFrame, LiveReader
from stylize.decode.live_address import parse_live_address
from stylize.page.latency import LatencyMeter
from stylize.page.live_page import LivePage
from stylize.runs.live.session import Live

SIDES = (192, 256, 320, 384, 512)
SOAK_SIZE = (64, 48)
RESTYLED_EVERY = 20_000
"""Frames of the soak after which the look is changed."""


def measure(stylizer: Any, style: Style, seconds: float) -> dict[str, Any]:
    """The rate and the delay of one size."""
    with LiveReader(parse_live_address("test:")) as source:
        live = Live(stylizer, source, style)
        page = LivePage(live, "test:", host="127.0.0.1", port=0, token=None)
        with page, LatencyMeter("127.0.0.1", page.port, None, lambda line: None) as meter:
            began, frames, settled = time.monotonic(), 0, 0.0
            for frame in live:
                page.show(frame)
                now = time.monotonic() - began
                if now < 2:  # memory is taken, and the viewer comes
                    meter.delays.clear()
                    settled = now
                    continue
                frames += 1
                if now > seconds + 2:
                    break
            took = time.monotonic() - began - settled
            delays = sorted(meter.delays)
    return {
        "size": "x".join(map(str, live.figures.size)), "mode": style.mode, "frames_per_second": round(frames / took, 1),
        "glass_to_glass_ms": delays[len(delays) // 2], "worst_ms": delays[-1], "read": len(delays),
    }  # fmt: skip


class Frames:
    """A source of small frames that has the next one at once."""

    address = SimpleNamespace(text="soak")
    info = SimpleNamespace(frame_rate=Fraction(25))
    losses = dropped = 0
    waited = 0.0

    def __init__(self, count: int) -> None:
        self.source_size = self.size = SOAK_SIZE
        self._pictures = [clip.frames[0] for clip in moving_clips(64, *SOAK_SIZE)]
        self._count, self._next = count, 0

    @property
    def has_ended(self) -> bool:
        return self._next >= self._count

    def take(self, timeout: float = 0.25) -> LiveFrame:
        number, self._next = self._next, self._next + 1
        forth_and_back = abs((number % 126) - 63)
        return LiveFrame(self._pictures[forth_and_back], Fraction(number, 25), time.monotonic())


def soak(stylizer: Any, style: Style, count: int) -> dict[str, Any]:
    """Resident memory, after the first thousand frames and at the end, with changes of the look on the way."""
    live, marks, began = Live(stylizer, Frames(count), style), dict[int, float](), time.monotonic()  # type: ignore[arg-type]
    looks = ("ink drawing", "woodcut print", style.prompt)
    for number, frame in enumerate(live, 1):
        assert frame.picture.shape == (*SOAK_SIZE[::-1], 3)
        if number % RESTYLED_EVERY == 0:
            live.style = replace(style, prompt=looks[number // RESTYLED_EVERY % len(looks)])
        if number in (1000, 5000) or number % 10_000 == 0:
            marks[number] = round(resident_mb(), 1)
            print(
                f"{number:>8} frames  {marks[number]:8.1f} MB  {number / (time.monotonic() - began):6.1f} frames/s",
                flush=True,
            )
    return {"frames": live.figures.frames, "resident_mb": marks}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--device")
    parser.add_argument("--vae")
    parser.add_argument("--prompt", default="oil painting")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--soak", type=int, metavar="FRAMES")
    parser.add_argument("--mode", choices=["full", "fast"], default="full")
    asked = parser.parse_args()
    stylizer = load_stylizer(asked.model, device=asked.device, vae=asked.vae)
    style = Style(prompt=asked.prompt, steps=asked.steps, mode=asked.mode)
    result: dict[str, Any] = {"hardware": hardware(), "model": stylizer.networks.name}
    print(result["hardware"])
    if asked.soak:
        result |= soak(stylizer, style, asked.soak)
    else:
        result["rows"] = [measure(stylizer, replace(style, fit=side), asked.seconds) for side in SIDES]
        for row in result["rows"]:
            print(
                f"{row['size']:>9} {row['mode']}  {row['frames_per_second']:5.1f} frames/s  "
                f"{row['glass_to_glass_ms']:4d} ms, at most {row['worst_ms']} ms"
            )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
