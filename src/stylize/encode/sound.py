"""Sound that cannot stay packet for packet: decoded, cut to the sample, and encoded as the container can hold it."""

from __future__ import annotations

import contextlib
import itertools
from fractions import Fraction
from typing import Any

import av
import numpy as np

LOSSLESS = ("pcm_", "flac", "alac", "wavpack", "tta")
"""Beginnings of the names of codecs that lose nothing when they are encoded again."""
LOOSE = Fraction(1, 50)
"""Seconds by which the times of packets may be off sound that has no gap: containers round them."""
PRE_ROLL = Fraction(1, 5)
"""Seconds that a decoder should hear before the cut: its first packets depend on those before (Opus asks for 80 ms)."""


def own_encoder(stream: Any) -> str:
    """The encoder that makes the same sound of this stream again, losing nothing; empty if there is none."""
    name = str(stream.codec_context.name)
    if not name.startswith(LOSSLESS):
        return ""
    try:
        return str(av.Codec(name, "w").name)
    except ValueError:
        return ""


class SoundConverter:
    """Packets of a sound stream in, packets of another codec out.

    Args:
        stream: of the source.
        encoder: FFmpeg's name of it.
        start, end: seconds on the clock of the stream's packets; `start` becomes 0, samples from `end` on are dropped.
        cut: drop those before `start`, too.

    Raises:
        ValueError: the encoder takes this sound in no layout at no rate.
    """

    def __init__(
        self, output: Any, stream: Any, encoder: str, start: Fraction, end: Fraction | None, *, cut: bool
    ) -> None:
        self._decoder, self._start, self._cuts = stream.codec_context, start, cut
        self.layout, self.rate = _layout_and_rate(encoder, stream.codec_context)
        self._format = _format(encoder, stream.codec_context)
        self._last = None if end is None else round((end - start) * self.rate)
        self.target = output.add_stream(encoder, rate=self.rate, layout=self.layout, format=self._format)
        self._kind: tuple[str, str, int] | None = None
        self._resampler: Any = None
        self._next: int | None = None  # number of the sample after the last one, from `start` on

    def __call__(self, packet: Any) -> list[Any]:
        """What is ready after this packet; `None` ends the sound."""
        try:
            decoded = self._decoder.decode(packet)
        except av.FFmpegError:
            decoded = []
        pieces = []
        for frame in decoded:
            with contextlib.suppress(av.FFmpegError):  # a damaged one
                pieces += self._resampled(frame)
        if packet is None:
            pieces += self._rest()
        ready = [p for piece in pieces for cut in self._cut(piece) for p in self.target.encode(cut)]
        return ready + (self.target.encode(None) if packet is None else [])

    def _resampled(self, frame: Any) -> list[Any]:
        """In the layout and rate that is encoded; broadcasts change theirs between programmes."""
        kind, rest = (frame.format.name, frame.layout.name, frame.rate), []
        if kind != self._kind:
            rest, self._kind = self._rest(), kind
            self._resampler = av.AudioResampler(format=self._format, layout=self.layout, rate=self.rate)
        return rest + list(self._resampler.resample(frame))

    def _rest(self) -> list[Any]:
        with contextlib.suppress(ValueError):  # nothing was ever resampled
            return list(self._resampler.resample(None)) if self._resampler is not None else []
        return []

    def _cut(self, piece: Any) -> list[Any]:
        """What of it lies between start and end and was not heard before, at its time."""
        at = self._next or 0
        if piece.pts is not None:
            said = round((piece.pts * piece.time_base - self._start) * self.rate)
            at = said if self._next is None or abs(said - self._next) >= LOOSE * self.rate else self._next
        heard = at if self._next is None else self._next
        first = max(heard - at, -at if self._cuts else 0, 0)
        last = piece.samples if self._last is None else min(piece.samples, self._last - at)
        self._next = max(heard, at + piece.samples)
        if first >= last:
            return []
        if (first, last) != (0, piece.samples):
            width = 1 if piece.format.is_planar else piece.layout.nb_channels
            samples = np.ascontiguousarray(piece.to_ndarray()[:, first * width : last * width])
            piece = av.AudioFrame.from_ndarray(samples, format=self._format, layout=self.layout)
            piece.rate = self.rate
        piece.time_base, piece.pts = Fraction(1, self.rate), at + first
        return [piece]


def _layout_and_rate(encoder: str, context: Any) -> tuple[str, int]:
    """The first that the encoder takes: as they are, else in another order of channels, else in stereo."""
    own, layouts = context.layout, []
    if not own.name.endswith("channels"):  # FFmpeg's name of as many channels in no known order
        layouts.append(own.name)
    with contextlib.suppress(ValueError):  # there may be no usual layout of as many
        layouts.append(str(av.AudioLayout(f"{own.nb_channels}c").name))
    rates = [48000] if encoder == "libopus" else [context.sample_rate, 48000]
    for layout, rate in itertools.product(dict.fromkeys([*layouts, "stereo"]), rates):
        if _opens(encoder, layout, rate, _format(encoder, context)):
            return layout, rate
    raise ValueError(f"{encoder} takes no such sound")


def _opens(encoder: str, layout: str, rate: int, sample_format: str) -> bool:
    try:
        context = av.CodecContext.create(encoder, "w")
        context.layout, context.sample_rate, context.format = layout, rate, sample_format
        context.time_base = Fraction(1, rate)
        context.open()
    except (av.FFmpegError, ValueError):
        return False
    return True


def _format(encoder: str, context: Any) -> str:
    """Of the samples: the source's own where the encoder takes it, be it in planes or not."""
    known = [f.name for f in av.Codec(encoder, "w").audio_formats or ()]
    own = context.format.name if context.format else ""
    plain = own.removesuffix("p")
    return str(next((name for name in (own, plain, f"{plain}p") if name in known), known[0]))
