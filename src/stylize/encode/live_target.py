"""The places for a live picture: streams, recordings, virtual cameras, by their names."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

from stylize.encode.outputs import check_place
from stylize.errors import VideoError

STREAMS = {"udp": "mpegts", "tcp": "mpegts", "srt": "mpegts", "rtp": "rtp_mpegts", "rtmp": "flv", "rtsp": "rtsp"}
"""FFmpeg's muxers by protocol."""
RECORDINGS = {".mkv": "matroska", ".mp4": "mp4", ".ts": "mpegts"}
"""Muxers of recordings; what is written can be played whenever the program ends."""
CAMERA = "camera:"


@dataclass(frozen=True)
class LiveTarget:
    """A place for a live picture."""

    text: str
    muxer: str
    path: Path | None = None
    """The file of a recording; `None` for streams and virtual cameras."""

    @property
    def is_camera(self) -> bool:
        """True for a virtual camera."""
        return self.text.startswith(CAMERA)


def parse_live_target(text: str, *, force: bool = False) -> LiveTarget:
    """Returns the place that a text names.

    Raises:
        VideoError: it names none, or the file cannot be written.
    """
    scheme, found, rest = text.partition("://")
    if found:
        if scheme not in STREAMS or not rest:
            raise VideoError(f"{text}: cannot be sent to", f"name one of {', '.join(f'{s}://' for s in STREAMS)}")
        return LiveTarget(text, STREAMS[scheme])
    if text.startswith(CAMERA):
        if importlib.util.find_spec("pyvirtualcam") is None:
            raise VideoError("a virtual camera needs pyvirtualcam", "pip install pyvirtualcam")
        return LiveTarget(text, "")
    if re.match(r"[a-z]{2,}:", text):
        raise VideoError(f"{text}: cannot be sent to", "name a stream (udp://...), a file, or camera:")
    path = check_place(text, RECORDINGS, force=force)
    return LiveTarget(text, RECORDINGS[path.suffix.lower()], path)
