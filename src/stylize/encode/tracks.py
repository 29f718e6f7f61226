"""Copies or converts a source's sound and subtitles; reports those that are lost."""

from __future__ import annotations

import contextlib
import io
import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from fractions import Fraction
from typing import Any, Literal

import av

from stylize.decode import VideoInfo
from stylize.decode.container import BROKEN, open_container
from stylize.decode.times import continuous
from stylize.encode.codecs import Encoding
from stylize.encode.labels import copy_attachments, copy_labels, copy_picture_labels, copy_tags, names_a_place
from stylize.encode.sound import PRE_ROLL, SoundConverter, own_encoder
from stylize.errors import Say, VideoError

NEAR = 1000
"""Packets at the beginning of a file that are searched for a track's first packet."""
RUN_IN = Fraction(1, 10)
"""Most seconds that codecs put before their sound: AAC's two packets are 43 ms, Opus's 80 ms."""
Others = Literal["copied", "converted", "dropped"]


class Tracks:
    """Carries the other streams of a source over into an open output; a context manager.

    Args:
        start, end: seconds on the source's clock, minus `VideoInfo.clock`; the part in `[start, end)` is taken, and
            `start` becomes 0. `None` keeps the clock and everything.
        say: gets a line about everything that had to be converted or left out.
        others: "copied" copies the streams that the container holds; "converted" converts all sound; "dropped"
            leaves everything out.
    """

    def __init__(
        self, source: VideoInfo, encoding: Encoding, start: Fraction | None, end: Fraction | None, say: Say,
        others: Others = "copied",
    ) -> None:  # fmt: skip
        self._source, self._encoding, self._say = source, encoding, say
        self._others = others
        self._whole = start is None and end is None
        self._start = (start or Fraction(0)) + source.clock
        self._taken = Fraction(0) if start is None else start - source.start  # from the first frame on
        self._end = None if end is None else end + source.clock
        self._resources = ExitStack()
        self._handlers: dict[int, Callable[[Any], list[Any]]] = {}
        self._reported = set[int]()

    def __enter__(self) -> Tracks:
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def declare(self, output: Any, *, said: bool = False) -> None:
        """Adds the streams, tags and chapters that the output's container can hold.

        Args:
            said: True if the losses have been reported before; reports nothing then.
        """
        say = self._say
        if said:
            self._say = lambda _: None
        try:
            self._declare(output)
        finally:
            self._say = say

    def _declare(self, output: Any) -> None:
        if self._source.codec == "pictures" or self._others == "dropped":
            return
        self._input = self._resources.enter_context(open_container(self._source.path))
        if any(not s.codec_context or not s.codec_context.sample_rate for s in self._input.streams.audio):
            # a track that begins late: only further reading tells what it is
            self._input = self._resources.enter_context(open_container(self._source.path, thorough=True))
        if not self._encoding.container.sound:
            streams = self._input.streams
            lost = [name for name, tracks in (("sound", streams.audio), ("subtitles", streams.subtitles)) if tracks]
            if lost:
                left = "they are" if "subtitles" in lost else "it is"
                self._say(f"{self._encoding.suffix} holds no {' and no '.join(lost)}: {left} left out")
            return
        for stream in self._input.streams.audio:
            self._handlers[stream.index] = self._add_sound(output, stream)
        for stream in self._input.streams.subtitles:
            if self._holds(stream):
                self._handlers[stream.index] = self._add_copy(output, stream)
            else:
                self._say(f"{self._encoding.suffix} cannot hold {_get_codec_name(stream)} subtitles: they are left out")
        lost = copy_attachments(self._input, output, self._source, self._encoding)
        if lost:
            self._say(f"left out: {', '.join(lost)}")
        copy_picture_labels(self._input, output, self._source, self._taken)
        copy_tags(self._input, output, self._encoding, self._start, self._end)
        if names_a_place(self._input.metadata):
            self._say("the result's tags say where the video was filmed, as the source's do")

    def packets(self) -> Iterator[tuple[Fraction, Any]]:
        """Yields packets that are ready to be muxed, with their times in seconds, in the order of the source."""
        if not self._handlers:
            return
        streams = [s for s in self._input.streams if s.index in self._handlers]
        for packet in _stop_at_damage(continuous(self._source.path, self._input.demux(streams))):
            if packet.pts is None or packet.dts is None or not self._is_needed(packet):
                continue
            for ready in self._handlers[packet.stream.index](packet):
                yield ready.pts * ready.time_base, ready
        for index, handle in self._handlers.items():
            for ready in handle(None) if self._input.streams[index].type == "audio" else []:
                yield ready.pts * ready.time_base, ready

    def mux(self, output: Any, packet: Any) -> None:
        """Writes a packet; leaves out those that the container turns out not to hold, and reports that once."""
        time, index = float(packet.pts * packet.time_base), packet.stream.index
        try:
            output.mux(packet)
        except (av.ArgumentError, av.InvalidDataError) as error:
            if index not in self._reported:
                media = packet.stream.type
                self._say(
                    f"{self._encoding.suffix} cannot hold some of the {media}, from {time:.2f} s on ({error.strerror})"
                )
            self._reported.add(index)

    def _is_needed(self, packet: Any) -> bool:
        """True if any of the packet is to be heard or seen."""
        time, media = packet.pts * packet.time_base, packet.stream.type
        ends = time + (packet.duration or 0) * packet.time_base
        if self._whole:
            # drops sound that an edit list hides; the container itself handles a codec's own run-in, a packet or two
            hidden = packet.is_discard and not self._encoding.container.is_quicktime
            return not (hidden and ends < self._start - RUN_IN)
        if isinstance(self._handlers[packet.stream.index], SoundConverter):
            begins = ends > self._start - PRE_ROLL
        else:
            begins = time >= self._start or (media == "subtitle" and ends > self._start)
        return bool(begins and (self._end is None or time < self._end))

    def _holds(self, stream: Any) -> bool:
        """True if the container takes the stream as it is.

        The codec alone does not decide this (mp4 must know what each channel of PCM is): tries to write one packet.
        """
        if stream.codec_context is None:
            return False
        trial = av.open(io.BytesIO(), "w", format=self._encoding.container.format)
        try:
            copy = trial.add_stream_from_template(stream)
            trial.start_encoding()
            if stream.type == "audio" and (packet := self._find_first_packet(stream.index)) is not None:
                packet.stream = copy
                trial.mux(packet)
                trial.close()
        except (ValueError, av.FFmpegError):
            return False
        finally:
            with contextlib.suppress(ValueError, av.FFmpegError):  # some muxers want a packet before they end
                trial.close()
        return True

    def _find_first_packet(self, index: int) -> Any:
        """Returns a track's first packet, or `None` if there is none near the beginning of the file."""
        with open_container(self._source.path) as container, contextlib.suppress(*BROKEN):
            for packet in itertools.islice(container.demux(), NEAR):
                if packet.stream.index == index and packet.size and packet.pts is not None and packet.dts is not None:
                    return packet
        return None

    def _add_sound(self, output: Any, stream: Any) -> Callable[[Any], list[Any]]:
        """Adds a sound track and returns its packet handler.

        The packets are copied where the container holds them, but lossless sound is cut at the exact sample.
        """
        context, holds = stream.codec_context, self._others == "copied" and self._holds(stream)
        again = own_encoder(stream) if holds and not self._whole else ""
        if holds and not again:
            return self._add_copy(output, stream)
        if context is None or not context.layout.nb_channels or not context.sample_rate:
            self._say(f"{self._source.path}: a sound track cannot be decoded: it is left out")
            return lambda _: []
        name = again or self._encoding.container.sound
        try:
            converter = SoundConverter(output, stream, name, self._start, self._end, cut=not self._whole)
        except (ValueError, av.FFmpegError) as error:
            raise VideoError(
                f"{self._encoding.suffix} cannot hold the source's sound ({_get_codec_name(stream)})",
                "choose .mkv or .mov",
            ) from error
        if not again:
            mixed = ", in stereo" if converter.layout == "stereo" and context.layout.nb_channels > 2 else ""
            becomes = f"it becomes {name.removeprefix('lib')}{mixed}"
            self._say(f"{self._encoding.suffix} cannot hold {_get_codec_name(stream)} sound as it is: {becomes}")
        copy_labels(converter.target, stream)
        return converter

    def _add_copy(self, output: Any, stream: Any) -> Callable[[Any], list[Any]]:
        """Adds a track that is copied packet for packet, and returns its packet handler."""
        copy = output.add_stream_from_template(stream)
        copy_labels(copy, stream)
        last: int | None = None
        # times may step back where a recording was spliced: containers want rising times, some in whole samples
        least = max(1, math.ceil(Fraction(1, stream.rate or 48000) / stream.time_base)) if stream.type == "audio" else 1

        def retime(packet: Any) -> list[Any]:
            nonlocal last
            if packet is None:
                return []
            base = packet.time_base
            begin, shift = round(self._start / base), 0
            pts, dts, length = packet.pts - begin, packet.dts - begin, packet.duration or 0
            if stream.type == "subtitle" and not self._whole:  # a subtitle on screen at a cut is shown in part
                shift, last_tick = max(0, -pts), None if self._end is None else round(self._end / base) - begin
                length = max(1, (length if last_tick is None else min(length, last_tick - pts)) - shift)
            dts = dts + shift if last is None else max(dts + shift, last + least)
            packet.pts, packet.dts, packet.duration, last = max(pts + shift, dts), dts, length, dts
            packet.stream = copy
            return [packet]

        return retime


def _stop_at_damage(packets: Iterator[Any]) -> Iterator[Any]:
    """Yields the packets up to the first damage; ends there without an error."""
    with contextlib.suppress(StopIteration, *BROKEN):
        while True:
            packet = next(packets)
            yield packet


def _get_codec_name(stream: Any) -> str:
    return str(stream.codec_context.name) if stream.codec_context is not None else "unknown"
