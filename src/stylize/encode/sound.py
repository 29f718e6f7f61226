"""Decodes sound that cannot be copied, cuts it at the exact sample, and encodes it for the container."""

from __future__ import annotations

import contextlib
import itertools
from fractions import Fraction
from typing import Any

import av
import numpy as np

LOSSLESS = ("pcm_", "flac", "alac", "wavpack", "tta")
"""Beginnings of the names of codecs whose sound loses nothing when it is encoded again."""
LOOSE = Fraction(1, 50)
"""Seconds by which packet times may deviate although the sound has no gap: containers round them."""
PRE_ROLL = Fraction(1, 5)
"""Seconds that a decoder should hear before the cut: its first packets depend on earlier ones (Opus asks for 80 ms)."""


def own_encoder(stream: Any) -> str:
    """Returns the name of the encoder that encodes this stream's sound again without loss; empty if there is none."""
    name = str(stream.codec_context.name)
    if not name.startswith(LOSSLESS):
        return ""
    try:
        return str(av.Codec(name, "w").name)
    except ValueError:
        return ""


class SoundConverter:
    """Converts packets of a sound stream to packets of another codec.

    Args:
        stream: the sound stream of the source.
        encoder: FFmpeg's name of the encoder.
        start, end: seconds on the clock of the stream's packets; `start` becomes 0, samples from `end` on are dropped.
        cut: drop samples before `start`, too.

    Raises:
        ValueError: the encoder does not take this sound, in any layout at any rate.
    """

    def __init__(
        self, output: Any, stream: Any, encoder: str, start: Fraction, end: Fraction | None, *, cut: bool
    ) -> None:
        self._decoder, self._start, self._cuts = stream.codec_context, start, cut
        self.layout, self.rate = _choose_layout_and_rate(encoder, stream.codec_context)
        self._format = _choose_format(encoder, stream.codec_context)
        self._last = None if end is None else round((end - start) * self.rate)
        self.target = output.add_stream(encoder, rate=self.rate, layout=self.layout, format=self._format)
        self._source_format: tuple[str, str, int] | None = None
        self._resampler: Any = None
        self._next: int | None = None  # number of the sample after the last one, from `start` on

    def __call__(self, packet: Any) -> list[Any]:
        """Returns the packets that are ready after this one; `None` ends the sound."""
        try:
            decoded = self._decoder.decode(packet)
        except av.FFmpegError:
            decoded = []
        pieces = []
        for frame in decoded:
            with contextlib.suppress(av.FFmpegError):  # a damaged frame
                pieces += self._resample(frame)
        if packet is None:
            pieces += self._flush()
        ready = [p for piece in pieces for cut in self._trim(piece) for p in self.target.encode(cut)]
        return ready + (self.target.encode(None) if packet is None else [])

    def _resample(self, frame: Any) -> list[Any]:
        """Converts a frame to the layout and rate that is encoded; broadcasts change theirs between programmes."""
        source_format, rest = (frame.format.name, frame.layout.name, frame.rate), []
        if source_format != self._source_format:
            rest, self._source_format = self._flush(), source_format
            self._resampler = av.AudioResampler(format=self._format, layout=self.layout, rate=self.rate)
        return rest + list(self._resampler.resample(frame))

    def _flush(self) -> list[Any]:
        with contextlib.suppress(ValueError):  # nothing was ever resampled
            return list(self._resampler.resample(None)) if self._resampler is not None else []
        return []

    def _trim(self, piece: Any) -> list[Any]:
        """Returns the samples between start and end that are not written yet, as frames with their times."""
        at = self._next or 0
        if piece.pts is not None:
            stated = round((piece.pts * piece.time_base - self._start) * self.rate)
            at = stated if self._next is None or abs(stated - self._next) >= LOOSE * self.rate else self._next
        written = at if self._next is None else self._next
        first = max(written - at, -at if self._cuts else 0, 0)
        last = piece.samples if self._last is None else min(piece.samples, self._last - at)
        self._next = max(written, at + piece.samples)
        if first >= last:
            return []
        if (first, last) != (0, piece.samples):
            width = 1 if piece.format.is_planar else piece.layout.nb_channels
            samples = np.ascontiguousarray(piece.to_ndarray()[:, first * width : last * width])
            piece = av.AudioFrame.from_ndarray(samples, format=self._format, layout=self.layout)
            piece.rate = self.rate
        piece.time_base, piece.pts = Fraction(1, self.rate), at + first
        return [piece]


def _choose_layout_and_rate(encoder: str, context: Any) -> tuple[str, int]:
    """Returns the first pair that the encoder takes: the source's own, else another order of channels, else stereo."""
    source, layouts = context.layout, []
    if not source.name.endswith("channels"):  # FFmpeg's name for channels in no known order
        layouts.append(source.name)
    with contextlib.suppress(ValueError):  # there may be no usual layout for this number of channels
        layouts.append(str(av.AudioLayout(f"{source.nb_channels}c").name))
    rates = [48000] if encoder == "libopus" else [context.sample_rate, 48000]
    for layout, rate in itertools.product(dict.fromkeys([*layouts, "stereo"]), rates):
        if _can_open(encoder, layout, rate, _choose_format(encoder, context)):
            return layout, rate
    raise ValueError(f"{encoder} takes no such sound")


def _can_open(encoder: str, layout: str, rate: int, sample_format: str) -> bool:
    try:
        context = av.CodecContext.create(encoder, "w")
        context.layout, context.sample_rate, context.format = layout, rate, sample_format
        context.time_base = Fraction(1, rate)
        context.open()
    except (av.FFmpegError, ValueError):
        return False
    return True


def _choose_format(encoder: str, context: Any) -> str:
    """Returns a sample format: the source's, in planes or not, if the encoder takes it, else the encoder's first."""
    known = [f.name for f in av.Codec(encoder, "w").audio_formats or ()]
    source = context.format.name if context.format else ""
    plain = source.removesuffix("p")
    return str(next((name for name in (source, plain, f"{plain}p") if name in known), known[0]))
