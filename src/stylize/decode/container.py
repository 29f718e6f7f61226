"""Opens video files; refuses URLs, lists of other files and absurd sizes before memory is taken for them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from stylize.errors import VideoError

MAX_SIDE, MAX_FRAMES, MAX_RATE = 16384, 5_000_000, 1000
"""The most that a header may claim; 5 million frames are two days of film."""
BROKEN = (av.FFmpegError, IndexError)
"""Errors that reading a damaged file raises; PyAV raises IndexError for streams that appear in the middle."""
NUMBERED = re.compile(r"%0?\d*d")
"""FFmpeg's sign for the number of a picture."""
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


def check_local(path: str | os.PathLike[str]) -> None:
    """Raises VideoError if the path is a URL."""
    if URL.match(os.fspath(path)):
        raise VideoError(f"{path}: is a URL", "download it first, then name the file")


BROADCAST = {"mpegts", "mpeg"}
"""Formats whose clock may begin at any time."""
THOROUGH = {"probesize": str(256 << 20), "analyzeduration": str(600 * av.time_base)}
with_late_tracks = set[Path]()
"""Files in which a track begins so late that PyAV, opening them as usual, ends there with an IndexError."""
LIBVPX = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""Decoders that keep transparency."""
HURRIED, UNHURRIED = 1, 10
"""Hundredths of a second: a GIF's frames of up to the first are shown for the second by every browser."""
PLAYLISTS = {"hls", "applehttp", "dash", "concat", "concatf", "sdp", "rtsp", "imf", "image2"}
"""Formats whose files name other files: a stranger's file must not make us open files of this machine."""


def open_container(path: Path, *, thorough: bool = False) -> Any:
    """Opens a local file for reading; never treats a name as a protocol.

    Args:
        thorough: read on, up to ten minutes of it, until every track is known.
    """
    try:
        exists = path.exists()
    except OSError as error:
        raise VideoError(f"{path}: cannot be read ({error.strerror})", "check the name") from error
    if not exists and (numbered := NUMBERED.search(path.name)):
        pattern = path.with_name(path.name.replace(numbered[0], "*"))
        raise VideoError(f"{path}: no such file", f"a sequence of pictures is read by '{pattern}'")
    if not exists:
        raise VideoError(f"{path}: no such file", "check the name and the folder")
    if not path.is_file():
        raise VideoError(f"{path}: not a file", "name one video file")
    try:
        late = path.absolute() in with_late_tracks
        options = {"protocol_whitelist": "file"} | (THOROUGH if thorough or late else {})
        # tags in other encodings than UTF-8 are common in old files, and are no reason to refuse a file
        opened = av.open(f"file:{path.absolute()}", metadata_errors="replace", options=options)
    except (av.FFmpegError, OSError, ValueError) as error:
        if isinstance(error, PermissionError):
            raise VideoError(f"{path}: permission denied", "make the file readable") from error
        what = "is empty" if path.stat().st_size == 0 else "not a video that FFmpeg can read, or truncated"
        raise VideoError(f"{path}: {what}", "try to play it, or download it again") from error
    if set(opened.format.name.split(",")) & PLAYLISTS:
        opened.close()
        raise VideoError(f"{path}: is a list of other files", "name the video itself")
    return opened


def read_packets(container: Any, *streams: Any) -> Iterator[Any]:
    """Yields the packets of some streams, or of all; frames of a GIF stay as long as browsers show them."""
    packets = container.demux(*streams)
    if container.format.name != "gif":
        yield from packets
        return
    shift = 0
    for packet in packets:
        if packet.pts is not None:
            packet.pts = packet.dts = packet.pts + shift
        if packet.size and packet.duration <= HURRIED:
            shift += UNHURRIED - packet.duration
            packet.duration = UNHURRIED
        yield packet


def comment_of(path: str | os.PathLike[str]) -> str:
    """Returns the comment tag of a file; empty if it has none.

    Raises:
        VideoError: the file cannot be read.
    """
    with open_container(Path(path)) as container:
        return {key.lower(): str(value) for key, value in container.metadata.items()}.get("comment", "")


def video_stream(container: Any) -> Any:
    """Returns the video stream that a player shows, or `None`; a cover picture does not count as a video."""
    best = container.streams.best("video")
    return None if best is None or best.disposition & av.stream.Disposition.attached_pic else best


def check_size(path: Path, width: int, height: int, frames: int, rate: Fraction) -> None:
    """Raises VideoError if the header claims more than any real camera makes, before memory is taken."""
    if not (0 <= width <= MAX_SIDE and 0 <= height <= MAX_SIDE):
        raise VideoError(f"{path}: claims to be {width}x{height}", f"sides up to {MAX_SIDE} can be read; scale it down")
    if frames > MAX_FRAMES:
        raise VideoError(f"{path}: claims to have {frames} frames", f"up to {MAX_FRAMES} can be read; split it")
    if rate > MAX_RATE:
        raise VideoError(f"{path}: claims {float(rate):g} frames a second", f"up to {MAX_RATE} can be read")


def with_alpha(stream: Any) -> Any:
    """Returns the stream's decoder: libvpx for VP8 and VP9 with transparency, which FFmpeg's own decoders drop."""
    if stream.codec_context.name not in LIBVPX or stream.metadata.get("alpha_mode") != "1":
        return stream.codec_context
    decoder = av.CodecContext.create(LIBVPX[stream.codec_context.name], "r")
    decoder.width, decoder.height = stream.codec_context.width, stream.codec_context.height
    return decoder
