"""Carries over what a file says of itself: tags, chapters, timecode, attachments; lists what the output cannot hold."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from av.stream import Disposition

from stylize.decode import VideoInfo
from stylize.decode.container import video_stream
from stylize.encode.codecs import Encoding

CONTAINER_TAGS = {"encoder", "major_brand", "minor_version", "compatible_brands", "duration", "timecode"}
"""Tags of a file that describe its container, which the output does not share, or that are carried in another way."""
APPLE = "com.apple.quicktime."
"""Beginning of the tags that mp4 and mov hold only among free tags."""
TIMECODE = re.compile(r"(\d\d):(\d\d):(\d\d)([:;.])(\d\d)")
STEREO = "the mark of a 3-D video"


def container_options(source_tags: Mapping[str, str], encoding: Encoding) -> dict[str, str]:
    """Returns the options with which the output is opened, so that it holds the tags of phones, too."""
    options = dict(encoding.container.options or {})
    if encoding.container.is_quicktime and any(key.startswith(APPLE) for key in source_tags):
        options["movflags"] = options.get("movflags", "") + "+use_metadata_tags"
    return options


def names_a_place(tags: Mapping[str, str]) -> bool:
    """True if the tags say where the video was filmed."""
    return any(key.lower() == "location" or key.startswith(f"{APPLE}location") for key in tags)


def copy_labels(target: Any, stream: Any) -> None:
    """Gives a track the source's language, title and disposition (what it is for)."""
    for tag in ("language", "title"):
        if tag in stream.metadata:
            target.metadata[tag] = stream.metadata[tag]
    target.disposition = stream.disposition


def copy_picture_labels(container: Any, output: Any, source: VideoInfo, start: Fraction) -> None:
    """Gives the pictures the source's language, title, timecode and mark of two views, where the output can hold it."""
    pictures, target = video_stream(container), output.streams.video[0]
    for tag in ("language", "title", "stereo_mode"):
        if tag in pictures.metadata:
            target.metadata[tag] = pictures.metadata[tag]
    timecode = find_timecode(container)
    if timecode:
        target.metadata["timecode"] = move_timecode(timecode, source.frame_rate, start)


def find_timecode(container: Any) -> str:
    """Returns the timecode of a source's first frame; empty if it has none."""
    tags = [video_stream(container).metadata, *(s.metadata for s in container.streams.data), container.metadata]
    return next((tag["timecode"] for tag in tags if TIMECODE.fullmatch(tag.get("timecode", ""))), "")


def move_timecode(timecode: str, rate: Fraction, seconds: Fraction) -> str:
    """Returns the timecode that is `seconds` later.

    With a semicolon, it drops two numbers (at 60 frames a second, four) each minute but each tenth (SMPTE ST 12-1).
    """
    match = TIMECODE.fullmatch(timecode)
    if match is None:
        return timecode
    hours, minutes, secs, frames = (int(match[k]) for k in (1, 2, 3, 5))
    base = round(rate)
    dropped = base // 15 if match[4] in ";." else 0
    minute = hours * 60 + minutes
    number = (minute * 60 + secs) * base + frames - dropped * (minute - minute // 10) + round(seconds * rate)
    number %= 24 * 60 * 60 * base - dropped * 24 * 54
    if dropped:
        tens, rest = divmod(number, 600 * base - 9 * dropped)
        number += 9 * dropped * tens + dropped * max(0, (rest - dropped) // (60 * base - dropped))
    secs, frames = divmod(number, base)
    return f"{secs // 3600:02}:{secs // 60 % 60:02}:{secs % 60:02}{match[4]}{frames:02}"


def copy_attachments(container: Any, output: Any, source: VideoInfo, encoding: Encoding) -> list[str]:
    """Copies fonts and the like where the output holds them; returns what is left out, in words."""
    streams, matroska = container.streams, encoding.container.format in ("matroska", "webm")
    lost = [what for what in source.left_out if not (matroska and what == STEREO)]
    lost += ["a cover picture" for s in streams.video if s.disposition & Disposition.attached_pic]
    lost += ["another video"] * (len(streams.video) - 1 - lost.count("a cover picture"))
    known = bool(find_timecode(container))
    for track in streams.data:
        name = track.metadata.get("handler_name", "").strip(" \0") or "unnamed"
        if not (known and "timecode" in track.metadata):
            lost.append(f"a data track ({name})")
    for attachment in streams.attachments:
        if encoding.container.format == "matroska":
            output.add_attachment(attachment.name or "", attachment.mimetype or "", attachment.data)
        else:
            lost.append(f"the file {attachment.name}")
    return lost


def copy_tags(container: Any, output: Any, encoding: Encoding, start: Fraction, end: Fraction | None) -> None:
    """Copies the tags, and the chapters of the part in `[start, end)`."""
    output.metadata.update({k: v for k, v in container.metadata.items() if k.lower() not in CONTAINER_TAGS})
    chapters = container.chapters()
    if not chapters or encoding.container.format not in ("mp4", "mov", "matroska", "webm"):
        return
    kept: list[Any] = []
    for chapter in chapters:
        base = Fraction(chapter["time_base"])
        begins, ends = (chapter[k] * base - start for k in ("start", "end"))
        last = None if end is None else end - start
        if ends <= 0 or (last is not None and begins >= last):
            continue
        begins, ends = max(begins, Fraction(0)), ends if last is None else min(ends, last)
        kept.append({**chapter, "id": len(kept), "start": round(begins / base), "end": round(ends / base)})
    output.set_chapters(kept)
