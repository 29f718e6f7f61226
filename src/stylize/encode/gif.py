"""Encodes frames as a GIF: a palette for each frame, pauses in hundredths of a second."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from PIL import Image

from stylize.encode.segments import Manifest, frames_of, times_of
from stylize.encode.target import Target

HUNDREDTH = Fraction(1, 100)
"""Seconds a tick of GIF's clock."""
SHORTEST = 2
"""Ticks that browsers show a frame; they slow down one that asks for less to a tenth of a second."""


def animate(container: Any, target: Target, folder: Path, manifest: Manifest) -> None:
    """Encodes the frames of whole segments, each with the palette that suits it best."""
    stream = container.add_stream("gif", rate=target.source.frame_rate)
    stream.width, stream.height = target.size
    stream.pix_fmt = "pal8"
    stream.time_base = stream.codec_context.time_base = HUNDREDTH
    graph, last, first, skipped = None, -SHORTEST, None, 0
    for frame, pts in frames_of(folder, manifest):
        first = pts if first is None else first
        time = round((pts - first) * target.base / HUNDREDTH)
        if time < last + SHORTEST:
            skipped += 1
            continue
        graph = graph or _build_palette_graph(frame)
        frame.pts, frame.time_base, last = time, HUNDREDTH, time
        graph.push(frame)
        container.mux(stream.encode(_pull(graph)))
    container.mux(stream.encode(None))
    if skipped:
        target.say(f"a GIF shows up to 50 frames a second: {skipped} frames that come sooner are left out")


def gif_options(target: Target, folder: Path, manifest: Manifest) -> dict[str, str]:
    """Returns the muxer's options: the last frame's duration in hundredths, and how often the animation repeats.

    If the source is a GIF, the repeats are taken from it; otherwise the animation repeats for ever.
    """
    last = max(times_of(folder, manifest.segments[-1]))
    pause = max(SHORTEST, round(last[2] * target.base / HUNDREDTH))
    loop = 0
    if target.source.codec == "gif":
        with Image.open(target.source.path) as animation:
            loop = animation.info.get("loop", -1)
    return {"final_delay": str(pause), "loop": str(loop)}


def _build_palette_graph(frame: Any) -> Any:
    graph = av.filter.Graph()
    begin = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format.name, time_base=HUNDREDTH)
    split, end = graph.add("split"), graph.add("buffersink")
    palette, use = graph.add("palettegen", "stats_mode=single"), graph.add("paletteuse", "new=1:dither=bayer")
    begin.link_to(split)
    split.link_to(palette, 0, 0)
    split.link_to(use, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(end)
    graph.configure()
    return graph


def _pull(graph: Any) -> Any:
    frame = graph.pull()
    frame.time_base = HUNDREDTH
    return frame
