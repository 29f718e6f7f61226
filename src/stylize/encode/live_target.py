"""The places for a live picture: streams, recordings, virtual cameras, by their names."""

from __future__ import annotations

import importlib.util
import itertools
import re
from dataclasses import dataclass
from pathlib import Path

from stylize.decode.live_address import hide_password
from stylize.encode.live_network import check_address
from stylize.encode.outputs import check_no_input, check_place
from stylize.errors import VideoError

STREAMS = {"udp": "mpegts", "tcp": "mpegts", "srt": "mpegts", "rtp": "rtp_mpegts", "rtmp": "flv", "rtsp": "rtsp"}
"""FFmpeg's muxers by protocol."""
RECORDINGS = {".mkv": "matroska", ".mp4": "mp4", ".ts": "mpegts"}
"""Muxers of recordings; what is written can be played whenever the program ends."""
CAMERA = "camera:"
PLAIN = ("udp", "tcp")
"""Protocols that Python speaks itself."""


@dataclass(frozen=True)
class LiveTarget:
    """A place for a live picture."""

    text: str
    """As the user wrote it, with passwords and keys left out; for messages."""
    muxer: str
    path: Path | None = None
    """The file of a recording; `None` for streams and virtual cameras."""
    url: str = ""
    """Of a stream."""

    @property
    def is_camera(self) -> bool:
        """True for a virtual camera."""
        return self.text.startswith(CAMERA)

    @property
    def is_plain_network(self) -> bool:
        """True for protocols that Python speaks itself."""
        return self.url.startswith(tuple(f"{scheme}://" for scheme in PLAIN))

    def find_partial(self) -> Path:
        """Returns a free name beside a recording's, where it stands until its end."""
        assert self.path is not None
        numbers = itertools.chain([""], (f".{i}" for i in itertools.count(2)))
        paths = (self.path.with_name(f".{self.path.name}{number}.part") for number in numbers)
        return next(path for path in paths if not path.exists())


def parse_live_target(text: str, *, force: bool = False, source: str = "") -> LiveTarget:
    """Returns the place that a text names.

    Args:
        force: a recording may replace a file.
        source: a file that is read, and so must not be replaced.

    Raises:
        VideoError: it names none, or the file cannot be written.
    """
    scheme, found, rest = text.partition("://")
    if found:
        shown = hide_password(text)
        if scheme not in STREAMS or not rest:
            raise VideoError(f"{shown}: cannot be sent to", f"name one of {', '.join(f'{s}://' for s in STREAMS)}")
        check_address(text)
        if scheme == "rtmp":  # its last part is a key
            shown = f"{shown.rpartition('/')[0]}/..."
        return LiveTarget(shown, STREAMS[scheme], None, text)
    if text.startswith(CAMERA):
        if importlib.util.find_spec("pyvirtualcam") is None:
            raise VideoError("a virtual camera needs pyvirtualcam", "pip install pyvirtualcam")
        return LiveTarget(text, "")
    if re.match(r"[a-z]{2,}:", text):
        raise VideoError(f"{text}: cannot be sent to", "name a stream (udp://...), a file, or camera:")
    path = check_place(text, RECORDINGS, force=force)
    if source:
        check_no_input(path, source)
    return LiveTarget(text, RECORDINGS[path.suffix.lower()], path)
