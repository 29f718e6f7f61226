"""Where does the time of a frame go? Every stage timed in one run; the ceiling is the UNet alone.

    python benchmarks/speed.py [--model pocket] [--size 512x288] [--frames 20] [--steps 4]

Prints a table, and one JSON object as the last line. Compare the shares and ratios; seconds depend on the machine.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from common import hardware, moving_clips

from stylize import Style, load_stylizer
from stylize.networks import Networks
from stylize.style import parse_size


@contextmanager
def timed(networks: Networks) -> Iterator[dict[str, float]]:
    """Seconds spent inside each network, by name, through hooks that wrap their `forward`."""
    seconds: dict[str, float] = defaultdict(float)
    parts = {"UNet": networks.unet, "VAE encoder": networks.vae.encoder, "VAE decoder": networks.vae.decoder}
    parts |= {f"ControlNet {name}": net.network for name, net in networks.controlnets.items()}
    parts |= {f"ControlNet {name} embedding": net._embedding for name, net in networks.controlnets.items()}
    originals: dict[str, Callable[..., Any]] = {name: part.forward for name, part in parts.items()}

    def wrap(name: str, forward: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            result = forward(*args, **kwargs)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            seconds[name] += time.perf_counter() - began
            return result

        return run

    for name, part in parts.items():
        part.forward = wrap(name, originals[name])
    try:
        yield seconds
    finally:
        for name, part in parts.items():
            part.forward = originals[name]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--size", type=parse_size, default=(512, 288))
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--steps", type=int, help="the model's own if left out")
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"])
    args = parser.parse_args()
    stylizer = load_stylizer(args.model, dtype=getattr(torch, args.dtype) if args.dtype else None)
    style = Style(prompt="watercolour painting", steps=args.steps)
    list(stylizer.stream(moving_clips(2, *args.size), style))  # warm-up
    with timed(stylizer.networks) as seconds, stylizer.networks.counting() as evaluations:
        began = time.perf_counter()
        frames = sum(len(clip) for clip in stylizer.stream(moving_clips(args.frames, *args.size), style))
        total = time.perf_counter() - began
    seconds["everything else"] = total - sum(seconds.values())
    print(f"{hardware()}; {args.model} in {stylizer.networks.dtype}, {args.size[0]}x{args.size[1]}, {frames} frames")
    print(f"{'stage':<28} {'ms a frame':>11} {'share':>7}")
    for name, spent in sorted(seconds.items(), key=lambda item: -item[1]):
        print(f"{name:<28} {1000 * spent / frames:>11.1f} {spent / total:>7.1%}")
    print(f"{'all':<28} {1000 * total / frames:>11.1f}  = {frames / total:.2f} frames/s")
    result = {
        "benchmark": "speed", "hardware": hardware(), "model": args.model, "size": list(args.size),
        "dtype": str(stylizer.networks.dtype), "frames_per_second": round(frames / total, 3),
        "unet_evals_per_frame": evaluations.unet / frames,
        "share": {name: round(spent / total, 4) for name, spent in seconds.items()},
    }  # fmt: skip
    print(json.dumps(result))


if __name__ == "__main__":
    main()
