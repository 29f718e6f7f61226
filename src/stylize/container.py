"""What a video file says of itself, checked against its first frame."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from stylize.errors import DamagedVideo, VideoError

UNSPECIFIED_COLOUR = 2  # AVCOL_SPC_UNSPECIFIED
DECORD_CONTAINERS = {".mp4", ".m4v", ".mov", ".mkv", ".webm"}
DECORD_CODECS = {"h264", "hevc", "vp8", "vp9"}


@dataclass(frozen=True)
class VideoInfo:
    """What a video file says of itself, checked against its first frame."""

    path: Path
    width: int
    """As shown, that is after rotation."""
    height: int
    frame_rate: Fraction
    """Average frames a second; single frames may be shown longer or shorter."""
    frame_count_from_header: int | None
    """`None` where the container does not say; headers can be wrong."""
    duration: Fraction | None
    """Seconds, of the longest stream, from the header."""
    time_base: Fraction
    """Seconds a tick: every frame time is a multiple of it."""
    start: Fraction
    """Time of the first frame in seconds."""
    rotation: int
    """Degrees that the file asks to turn its pictures by, already applied to all that is read."""
    sample_aspect_ratio: Fraction
    codec: str
    pixel_format: str
    untagged_hd: bool
    """No colour matrix given and HD: read as BT.709, where decoders by themselves assume BT.601."""
    has_audio: bool

    @property
    def frame_count(self) -> int | None:
        """The header's count, or an estimate from duration and rate, for progress and estimates only."""
        if self.frame_count_from_header:
            return self.frame_count_from_header
        return max(1, round(self.duration * self.frame_rate)) if self.duration else None


def open_container(path: Path) -> Any:
    """Opens a local file for reading; never treats a name as a protocol."""
    if not path.exists():
        raise VideoError(f"{path}: no such file", "check the name and the folder")
    if not path.is_file():
        raise VideoError(f"{path}: not a file", "name one video file")
    try:
        return av.open(f"file:{path.absolute()}")
    except (av.FFmpegError, OSError) as error:
        if isinstance(error, PermissionError):
            raise VideoError(f"{path}: permission denied", "make the file readable") from error
        what = "is empty" if path.stat().st_size == 0 else "not a video that FFmpeg can read, or truncated"
        raise VideoError(f"{path}: {what}", "try to play it, or download it again") from error


def probe(path: str | os.PathLike[str]) -> VideoInfo:
    """Reads the header and the first frame.

    Raises:
        VideoError: no such file, not a video, no video stream, or no frame in it.
    """
    path = Path(path)
    with open_container(path) as container:
        if not container.streams.video:
            raise VideoError(f"{path}: has no video stream", "name a file with pictures in it")
        stream = container.streams.video[0]
        try:
            frame = next(container.decode(stream), None)
        except av.FFmpegError as error:
            raise DamagedVideo(f"{path}: its first frame cannot be decoded", "download or record it again") from error
        if frame is None:
            raise VideoError(f"{path}: has no frames", "name a video that has some")
        sideways = frame.rotation % 180 != 0
        hd = frame.height >= 720 or frame.width >= 1280
        return VideoInfo(
            path=path,
            width=frame.height if sideways else frame.width,
            height=frame.width if sideways else frame.height,
            frame_rate=Fraction(stream.average_rate or stream.guessed_rate or 25),
            frame_count_from_header=stream.frames or None,
            duration=Fraction(container.duration, av.time_base) if container.duration else None,
            time_base=Fraction(stream.time_base),
            start=(frame.pts or 0) * Fraction(stream.time_base),
            rotation=frame.rotation,
            sample_aspect_ratio=Fraction(stream.sample_aspect_ratio or 1) or Fraction(1),
            codec=stream.codec_context.name,
            pixel_format=frame.format.name,
            untagged_hd=hd and int(frame.colorspace) == UNSPECIFIED_COLOUR,
            has_audio=bool(container.streams.audio),
        )


def decord_is_exact(info: VideoInfo) -> bool:
    """Whether decord reads this file exactly as PyAV does (measured: see docs/decoding.md)."""
    return (
        info.path.suffix.lower() in DECORD_CONTAINERS
        and info.codec in DECORD_CODECS
        and info.pixel_format == "yuv420p"
        and not info.untagged_hd
        and info.rotation == 0
        and info.start == 0
        and importlib.util.find_spec("decord") is not None
    )
