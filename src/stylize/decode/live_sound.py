"""Sound of a live source as plain data, which outlives the source: packets, and what their track is."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Any, NamedTuple

import av


class SoundPacket(NamedTuple):
    """A packet of a live source's sound."""

    track: int
    """Number among the source's tracks of sound, from 0."""
    content: bytes
    time: Fraction
    """Seconds, on the clock of the frames."""
    duration: Fraction
    time_base: Fraction


class SoundTrack:
    """A track of sound of a live source.

    PyAV's streams are gone with their container; this one has a container of its own, which nothing is written into.
    """

    def __init__(self, stream: Any) -> None:
        self.codec = stream.codec_context.name if stream.codec_context is not None else "unknown"
        self._container = av.open(io.BytesIO(), "w", format="nut")
        self.template = self._container.add_stream_from_template(stream, opaque=True)
        """For `add_stream_from_template`."""


def describe_sound(container: Any) -> dict[int, SoundTrack]:
    """Returns the tracks of sound of an open source by their streams' index; those that nobody knows are left out."""
    tracks = {}
    for stream in container.streams.audio:
        try:
            tracks[stream.index] = SoundTrack(stream)
        except (ValueError, av.FFmpegError):
            continue
    return tracks
