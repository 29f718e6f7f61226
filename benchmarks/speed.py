"""Where does the time of a frame go? From file to file, every stage timed in one run; the ceiling is the UNet alone.

    python benchmarks/speed.py [--model pocket] [--size 512x288] [--frames 24] [--steps 4] [--mode fast]

Decoding, flow, fusion and encoding run in threads beside the networks: what they take is listed, what is waited for
them is in the rest. Prints a table, and one JSON object as the last line. Compare shares and ratios; seconds depend on
the machine.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from common import hardware, moving_clips, source_video

from stylize import Style, Stylizer, load_stylizer
from stylize.decode import reader as video
from stylize.encode import writer as encode
from stylize.motion import flow, shots
from stylize.networks import Networks
from stylize.pipeline import finisher, preparer, restyling
from stylize.restyle import keyframes
from stylize.structure import depth as estimators
from stylize.style import parse_size

MAPS = "edges, scaling of depth"
STAGES = {
    "depth network": (estimators.PocketDepth, "__call__"),
    MAPS: (restyling, "take_maps"),
    "cuts": (shots.CutDetector, "see"),
    "flow": (flow, "motion_between"),
    "flow both ways": (flow, "motions_between"),
    "fusion": (finisher, "fuse"),
    "frames between": (keyframes, "between"),
    "strokes": (preparer, "take_strokes"),
    "decoding": (video.VideoReader, "_clip"),
    "encoding": (encode.VideoWriter, "_encode"),
    "segments to disk": (encode.VideoWriter, "_end_segment"),
}
NETWORKS = ("UNet", "VAE", "ControlNet", "depth network")


@contextmanager
def timed(networks: Networks) -> Iterator[tuple[dict[str, float], dict[str, float]]]:
    """Seconds inside each stage in this thread, and in others."""
    own: dict[str, float] = defaultdict(float)
    beside: dict[str, float] = defaultdict(float)
    here = threading.get_ident()
    parts: dict[str, tuple[Any, str]] = {
        "UNet": (networks.unet, "forward"), "VAE encoder": (networks.vae, "encode"),
        "VAE decoder": (networks.vae, "decode"),
    }  # fmt: skip
    for name, net in networks.controlnets.items():
        parts[f"ControlNet {name}"] = net.network, "forward"
        parts[f"ControlNet {name} embedding"] = net._embedding, "forward"

    def wrap(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            result = function(*args, **kwargs)
            seconds = own if threading.get_ident() == here else beside
            if torch.cuda.is_available() and seconds is own:
                torch.cuda.synchronize()
            seconds[name] += time.perf_counter() - began
            return result

        return run

    with ExitStack() as stack:
        for name, (place, attribute) in (parts | STAGES).items():
            stack.enter_context(patch.object(place, attribute, wrap(name, getattr(place, attribute))))
        yield own, beside


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--size", type=parse_size, default=(512, 288))
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--steps", type=int, help="the model's own if left out")
    parser.add_argument("--batch", type=int, help="frames that go together; what fits if left out")
    parser.add_argument("--mode", choices=["full", "fast"], default="full")
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"])
    args = parser.parse_args()
    dtype = getattr(torch, args.dtype) if args.dtype else None
    stylizer = load_stylizer(args.model, dtype=dtype, batch=args.batch)
    style = Style(prompt="watercolour painting", steps=args.steps, mode=args.mode)
    list(stylizer.stream(moving_clips(8, *args.size), style))  # warm-up
    own, beside, total, evaluations = one_run(stylizer, style, args.frames, args.size)
    own[MAPS] -= own.get("depth network", 0.0)  # it runs within
    networks = sum(spent for name, spent in own.items() if name.startswith(NETWORKS))
    own["waiting and everything else"] = total - sum(own.values())
    print(
        f"{hardware()}; {args.model} in {stylizer.networks.dtype}, {args.size[0]}x{args.size[1]}, {args.frames} frames"
    )
    print(f"{'stage':<32} {'ms a frame':>11} {'share':>7}")
    for name, spent in sorted(own.items(), key=lambda item: -item[1]):
        print(f"{name:<32} {1000 * spent / args.frames:>11.1f} {spent / total:>7.1%}")
    for name, spent in beside.items():
        print(f"{name + ' (beside)':<32} {1000 * spent / args.frames:>11.1f}")
    print(f"{'all':<32} {1000 * total / args.frames:>11.1f}  = {args.frames / total:.2f} frames/s")
    print(f"outside the networks: {1 - networks / total:.1%}")
    result = {
        "benchmark": "speed", "hardware": hardware(), "model": args.model, "size": list(args.size), "mode": args.mode,
        "dtype": str(stylizer.networks.dtype), "frames_per_second": round(args.frames / total, 3),
        "unet_evals_per_frame": evaluations, "outside_networks": round(1 - networks / total, 4),
        "share": {name: round(spent / total, 4) for name, spent in own.items()},
    }  # fmt: skip
    print(json.dumps(result))


def one_run(
    stylizer: Stylizer, style: Style, frames: int, size: tuple[int, int]
) -> tuple[dict[str, float], dict[str, float], float, float]:
    """A run from file to file: seconds by stage, here and beside, in all, and UNet evaluations a frame."""
    with tempfile.TemporaryDirectory() as folder:
        source = source_video(Path(folder), frames, size)
        with timed(stylizer.networks) as (own, beside):
            began = time.perf_counter()
            report = stylizer.convert(source, Path(folder) / "out.mp4", style)
            total = time.perf_counter() - began
        return dict(own), dict(beside), total, report.unet_evals_per_frame


if __name__ == "__main__":
    main()
