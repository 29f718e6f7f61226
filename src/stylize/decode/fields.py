"""Makes whole pictures of interlaced ones, by FFmpeg's bwdif: two fields of different moments show combs otherwise."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av

MODE = "mode=send_frame:parity=auto:deint=interlaced"
"""A picture for each two fields, so that the number of frames and their times stay; progressive pictures stay."""


class Deinterlacer:
    """Takes decoded frames in their order, and returns them a frame late, without combs.

    Args:
        time_base: seconds a tick of their times.
    """

    def __init__(self, time_base: Fraction) -> None:
        self._time_base = time_base
        self._graph: Any = None
        self._kind: tuple[int, int, str] | None = None

    def __call__(self, frame: Any) -> list[Any]:
        """Takes a frame; `None`, or a frame of another kind, ends the pictures that belong together.

        Returns:
            The frames that are ready.
        """
        kind = None if frame is None else (frame.width, frame.height, frame.format.name)
        ready: list[Any] = []
        if self._graph is not None and kind != self._kind:
            self._graph.push(None)
            ready, self._graph = self._pull(), None
        if frame is None:
            return ready
        if self._graph is None:
            self._kind, self._graph = kind, self._make_graph(frame)
        self._graph.push(frame)
        return ready + self._pull()

    def _make_graph(self, frame: Any) -> Any:
        graph = av.filter.Graph()
        source = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=self._time_base
        )
        bwdif, sink = graph.add("bwdif", MODE), graph.add("buffersink")
        source.link_to(bwdif)
        bwdif.link_to(sink)
        graph.configure()
        return graph

    def _pull(self) -> list[Any]:
        frames: list[Any] = []
        while True:
            try:
                frame = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return frames
            ticks = frame.time_base / self._time_base  # bwdif halves the tick
            frame.pts = None if frame.pts is None else round(frame.pts * ticks)
            frame.duration, frame.time_base = round((frame.duration or 0) * ticks), self._time_base
            frames.append(frame)
