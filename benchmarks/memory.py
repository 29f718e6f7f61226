"""Does memory grow with the length of a video? One run, resident memory after every frame, a line fitted through it.

    python benchmarks/memory.py [--frames 5000] [--size 96x64]

The ceiling is a slope of 0: nothing may be kept but the `Memory` value, the encoder's lookahead and allocator pools.
Prints a table, and one JSON object as the last line.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
from common import hardware, resident_mb, source_video

from stylize import Style, load_stylizer
from stylize.style import parse_size

WARM_UP = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=5000)
    parser.add_argument("--size", type=parse_size, default=(96, 64))
    parser.add_argument("--model", default="pocket")
    args = parser.parse_args()
    stylizer, samples = load_stylizer(args.model), []
    style, began = Style(prompt="ink drawing", steps=2, strength=0.5), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        source = source_video(Path(folder), args.frames, args.size)
        report = stylizer.convert(
            source, Path(folder) / "out.mp4", style, preset="ultrafast",
            progress=lambda _done, _total: samples.append(resident_mb()),
        )  # fmt: skip
    resident = np.array(samples)
    slope = float(np.polyfit(np.arange(WARM_UP, len(resident)), resident[WARM_UP:], 1)[0])
    print(f"{hardware()}; {args.frames} frames of {args.size[0]}x{args.size[1]}, {time.perf_counter() - began:.0f} s")
    print(f"{'frames':>8} {'resident MB':>12} {'peak so far MB':>15}")
    for count in sorted({n for n in (100, 500, 1000, 2000, 5000, len(resident)) if n <= len(resident)}):
        print(f"{count:>8} {resident[count - 1]:>12.1f} {resident[:count].max():>15.1f}")
    print(f"slope {slope * 1000:+.3f} MB per 1,000 frames after the first {WARM_UP}")
    result = {
        "benchmark": "memory", "hardware": hardware(), "slope_mb_per_1000_frames": round(slope * 1000, 4),
        "peak_mb_at_100": round(float(resident[:100].max()), 1), "peak_mb_at_end": round(float(resident.max()), 1),
        "report": asdict(report),
    }  # fmt: skip
    print(json.dumps(result))


if __name__ == "__main__":
    main()
