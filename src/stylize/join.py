"""The last step of a run: segments and the source's other tracks become one file, which then appears under its name."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import av
import cv2
from PIL import Image

from stylize.errors import VideoError
from stylize.outputs import numbered, numbered_files
from stylize.segments import Manifest, packets_of, times_of, to_disk
from stylize.stylefile import beside_own
from stylize.tracks import Others, Tracks

if TYPE_CHECKING:
    from stylize.encode import VideoWriter

HUNDREDTH = Fraction(1, 100)
"""The clock of GIF."""


def join(output: Path, folder: Path, manifest: Manifest, writer: VideoWriter) -> None:
    """Makes the output of whole segments; nothing under its name changes before it is complete."""
    if not manifest.segments:
        raise VideoError(f"{output}: no frame was written", "write at least one")
    if writer.encoding.codec == "png":
        _pictures(output, folder, manifest)
        return
    whole = folder / f"whole{output.suffix}"
    kind = writer.encoding.container
    options = dict(kind.options or {})
    if kind.is_quicktime:  # a late start is written on the file's own clock, of milliseconds otherwise
        options["movie_timescale"] = str(min(writer.base.denominator, 2**31 - 1))
    if writer.encoding.codec == "gif":
        options |= _pauses(folder, manifest, writer)
    ways: tuple[Others, ...] = ("copied",) if writer.encoding.codec == "gif" else get_args(Others)
    for others in ways:
        try:
            with av.open(str(whole), "w", format=kind.format, options=options) as container:
                if writer.encoding.codec == "gif":
                    _animate(container, folder, manifest, writer)
                else:
                    _mux(container, folder, manifest, writer, others)
            break
        except (av.ArgumentError, av.InvalidDataError) as error:
            if others == ways[-1]:  # a damaged track is no reason to lose a night
                raise
            way = "with the sound converted" if others == "copied" else "with the pictures alone"
            writer.say(f"the file cannot be put together ({error.strerror}): once more, {way}")
    to_disk(whole)
    os.replace(whole, output)


def rehearse(writer: VideoWriter) -> None:
    """Tells, before the work, what of the other tracks is converted or left out.

    Raises:
        VideoError: the container cannot hold a track in any form.
    """
    with Tracks(writer.source, writer.encoding, *writer.part, writer.say) as tracks:
        if writer.encoding.at_the_end:
            tracks.declare(None)
            return
        trial = av.open(io.BytesIO(), "w", format=writer.encoding.container.format)
        try:
            writer.add_stream(trial)
            tracks.declare(trial)
            trial.start_encoding()
        finally:
            with contextlib.suppress(ValueError, av.FFmpegError):  # some want a packet before they end
                trial.close()


def _mux(container: Any, folder: Path, manifest: Manifest, writer: VideoWriter, others: Others) -> None:
    """The encoded pictures as they are, between the packets of the other tracks."""
    encoding, base = writer.encoding, writer.base
    with Tracks(writer.source, encoding, *writer.part, writer.say, others=others) as tracks:
        with av.open(str(folder / manifest.segments[0].file)) as first:
            stream = container.add_stream_from_template(first.streams.video[0], opaque=True)
            stream.time_base = base
            # some containers write it down; readers would take the encoder's clock for it
            stream.codec_context.framerate = writer.source.frame_rate
            if encoding.codec == "h265" and encoding.container.is_quicktime:
                stream.codec_context.codec_tag = "hvc1"
            tracks.declare(container, said=True)
            if writer.comment:
                container.metadata["comment"] = beside_own(container.metadata.get("comment", ""), writer.comment)
        packets = tracks.packets()
        waiting = next(packets, None)
        for packet in _complete(packets_of(folder, manifest), sums=encoding.container.is_quicktime):
            shown = packet.pts * base
            packet.stream, packet.time_base = stream, base
            container.mux(packet)
            while waiting is not None and waiting[0] <= shown:
                tracks.mux(container, waiting[1])
                waiting = next(packets, None)
        while waiting is not None:
            tracks.mux(container, waiting[1])
            waiting = next(packets, None)


def _complete(packets: Iterator[Any], *, sums: bool) -> Iterator[Any]:
    """The packets, the last one as long as it must be.

    mp4 sums durations up over packets as they are decoded: the last one makes up for what reordered frames lack.
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


def _frames(folder: Path, manifest: Manifest) -> Iterator[tuple[Any, int]]:
    """Decoded frames with their times in ticks; segments for this are lossless."""
    for segment in manifest.segments:
        with av.open(str(folder / segment.file)) as container:
            frames = container.decode(container.streams.video[0])
            for frame, (pts, _, _) in zip(frames, times_of(folder, segment), strict=True):
                yield frame, pts


def _animate(container: Any, folder: Path, manifest: Manifest, writer: VideoWriter) -> None:
    """Every frame with the palette that suits it best."""
    stream = container.add_stream("gif", rate=writer.source.frame_rate)
    stream.width, stream.height = writer.size
    stream.pix_fmt = "pal8"
    stream.time_base = stream.codec_context.time_base = HUNDREDTH
    graph, last, first = None, -1, None
    for frame, pts in _frames(folder, manifest):
        first = pts if first is None else first
        graph = graph or _palette_graph(frame)
        frame.pts = max(round((pts - first) * writer.base / HUNDREDTH), last + 1)
        frame.time_base, last = HUNDREDTH, frame.pts
        graph.push(frame)
        container.mux(stream.encode(_pulled(graph)))
    container.mux(stream.encode(None))


def _pauses(folder: Path, manifest: Manifest, writer: VideoWriter) -> dict[str, str]:
    """How long a GIF shows its last frame, in hundredths, and how often it is shown: as a GIF says, else for ever."""
    last = max(times_of(folder, manifest.segments[-1]))
    pause = max(1, round(last[2] * writer.base / HUNDREDTH))
    loop = 0
    if writer.source.codec == "gif":
        with Image.open(writer.source.path) as animation:
            loop = animation.info.get("loop", -1)
    return {"final_delay": str(pause), "loop": str(loop)}


def _palette_graph(frame: Any) -> Any:
    graph = av.filter.Graph()
    begin = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format.name, time_base=HUNDREDTH)
    split, end = graph.add("split"), graph.add("buffersink")
    palette, use = graph.add("palettegen", "stats_mode=single"), graph.add("paletteuse", "new=1:dither=bayer")
    begin.link_to(split)
    split.link_to(palette, 0, 0)
    split.link_to(use, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(end)
    graph.configure()
    return graph


def _pulled(graph: Any) -> Any:
    frame = graph.pull()
    frame.time_base = HUNDREDTH
    return frame


def _pictures(output: Path, folder: Path, manifest: Manifest) -> None:
    """Numbered PNG files; all are written before the first one appears."""
    made = []
    for number, (frame, _) in enumerate(_frames(folder, manifest), start=1):
        picture = frame.to_ndarray(format="bgra" if frame.format.name == "bgra" else "bgr24")
        path = folder / f"{number}.png"
        if not cv2.imwrite(str(path), picture):
            raise OSError(28, "a picture could not be written")
        made.append((path, numbered(output, number)))
    for path, final in made:
        os.replace(path, final)
    for rest in set(numbered_files(output)) - {final for _, final in made}:
        rest.unlink()  # of a longer result that this one replaces
