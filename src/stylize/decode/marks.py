"""Finds what a file says of its pictures that PyAV does not show: crop, Dolby Vision, 360 degrees, two views.

Reads mp4 and mov boxes (ISO/IEC 14496-12, 8.5.2 and 12.1.4; Dolby Vision in ISOBMFF 2.4; Spherical Video V2) and
Matroska elements (RFC 9559). A file that is not as expected has no marks.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

MOST_BYTES = 64 << 20
"""A header is not larger than this."""
SAMPLE_ENTRY = 78
"""Bytes of a picture track's sample entry before its boxes."""
TO_ENTRY = ("mdia", "minf", "stbl", "stsd")
SEGMENT, TRACKS, TRACK, VIDEO = 0x18538067, 0x1654AE6B, 0xAE, 0xE0
PROJECTION, PROJECTION_TYPE, STEREO, MAPPING, EXTRA = 0x7670, 0x7671, 0x53B8, 0x41E4, 0x41ED
CROPS = (0x54CC, 0x54BB, 0x54DD, 0x54AA)
"""Matroska's PixelCropLeft, Top, Right, Bottom."""
Crop = tuple[int, int, int, int]


@dataclass(frozen=True)
class Marks:
    """What the header says of a picture track, beside what PyAV shows."""

    crop: Crop = (0, 0, 0, 0)
    """Pixels that are not to be shown: left, top, right, bottom."""
    dolby_vision: tuple[int, int] | None = None
    """Profile, and compatibility of its base layer: 0 if no other player can show it."""
    spherical: bool = False
    stereo: bool = False


def find_marks(path: Path, container_format: str, number: int) -> Marks:
    """Returns the marks of the track with this number, of all tracks counted from 0."""
    try:
        with path.open("rb") as file:
            if "mp4" in container_format:
                return _read_quicktime(_find_header(file, path.stat().st_size), number)
            if "matroska" in container_format:
                return _read_matroska(file.read(MOST_BYTES), number)
    except (OSError, struct.error, IndexError, ValueError, ZeroDivisionError):
        pass
    return Marks()


def _find_header(file: BinaryIO, size: int) -> bytes:
    """Returns the content of the `moov` box, which may stand behind the pictures."""
    position = 0
    while position + 8 <= size:
        file.seek(position)
        head = file.read(16)
        length, name = struct.unpack(">I4s", head[:8])
        begin = 8
        if length == 1:
            length, begin = struct.unpack(">Q", head[8:16])[0], 16
        if name == b"moov" and length <= MOST_BYTES:
            file.seek(position + begin)
            return bytes(file.read(length - begin))
        if length < 8:
            break
        position += length
    return b""


def _boxes(content: bytes) -> Iterator[tuple[str, bytes]]:
    position = 0
    while position + 8 <= len(content):
        length, name = struct.unpack_from(">I4s", content, position)
        if length < 8:
            return
        yield name.decode("latin-1"), content[position + 8 : position + length]
        position += length


def _read_quicktime(header: bytes, number: int) -> Marks:
    content = [box for name, box in _boxes(header) if name == "trak"][number]
    for step in TO_ENTRY:
        content = next((box for name, box in _boxes(content) if name == step), b"")
    _, entry = next(_boxes(content[8:]), ("", b""))  # behind the version and the number of entries
    width, height = struct.unpack_from(">HH", entry, 24)
    marks = Marks()
    for name, box in _boxes(entry[SAMPLE_ENTRY:]):
        if name == "clap":
            marks = replace(marks, crop=_crop_of(box, width, height))
        elif name in ("dvcC", "dvvC", "dvwC"):
            marks = replace(marks, dolby_vision=_dolby_vision_of(box))
        elif name == "st3d":
            marks = replace(marks, stereo=box[4] != 0)
        elif name == "sv3d":
            marks = replace(marks, spherical=True)
    return marks


def _crop_of(box: bytes, width: int, height: int) -> Crop:
    """Returns the crop that leaves the clean aperture, whose centre lies off the picture's by two fractions."""
    numbers = struct.unpack_from(">IIIIiIiI", box)
    wide, high, across, down = (Fraction(numbers[i], numbers[i + 1]) for i in (0, 2, 4, 6))
    left, top = (round((whole - kept) / 2 + off) for whole, kept, off in ((width, wide, across), (height, high, down)))
    crop = left, top, width - left - round(wide), height - top - round(high)
    return crop if min(crop) >= 0 and wide >= 1 and high >= 1 else (0, 0, 0, 0)


def _dolby_vision_of(record: bytes) -> tuple[int, int]:
    return record[2] >> 1, record[4] >> 4


def _elements(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields Matroska's elements: a number of variable length, a size of variable length, content."""
    position = 0
    while position + 2 <= len(content):
        length = 9 - content[position].bit_length()
        name = int.from_bytes(content[position : position + length])
        position += length
        length = 9 - content[position].bit_length()
        size = int.from_bytes(content[position : position + length]) & ((1 << 7 * length) - 1)
        position += length
        if size == (1 << 7 * length) - 1:  # not known yet when it was written: to the end
            size = len(content) - position
        yield name, content[position : position + size]
        position += size


def _find(content: bytes, name: int) -> bytes:
    return next((inner for found, inner in _elements(content) if found == name), b"")


def _read_matroska(content: bytes, number: int) -> Marks:
    tracks = [inner for name, inner in _elements(_find(_find(content, SEGMENT), TRACKS)) if name == TRACK]
    video = dict(_elements(_find(tracks[number], VIDEO)))
    values = [int.from_bytes(video.get(name, b"")) for name in CROPS]
    projection = _find(video.get(PROJECTION, b""), PROJECTION_TYPE)
    mapping = _find(_find(tracks[number], MAPPING), EXTRA)
    return Marks(
        crop=(values[0], values[1], values[2], values[3]),
        dolby_vision=_dolby_vision_of(mapping) if len(mapping) >= 5 and mapping[0] == 1 else None,
        spherical=int.from_bytes(projection) != 0,
        stereo=int.from_bytes(video.get(STEREO, b"")) != 0,
    )
