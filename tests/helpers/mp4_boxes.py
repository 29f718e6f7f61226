"""Puts boxes into the sample entry of an mp4's pictures, which no muxer here would write."""

from __future__ import annotations

import struct
from pathlib import Path

OUTER = ("moov", "trak", "mdia", "minf", "stbl", "stsd")


def box(name: str, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), name.encode()) + content


def add_to_entry(path: Path, entry: str, *added: bytes) -> Path:
    """Appends boxes to the first sample entry; `moov` must stand behind the pictures, as PyAV writes it."""
    content = bytearray(path.read_bytes())
    new = b"".join(added)
    position = content.rindex(b"moov") - 4
    lengths = [position]
    for name in OUTER[1:]:
        position = content.index(name.encode(), position + 8) - 4
        lengths.append(position)
    position = content.index(entry.encode(), position + 8) - 4
    end = position + struct.unpack_from(">I", content, position)[0]
    for place in [*lengths, position]:
        struct.pack_into(">I", content, place, struct.unpack_from(">I", content, place)[0] + len(new))
    path.write_bytes(content[:end] + new + content[end:])
    return path
