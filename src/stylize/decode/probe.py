"""Reads the facts of a video from its header, and checks them against its first frame."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import math
import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from stylize.decode.colour import BT709, Colour, colour_of
from stylize.decode.container import (
    BROADCAST,
    BROKEN,
    MAX_RATE,
    check_size,
    open_container,
    read_packets,
    video_stream,
    with_alpha,
)
from stylize.decode.marks import Crop, Marks, find_marks
from stylize.errors import DamagedVideo, VideoError

DECORD_CONTAINERS = {".mp4", ".m4v", ".mov", ".mkv", ".webm"}
DECORD_CODECS = {"h264", "hevc", "vp8", "vp9"}
PLAUSIBLE_RATE = 120
"""Frames a second; a higher rate is often the container's clock, and is measured."""
PROFILE_5 = (5, 0)
"""Dolby Vision whose colours no plain decoder can show, and its compatibility."""
LONGEST_TICK = 3600
"""The most seconds that a tick may last."""
MEASURED_PACKETS = 300
"""Packets whose times give the rate, where the header's is doubtful."""
SEARCHED_FRAMES = 500
"""Frames of a GIF that are searched for a transparent pixel."""


@dataclass(frozen=True)
class VideoInfo:
    """The facts that a video file states about itself, checked against its first frame."""

    path: Path
    width: int
    """As shown, which is after rotation."""
    height: int
    frame_rate: Fraction
    """Average frames a second; single frames may be shown longer or shorter."""
    frame_count_from_header: int | None
    """`None` where the container does not say, or counts frames that are hidden; headers can be wrong."""
    duration: Fraction | None
    """Seconds that the longest stream lasts, from the header."""
    time_base: Fraction
    """Seconds a tick: every frame time is a multiple of it."""
    start: Fraction
    """Time of the first frame in seconds, on the file's clock minus `clock`."""
    rotation: int
    """Degrees by which the file asks to turn its pictures; already applied to the frames that are read."""
    sample_aspect_ratio: Fraction
    codec: str
    pixel_format: str
    colour: Colour
    """The meaning of its YCbCr values; parts that the file leaves open are filled in as players do."""
    untagged_hd: bool
    """True for HD without a colour matrix: it is read as BT.709, where decoders by themselves assume BT.601."""
    bits: int
    """Bits of each colour component."""
    has_alpha: bool
    has_audio: bool
    has_times: bool = True
    """True if the container says when each frame is shown; AVI only stores frames in the order of decoding."""
    clock: Fraction = Fraction(0)
    """Seconds at which a broadcast's clock begins, since it has been running for an unknown time; 0 for other files."""
    mirrored: bool = False
    """True if the file asks to flip pictures upside down before turning them; already done to frames that are read."""
    crop: Crop = (0, 0, 0, 0)
    """Pixels at the left, top, right and bottom that the file asks to hide, before rotation; already hidden."""
    interlaced: bool = False
    """True if two fields of different moments share each picture; made whole as they are read, if that is wished."""
    left_out: tuple[str, ...] = ()
    """What the file says of its pictures and is lost with them: captions, the mark of a 360-degree video."""

    @property
    def frame_count(self) -> int | None:
        """The header's count, or an estimate from duration and rate; only for progress and estimates."""
        if self.frame_count_from_header:
            return self.frame_count_from_header
        return max(1, round(self.duration * self.frame_rate)) if self.duration else None


def probe(path: str | os.PathLike[str]) -> VideoInfo:
    """Reads the header and the first frame of a video.

    Raises:
        VideoError: no such file, not a video, no video stream, no frame, or a header that claims more than is allowed.
    """
    path = Path(path)
    with open_container(path) as container:
        stream = video_stream(container)
        if stream is None:
            raise VideoError(f"{path}: has no video stream", "name a file with pictures in it")
        if stream.codec_context is None:
            raise VideoError(f"{path}: its pictures are in a format that FFmpeg cannot decode", "convert it first")
        rate = _read_rate(path, stream)
        if stream.time_base > LONGEST_TICK:
            raise VideoError(f"{path}: claims that a frame lasts {float(stream.time_base):.0f} s", "download it again")
        check_size(path, stream.codec_context.width, stream.codec_context.height, stream.frames, rate)
        marks = find_marks(path, container.format.name, stream.index)
        if marks.dolby_vision == PROFILE_5:
            what = "is Dolby Vision profile 5, whose colours only licensed players can show"
            raise VideoError(f"{path}: {what}", "export it as HDR10, HLG or an ordinary video")
        frame = _decode_first_frame(path, container, stream)
        colour = colour_of(frame, stream.codec_context)
        sideways = frame.rotation % 180 != 0
        left, top, right, bottom = marks.crop
        hides = _hides_frames(stream, rate)
        width, height = frame.width - left - right, frame.height - top - bottom
        return VideoInfo(
            path=path,
            width=height if sideways else width,
            height=width if sideways else height,
            frame_rate=rate,
            frame_count_from_header=None if hides else stream.frames or None,
            duration=None if hides or not container.duration else Fraction(container.duration, av.time_base),
            time_base=Fraction(stream.time_base),
            start=(frame.pts or 0) * Fraction(stream.time_base) - (clock := _read_clock(container, stream)),
            clock=clock,
            rotation=frame.rotation,
            mirrored=_is_mirrored(frame),
            sample_aspect_ratio=_read_aspect(stream, sideways),
            codec=stream.codec_context.name,
            pixel_format=frame.format.name,
            colour=colour,
            untagged_hd=colour.assumed_hd,
            bits=max(component.bits for component in frame.format.components),
            has_alpha=_has_alpha(path, stream, frame),
            has_audio=bool(container.streams.audio),
            has_times=container.format.name != "avi",
            crop=marks.crop,
            interlaced=bool(frame.interlaced_frame),
            left_out=_list_lost(frame, marks),
        )


def _hides_frames(stream: Any, rate: Fraction) -> bool:
    """True if the header counts more frames than are shown: an edit list hides some."""
    return bool(
        stream.frames and stream.duration and stream.frames / rate > stream.duration * stream.time_base + 2 / rate
    )


def _list_lost(frame: Any, marks: Marks) -> tuple[str, ...]:
    captions = _get_side_data(frame, "A53_CC") is not None
    lost = {
        "closed captions inside the pictures": captions,
        "the mark of a 360-degree video": marks.spherical,
        "the mark of a 3-D video": marks.stereo,
    }
    return tuple(name for name, there in lost.items() if there)


def _get_side_data(frame: Any, name: str) -> Any:
    """Returns a frame's side data of this kind, or `None`."""
    try:
        return frame.side_data.get(name)
    except ValueError:  # beside it lies a kind that this PyAV does not know, such as EXIF
        return None


def _read_rate(path: Path, stream: Any) -> Fraction:
    """Returns the average frame rate; not the encoder's clock, which FFmpeg may report if the header has no rate."""
    rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
    rate = Fraction(stream.guessed_rate) if rate > MAX_RATE and stream.guessed_rate else rate
    doubtful = rate > PLAUSIBLE_RATE or stream.codec_context.name == "gif"
    return (_measure_rate(path, stream) or rate) if doubtful else rate


def _measure_rate(path: Path, stream: Any) -> Fraction | None:
    """Returns the frames a second of the first packets; `None` if these do not tell."""
    with open_container(path) as container, contextlib.suppress(*BROKEN):
        packets = itertools.islice(read_packets(container, container.streams[stream.index]), MEASURED_PACKETS)
        times = sorted(packet.pts for packet in packets if packet.size and packet.pts is not None)
        if len(times) > 1 and times[-1] > times[0]:
            rate = Fraction(len(times) - 1, times[-1] - times[0]) / stream.time_base
            return Fraction(rate.limit_denominator(1001))
    return None


def _read_clock(container: Any, stream: Any) -> Fraction:
    """Returns a broadcast's earliest time in seconds, rounded down to whole ticks of the video; 0 for other files."""
    if container.format.name not in BROADCAST or container.start_time is None:
        return Fraction(0)
    base = Fraction(stream.time_base)
    return math.floor(Fraction(container.start_time, av.time_base) / base) * base


def _is_mirrored(frame: Any) -> bool:
    """True if the display matrix (ISO/IEC 14496-12, 6.2.2: a, b, u, c, d, v, ... as int32) mirrors the picture."""
    data = _get_side_data(frame, "DISPLAYMATRIX")
    if data is None:
        return False
    a, b, _, c, d, *_ = np.frombuffer(bytes(data), np.int32).astype(np.int64).tolist()
    return bool(a * d - b * c < 0)


def _decode_first_frame(path: Path, container: Any, stream: Any) -> Any:
    """Returns the first frame that can be decoded; skips broken packets before it."""
    error: Exception | None = None
    decoder = with_alpha(stream)
    try:
        for packet in container.demux(stream):
            try:
                frame = next(iter(decoder.decode(packet if packet.size else None)), None)
            except av.FFmpegError as problem:
                error = error or problem
                continue
            if frame is not None:
                if frame.pts is not None and frame.time_base is None:
                    frame.time_base = stream.time_base
                check_size(path, frame.width, frame.height, 0, Fraction(0))
                return frame
    except BROKEN as problem:
        error = error or problem
    if error is not None:
        raise DamagedVideo(f"{path}: no frame of it can be decoded", "download or record it again") from error
    raise VideoError(f"{path}: has no frames", "name a video that has some")


def _read_aspect(stream: Any, sideways: bool) -> Fraction:
    aspect = Fraction(stream.sample_aspect_ratio or 1) or Fraction(1)
    return 1 / aspect if sideways else aspect


def _has_alpha(path: Path, stream: Any, frame: Any) -> bool:
    """True if the format has transparency; GIF and palettes always have it, so there the first frames are searched."""
    if not any(component.is_alpha for component in frame.format.components) and frame.format.name != "pal8":
        return False
    if stream.codec_context.name != "gif" and frame.format.name != "pal8":
        return True
    with open_container(path) as container, contextlib.suppress(*BROKEN):
        shown = itertools.islice(container.decode(video_stream(container)), SEARCHED_FRAMES)
        return any((picture.to_ndarray(format="rgba")[..., 3] < 255).any() for picture in shown)
    return False


def decord_is_exact(info: VideoInfo) -> bool:
    """True if decord is installed and reads this file exactly as PyAV does."""
    return reads_like_decord(info) and importlib.util.find_spec("decord") is not None


def reads_like_decord(info: VideoInfo) -> bool:
    """True if decord, where it is installed, reads this file correctly (docs/decoding.md)."""
    return (
        info.path.suffix.lower() in DECORD_CONTAINERS
        and info.codec in DECORD_CODECS
        and info.pixel_format == "yuv420p"
        and info.colour.matrix == BT709
        and not info.untagged_hd
        and not info.has_alpha
        and not info.colour.is_hdr
        and info.rotation == 0
        and not info.mirrored
        and not info.interlaced
        and not any(info.crop)
        and info.start == 0
        and not info.colour.full_range
    )
