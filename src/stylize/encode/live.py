"""Writes a live picture into a stream for others or a recording, in a thread of its own."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, Protocol, Self

import av
from av.bitstream import BitStreamFilterContext

from stylize.decode import VideoInfo
from stylize.decode.live_sound import SoundPacket, SoundTrack
from stylize.encode.codecs import choose_encoding
from stylize.encode.live_network import NetworkSink, check_receiver
from stylize.encode.live_target import LiveTarget
from stylize.encode.pipe import IN_MPEGTS
from stylize.encode.target import Target
from stylize.errors import Say, StyleError, VideoError
from stylize.frames import Picture, resize

LOW_DELAY = {"preset": "veryfast", "tune": "zerolatency", "bf": "0"}
KEYFRAME_SECONDS = 2
"""Seconds after which somebody who joins a stream sees a picture."""
FRAMES_WAITING, SOUND_WAITING = 4, 400
"""Frames and packets of sound that wait for the encoder at most."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds before a receiver that is lost is tried again: twice as long after each failure."""
END_SECONDS = 10.0
"""Seconds that the end may take; a receiver or disk that takes longer is given up."""


class LiveSink(Protocol):
    """Takes the frames of a live picture; a context manager."""

    def write(self, picture: Picture, moment: Fraction, due: float) -> None:
        """Takes a frame, uint8 RGB `[H, W, 3]`, with its time in seconds, and when it is to be shown (monotonic)."""
        ...

    def write_sound(self, packet: SoundPacket) -> None:
        """Takes a packet of the source's sound."""
        ...

    @property
    def missed(self) -> int:
        """Frames that a lost or slow receiver did not get."""
        ...

    def __enter__(self) -> Self:
        """Opens the place."""
        ...

    def __exit__(self, *_: object) -> None:
        """Writes what is left, and closes it."""
        ...


class LiveWriter:
    """Encodes a live picture as H.264 for a stream or a recording; a context manager.

    A thread of its own encodes and sends. A receiver that is lost or slow is tried again, and misses what comes
    meanwhile; a recording gets every frame. Times begin with the first frame; sound before it is left out. A recording
    stands beside its name until the block ends, however it ends: then what was recorded stands under its name, whole.

    Args:
        source: of the frames; gives rate and colour.
        size: width and height that are written; odd ones lose a row or column.
        sound: tracks of the source whose packets go along unchanged.
        say: called with a line about what is left out, and when a receiver is lost.

    Raises:
        VideoError: the receiver refuses, or the file cannot be written.
    """

    def __init__(
        self,
        target: LiveTarget,
        source: VideoInfo,
        size: tuple[int, int],
        *,
        sound: Sequence[SoundTrack] = (),
        crf: int | None = None,
        say: Say | None = None,
    ) -> None:
        if crf is not None and not 0 <= crf <= 51:
            raise StyleError(f"crf {crf} is out of range", "use 0 to 51")
        self._place, self._say, self.size = target, say or (lambda line: None), (size[0] // 2 * 2, size[1] // 2 * 2)
        encoding = choose_encoding("live.mkv", self.size, codec="h264", crf=crf, preset="veryfast")
        self._base = Fraction(1, 1000) if target.muxer == "flv" else Fraction(1, 90000)
        self._target = Target(source.path, replace(source, time_base=self._base), self.size, encoding)
        self._options = LOW_DELAY | ({} if crf is None else {"crf": str(crf)})
        self._sound_tracks = sound
        self.missed, self.written, self._pause, self._retry = 0, 0, FIRST_PAUSE, 0.0
        """Frames that a lost or slow receiver did not get; frames that were written."""
        self._start: Fraction | None = None
        self._error: VideoError | None = None
        self._partial = None if target.path is None else target.find_partial()
        self._changed, self._waiting, self._stopping = threading.Condition(), deque[Any](), False
        self._thread = threading.Thread(target=self._work, name="stylize-live-writer", daemon=True)

    def __enter__(self) -> Self:
        self._container: Any = self._open()
        self._thread.start()
        return self

    def _open(self) -> Any:
        """Opens the receiver or the file, and begins with a keyframe."""
        place, self._network = self._place, None
        options = {"movflags": "frag_keyframe+delay_moov+default_base_moof"} if place.muxer == "mp4" else {}
        try:
            if place.is_plain_network:
                file: Any = NetworkSink(place.url)
                self._network = file
            elif self._partial is not None:
                file = f"file:{self._partial.absolute()}"
            else:
                check_receiver(place.url)
                file = place.url
            options["flush_packets"] = "1"  # nothing waits for a full buffer
            container = av.open(file, "w", format=place.muxer, options=options)
            self._video = self._target.add_stream(container)
            self._video.options = self._options
            made = {i: self._add(container, track) for i, track in enumerate(self._sound_tracks)}
            self._sound = {i: stream for i, stream in made.items() if stream is not None}
            container.start_encoding()
        except (av.FFmpegError, OSError, ValueError) as error:
            what = str(getattr(error, "strerror", None) or error).lower()
            raise VideoError(f"{place.text}: cannot be written ({what})", "check the address") from error
        self._last, self._heard, self._keyframe = -1, dict[int, int](), Fraction(-KEYFRAME_SECONDS)
        return container

    def _add(self, container: Any, track: SoundTrack) -> Any:
        """Returns a stream for a track of sound with the filter that its packets pass; `None` if it is not held."""
        try:
            if track.codec not in (IN_MPEGTS if self._place.muxer == "mpegts" else container.supported_codecs):
                raise ValueError(track.codec)
            stream = container.add_stream_from_template(track.template, opaque=True)
        except (ValueError, av.FFmpegError):
            self._say(f"{self._place.text}: does not hold the sound ({track.codec}): it is left out")
            return None
        # broadcasts have a header in each packet of AAC, which mp4 and flv have once
        wants_plain = track.codec == "aac" and self._place.muxer in ("mp4", "flv")
        return stream, BitStreamFilterContext("aac_adtstoasc", track.template) if wants_plain else None

    def write(self, picture: Picture, moment: Fraction, due: float = 0.0) -> None:
        """Hands a frame to the encoder; a recording waits for it, a stream rather misses a frame.

        Raises:
            VideoError: the file cannot be written any more.
        """
        with self._changed:
            if self._place.path is not None:
                self._changed.wait_for(lambda: self._error is not None or self._count_frames() < FRAMES_WAITING)
            if self._error is not None:
                raise self._error
            if self._count_frames() >= FRAMES_WAITING:
                self.missed += 1
                return
            self._start = moment if self._start is None else self._start
            self._waiting.append((picture, moment - self._start))
            self._changed.notify_all()

    def _count_frames(self) -> int:
        return sum(not isinstance(item, SoundPacket) for item in self._waiting)

    def write_sound(self, packet: SoundPacket) -> None:
        """Hands a packet of the source's sound on, if the place holds it; never waits."""
        with self._changed:
            if self._start is None or packet.time < self._start or len(self._waiting) >= SOUND_WAITING:
                return
            self._waiting.append(packet._replace(time=packet.time - self._start))
            self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._stopping)
                if not self._waiting:
                    return
                item = self._waiting.popleft()
                self._changed.notify_all()
            if self._container is None:
                self._open_again()
            if self._container is None or self._error is not None:
                self.missed += not isinstance(item, SoundPacket)
                continue
            try:
                self._write(item)
            except Exception as error:  # told where the next frame is written, whatever it is
                self._lose(error)

    def _write(self, item: Any) -> None:
        if isinstance(item, SoundPacket):
            self._write_sound(item)
        else:
            picture, moment = item
            frame = self._target.convert(resize(picture, self.size), self._video.pix_fmt)
            ticks = max(self._last + 1, math.floor(moment / self._base))
            frame.time_base, frame.pts, self._last = self._base, ticks, ticks
            if moment - self._keyframe >= KEYFRAME_SECONDS:
                frame.pict_type, self._keyframe = av.video.frame.PictureType.I, moment
            self._container.mux(self._video.encode(frame))
            self.written += 1
        if self._network is not None and self._network.error is not None:
            raise self._network.error

    def _write_sound(self, item: SoundPacket) -> None:
        """Writes a packet whose time rises; one that the format refuses costs itself alone."""
        ticks = round(item.time / item.time_base)
        if item.track not in self._sound or ticks <= self._heard.get(item.track, -1):
            return
        self._heard[item.track] = ticks
        stream, to_plain = self._sound[item.track]
        packet = av.Packet(item.content)
        packet.pts = packet.dts = ticks
        packet.time_base, packet.duration = item.time_base, round(item.duration / item.time_base)
        with contextlib.suppress(av.InvalidDataError, av.ArgumentError):
            for plain in [packet] if to_plain is None else to_plain.filter(packet):
                plain.time_base, plain.stream = item.time_base, stream
                self._container.mux(plain)

    def _lose(self, error: Exception) -> None:
        """Ends a recording that cannot be written, and lets a stream be opened again."""
        what = str(getattr(error, "strerror", None) or error or type(error).__name__).lower()
        if self._place.path is not None:
            self._error = self._error or VideoError(
                f"{self._place.text}: cannot be written any more ({what})", "free space; what was recorded is kept"
            )
            return
        self._say(f"{self._place.text}: {what}: it is tried again")
        self._close_stream()
        self._pause, self._retry = FIRST_PAUSE, time.monotonic() + FIRST_PAUSE

    def _open_again(self) -> None:
        if time.monotonic() < self._retry:
            return
        try:
            self._container = self._open()
            self._say(f"{self._place.text}: is back")
        except VideoError:
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
            self._retry = time.monotonic() + self._pause

    def _close_stream(self) -> None:
        with contextlib.suppress(av.FFmpegError, OSError):  # whoever is gone needs no end
            self._container.close()
        if self._network is not None:
            self._network.close()
        self._container = None

    def __exit__(self, *how: object) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(END_SECONDS)
        if self._thread.is_alive():  # whatever holds it up has its container: it is left alone
            self._error = self._error or VideoError(f"{self._place.text}: does not take any more", "look at it")
        elif self._container is not None:
            self._finish()
        if self._partial is not None and self._place.path is not None and self._partial.exists():
            if self.written:
                os.replace(self._partial, self._place.path)
            else:
                self._partial.unlink()
        if self._error is not None and how[1] is None and self._place.path is not None:
            raise self._error

    def _finish(self) -> None:
        try:
            if self.written:
                self._container.mux(self._video.encode(None))
            self._container.close()
        except (av.FFmpegError, OSError) as error:
            if self._place.path is not None:
                self._lose(error)
        if self._network is not None:
            self._network.close()
