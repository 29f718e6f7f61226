"""Joins segments and the source's other tracks into one file, which then appears under its name."""

from __future__ import annotations

import contextlib
import errno
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import av
import cv2

from stylize.decode.container import open_container
from stylize.encode.atomic import sync
from stylize.encode.gif import animate, gif_options
from stylize.encode.labels import container_options
from stylize.encode.outputs import number_path, numbered_files
from stylize.encode.segments import Manifest, frames_of, packets_of
from stylize.encode.target import Target
from stylize.encode.tracks import Others, Tracks
from stylize.errors import VideoError
from stylize.style.settings import append_settings


def join(target: Target, folder: Path, manifest: Manifest) -> None:
    """Makes the output from whole segments; nothing under its name changes before it is complete."""
    output = target.path
    if not manifest.segments:
        raise VideoError(f"{output}: no frame was written", "write at least one")
    if target.encoding.codec == "png":
        _write_pictures(output, folder, manifest)
        return
    whole = folder / f"whole{output.suffix}"
    muxer = target.encoding.container
    options = container_options(_tags_of(target), target.encoding)
    if muxer.is_quicktime:  # a late start is written in ticks of the file's clock: milliseconds by default
        options["movie_timescale"] = str(min(target.base.denominator, 2**31 - 1))
    if target.encoding.codec == "gif":
        options |= gif_options(target, folder, manifest)
    attempts: tuple[Others, ...] = ("copied",) if target.encoding.codec == "gif" else get_args(Others)
    for others in attempts:
        try:
            with av.open(str(whole), "w", format=muxer.format, options=options) as container:
                if target.encoding.codec == "gif":
                    animate(container, target, folder, manifest)
                else:
                    _mux(container, target, folder, manifest, others)
            break
        except (av.ArgumentError, av.InvalidDataError) as error:
            if others == attempts[-1]:  # before that, a damaged track must not cost a night's work
                raise
            change = "with the sound converted" if others == "copied" else "with the pictures alone"
            target.say(f"the file cannot be put together ({error.strerror}): once more, {change}")
    sync(whole)
    os.replace(whole, output)


def _tags_of(target: Target) -> dict[str, str]:
    if target.source.codec == "pictures":
        return {}
    with open_container(target.source.path) as container:
        return dict(container.metadata)


def check_tracks(target: Target) -> None:
    """Reports before rendering which of the other tracks will be converted or left out.

    Raises:
        VideoError: the container cannot hold a track in any form.
    """
    with Tracks(target.source, target.encoding, target.start, target.end, target.say) as tracks:
        if target.encoding.at_the_end:
            tracks.declare(None)
            return
        trial = av.open(io.BytesIO(), "w", format=target.encoding.container.format)
        try:
            target.add_stream(trial)
            tracks.declare(trial)
            trial.start_encoding()
        finally:
            with contextlib.suppress(ValueError, av.FFmpegError):  # some muxers want a packet before they end
                trial.close()


def _mux(container: Any, target: Target, folder: Path, manifest: Manifest, others: Others) -> None:
    """Writes the encoded pictures unchanged, between the packets of the other tracks."""
    encoding, base = target.encoding, target.base
    with Tracks(target.source, encoding, target.start, target.end, target.say, others=others) as tracks:
        with av.open(str(folder / manifest.segments[0].file)) as first:
            stream = container.add_stream_from_template(first.streams.video[0], opaque=True)
            stream.time_base = base
            # some containers store the frame rate; readers would take the encoder's clock for it
            stream.codec_context.framerate = target.source.frame_rate
            if encoding.codec == "h265" and encoding.container.is_quicktime:
                stream.codec_context.codec_tag = "hvc1"
            tracks.declare(container, said=True)
            if target.comment:
                container.metadata["comment"] = append_settings(container.metadata.get("comment", ""), target.comment)
        packets = tracks.packets()
        waiting = next(packets, None)
        for packet in _extend_last(packets_of(folder, manifest), sums=encoding.container.is_quicktime):
            shown = packet.pts * base
            packet.stream, packet.time_base = stream, base
            container.mux(packet)
            while waiting is not None and waiting[0] <= shown:
                tracks.mux(container, waiting[1])
                waiting = next(packets, None)
        while waiting is not None:
            tracks.mux(container, waiting[1])
            waiting = next(packets, None)


def _extend_last(packets: Iterator[Any], *, sums: bool) -> Iterator[Any]:
    """Extends the last packet so that durations add up.

    mp4 adds up durations in the order of decoding, so the last packet makes up for what reordered frames lack.
    """
    held: Any = None
    first_shown = first_decoded = end = 0
    for packet in packets:
        if held is None:
            first_shown, first_decoded = packet.pts, packet.dts
        else:
            yield held
        first_shown, end = min(first_shown, packet.pts), max(end, packet.pts + packet.duration)
        held = packet
    if held is not None:
        if sums:
            held.duration = max(1, (end - first_shown) - (held.dts - first_decoded))
        yield held


def _write_pictures(output: Path, folder: Path, manifest: Manifest) -> None:
    """Writes numbered PNG files; all are complete before the first one appears."""
    made = []
    for number, (frame, _) in enumerate(frames_of(folder, manifest), start=1):
        picture = frame.to_ndarray(format="bgra" if frame.format.name == "bgra" else "bgr24")
        path = folder / f"{number}.png"
        if not cv2.imwrite(str(path), picture):
            raise OSError(errno.ENOSPC, "a picture could not be written")
        made.append((path, number_path(output, number)))
    for path, final in made:
        os.replace(path, final)
    for rest in set(numbered_files(output)) - {final for _, final in made}:
        rest.unlink()  # from a longer result that this one replaces
