"""What a source holds beside its pictures: sound, subtitles, chapters, tags; copied, converted, or said to be lost."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from fractions import Fraction
from typing import Any

import av

from stylize.codecs import Encoding
from stylize.container import BROKEN, VideoInfo, open_container
from stylize.errors import VideoError

TAGS = ("title", "artist", "album", "comment", "date", "creation_time", "description", "copyright", "genre", "location")
"""Of a file; the others (encoder, brands) speak of the container that is left behind."""
Say = Callable[[str], None]


class Tracks:
    """The other streams of a source on their way into an open output; a context manager.

    Args:
        start, end: seconds on the source's clock; what lies in `[start, end)` is taken, and `start` becomes 0.
            `None` keeps the clock and everything.
        say: is told in a line of what had to be converted or left out.
    """

    def __init__(
        self, source: VideoInfo, encoding: Encoding, start: Fraction | None, end: Fraction | None, say: Say
    ) -> None:
        self._source, self._encoding = source, encoding
        self._start, self._end, self._say = start, end, say
        self._resources = ExitStack()
        self._ways: dict[int, Callable[[Any], list[Any]]] = {}

    def __enter__(self) -> Tracks:
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def declare(self, output: Any) -> None:
        """Adds the streams, tags and chapters that the output's container can hold."""
        if self._source.codec == "pictures":
            return
        self._input = self._resources.enter_context(open_container(self._source.path))
        if not self._encoding.container.sound:
            streams = self._input.streams
            lost = [kind for kind, found in (("sound", streams.audio), ("subtitles", streams.subtitles)) if found]
            if lost:
                left = "they are" if "subtitles" in lost else "it is"
                self._say(f"{self._encoding.suffix} holds no {' and no '.join(lost)}: {left} left out")
            return
        for stream in self._input.streams.audio:
            self._ways[stream.index] = self._copy(output, stream) or self._convert(output, stream)
        for stream in self._input.streams.subtitles:
            way = self._copy(output, stream)
            if way is None:
                self._say(f"{self._encoding.suffix} cannot hold {_codec(stream)} subtitles: they are left out")
            else:
                self._ways[stream.index] = way
        self._tags(output)

    def packets(self) -> Iterator[tuple[Fraction, Any]]:
        """Packets ready to be muxed, with their times in seconds, in the order of the source."""
        if not self._ways:
            return
        streams = [s for s in self._input.streams if s.index in self._ways]
        with contextlib.suppress(*BROKEN):  # a damaged source: what came before the damage is kept
            for packet in self._input.demux(streams):
                if packet.pts is None or packet.dts is None:
                    continue
                time = packet.pts * packet.time_base
                if (self._start is None or time >= self._start) and (self._end is None or time < self._end):
                    for ready in self._ways[packet.stream.index](packet):
                        yield ready.pts * ready.time_base, ready
        for index, way in self._ways.items():
            for ready in way(None) if self._input.streams[index].type == "audio" else []:
                yield ready.pts * ready.time_base, ready

    def _copy(self, output: Any, stream: Any) -> Callable[[Any], list[Any]] | None:
        """Packet for packet, if the container can hold it."""
        if stream.codec_context is None:
            return None
        try:
            copy = output.add_stream_from_template(stream)
        except (ValueError, av.FFmpegError):
            return None
        if language := stream.metadata.get("language"):
            copy.metadata["language"] = language

        def way(packet: Any) -> list[Any]:
            if packet is None:
                return []
            if self._start is not None:
                shift = round(self._start / packet.time_base)
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = copy
            return [packet]

        return way

    def _convert(self, output: Any, stream: Any) -> Callable[[Any], list[Any]]:
        """Sound decoded and encoded again."""
        if stream.codec_context is None or not stream.codec_context.layout.nb_channels:
            self._say(f"{self._source.path}: a sound track cannot be decoded: it is left out")
            return lambda _: []
        name = self._encoding.container.sound
        rate = 48000 if name == "libopus" else stream.rate
        channels = stream.codec_context.layout.nb_channels
        layout = {1: "mono", 2: "stereo"}.get(channels, stream.codec_context.layout.name)
        try:
            target = output.add_stream(name, rate=rate, layout=layout)
        except (ValueError, av.FFmpegError) as error:
            raise VideoError(
                f"{self._encoding.suffix} cannot hold the source's sound ({_codec(stream)})", "choose .mkv or .mov"
            ) from error
        wanted = target.codec_context.format.name if target.codec_context.format else "fltp"
        resampler = av.AudioResampler(format=wanted, layout=layout, rate=rate)
        self._say(f"{self._encoding.suffix} cannot hold {_codec(stream)} sound: it becomes {name.removeprefix('lib')}")
        shift = self._start or Fraction(0)

        def way(packet: Any) -> list[Any]:
            ready = []
            try:
                decoded = stream.codec_context.decode(packet)
            except av.FFmpegError:
                decoded = []
            for frame in decoded:
                if frame.pts is not None and shift:
                    frame.pts -= round(shift / frame.time_base)
                ready += [p for piece in resampler.resample(frame) for p in target.encode(piece)]
            if packet is None:
                with contextlib.suppress(ValueError):  # nothing was ever resampled
                    ready += [p for piece in resampler.resample(None) for p in target.encode(piece)]
                ready += target.encode(None)
            return ready

        return way

    def _tags(self, output: Any) -> None:
        output.metadata.update({k: v for k, v in self._input.metadata.items() if k.lower() in TAGS})
        chapters = self._input.chapters()
        if not chapters or self._encoding.container.format not in ("mp4", "mov", "matroska", "webm"):
            return
        kept: list[Any] = []
        for chapter in chapters:
            base = Fraction(chapter["time_base"])
            begin, end = (chapter[k] * base - (self._start or 0) for k in ("start", "end"))
            last = None if self._end is None else self._end - (self._start or 0)
            if end <= 0 or (last is not None and begin >= last):
                continue
            begin, end = max(begin, Fraction(0)), end if last is None else min(end, last)
            kept.append({**chapter, "id": len(kept), "start": round(begin / base), "end": round(end / base)})
        output.set_chapters(kept)


def _codec(stream: Any) -> str:
    return str(stream.codec_context.name) if stream.codec_context is not None else "unknown"
