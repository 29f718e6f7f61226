"""Writes a live picture: into a stream for others, a recording, or a virtual camera; in a thread of its own."""

from __future__ import annotations

import contextlib
import math
import os
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, Protocol, Self, TypeAlias

import av

from stylize.decode import VideoInfo
from stylize.encode.codecs import choose_encoding
from stylize.encode.live_target import CAMERA, LiveTarget
from stylize.encode.pipe import IN_MPEGTS
from stylize.encode.target import Target
from stylize.errors import Say, StyleError, VideoError
from stylize.frames import Picture, resize

LOW_DELAY = {"preset": "veryfast", "tune": "zerolatency", "bf": "0"}
KEYFRAME_SECONDS = 2
"""Seconds after which somebody who joins a stream sees a picture."""
WAITING = 4
"""Frames that wait for the encoder at most."""
LONGEST_PAUSE = 30.0
"""Seconds at most before a receiver that is lost is tried again."""


class LiveSink(Protocol):
    """Takes the frames of a live picture; a context manager."""

    def write(self, picture: Picture, moment: Fraction) -> None:
        """Takes a frame, uint8 RGB `[H, W, 3]`, with its time in seconds."""
        ...

    def write_sound(self, packet: Any) -> None:
        """Takes a packet of the source's sound."""
        ...

    def __enter__(self) -> Self:
        """Opens the place."""
        ...

    def __exit__(self, *_: object) -> None:
        """Writes what is left, and closes it."""
        ...


Item: TypeAlias = tuple[Picture, Fraction] | Any


class LiveWriter:
    """Encodes a live picture as H.264 for a stream or a recording; a context manager.

    A thread of its own encodes and sends. A receiver that is lost is tried again, and misses what comes meanwhile; a
    recording gets every frame. A recording stands beside its name until the block ends, however it ends: then what was
    recorded stands under its name, whole.

    Args:
        source: of the frames; gives rate and colour.
        size: width and height that are written; odd ones lose a row or column.
        sound: streams of the source whose packets go along unchanged.
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
        sound: Sequence[Any] = (),
        crf: int | None = None,
        say: Say | None = None,
    ) -> None:
        if crf is not None and not 0 <= crf <= 51:
            raise StyleError(f"crf {crf} is out of range", "use 0 to 51")
        self._place, self._say, self.size = target, say or (lambda line: None), (size[0] // 2 * 2, size[1] // 2 * 2)
        encoding = choose_encoding("live.mkv", self.size, codec="h264", crf=crf, preset="veryfast")
        base = Fraction(1, 1000) if target.muxer == "flv" else Fraction(1, 90000)
        self._target = Target(source.path, replace(source, time_base=base), self.size, encoding)
        self._options = LOW_DELAY | ({} if crf is None else {"crf": str(crf)})
        self._base, self._sound_streams = base, sound
        self.missed, self._pause, self._retry = 0, 0.5, 0.0
        """Frames that a lost or slow receiver did not get."""
        self._last, self._keyframe = -1, Fraction(-KEYFRAME_SECONDS)
        self._error: VideoError | None = None
        self._partial = None if target.path is None else target.path.with_name(f".{target.path.name}.part")
        self._queue: queue.Queue[Item | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._work, name="stylize-live-writer", daemon=True)

    def __enter__(self) -> Self:
        self._container = self._open()
        self._thread.start()
        return self

    def _open(self) -> Any:
        """Opens the receiver or the file, and begins with a keyframe."""
        place = self._place
        options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"} if place.muxer == "mp4" else {}
        try:
            url = place.text if self._partial is None else f"file:{self._partial.absolute()}"
            container = av.open(url, "w", format=place.muxer, options=options, timeout=(5.0, 5.0))
            self._video = self._target.add_stream(container)
            self._video.options = self._options
            self._sound = {
                stream.index: made for stream in self._sound_streams if (made := self._add(container, stream))
            }
            container.start_encoding()
        except (av.FFmpegError, OSError, ValueError) as error:
            what = str(getattr(error, "strerror", None) or error).lower()
            raise VideoError(f"{place.text}: cannot be written ({what})", "check the address") from error
        self._keyframe = Fraction(-KEYFRAME_SECONDS)
        return container

    def _add(self, container: Any, stream: Any) -> Any:
        name = stream.codec_context.name if stream.codec_context is not None else "unknown"
        try:
            if name not in (IN_MPEGTS if self._place.muxer == "mpegts" else container.supported_codecs):
                raise ValueError(name)
            return container.add_stream_from_template(stream, opaque=True)
        except (ValueError, av.FFmpegError):
            self._say(f"{self._place.text}: does not hold the sound ({name}): it is left out")
            return None

    def write(self, picture: Picture, moment: Fraction) -> None:
        """Hands a frame to the encoder; a recording waits for it, a stream rather misses a frame.

        Raises:
            VideoError: the file cannot be written any more.
        """
        if self._error is not None:
            raise self._error
        if self._place.path is not None:
            self._queue.put((picture, moment))
            return
        try:
            self._queue.put_nowait((picture, moment))
        except queue.Full:
            self.missed += 1

    def write_sound(self, packet: Any) -> None:
        """Hands a packet of the source's sound on, if the place holds it."""
        if packet.stream.index in self._sound:
            try:
                self._queue.put(packet, timeout=1.0)
            except queue.Full:
                self.missed += 1

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            if self._container is None:
                self._open_again()
            if self._container is None or self._error is not None:
                self.missed += 1
                continue
            try:
                self._write(item)
            except (av.FFmpegError, OSError) as error:
                self._lose(error)

    def _write(self, item: Item) -> None:
        if not isinstance(item, tuple):
            item.stream = self._sound[item.stream.index]
            self._container.mux(item)
            return
        picture, moment = item
        frame = self._target.convert(resize(picture, self.size), self._video.pix_fmt)
        ticks = max(self._last + 1, math.floor(moment / self._base))
        frame.time_base, frame.pts, self._last = self._base, ticks, ticks
        if moment - self._keyframe >= KEYFRAME_SECONDS:
            frame.pict_type, self._keyframe = av.video.frame.PictureType.I, moment
        self._container.mux(self._video.encode(frame))

    def _lose(self, error: Exception) -> None:
        """Ends a recording that cannot be written, and lets a stream be opened again."""
        what = str(getattr(error, "strerror", None) or error).lower()
        if self._place.path is not None:
            advice = "free space; what was recorded is kept"
            self._error = VideoError(f"{self._place.text}: cannot be written any more ({what})", advice)
            return
        self._say(f"{self._place.text}: {what}: it is tried again")
        self._close(self._container)
        self._container, self._pause = None, 0.5
        self._retry = time.monotonic() + self._pause

    def _open_again(self) -> None:
        if time.monotonic() < self._retry:
            return
        try:
            self._container = self._open()
            self._say(f"{self._place.text}: is back")
        except VideoError:
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
            self._retry = time.monotonic() + self._pause

    @staticmethod
    def _close(container: Any) -> None:
        with contextlib.suppress(av.FFmpegError, OSError):  # whoever is gone needs no end
            container.close()

    def __exit__(self, *_: object) -> None:
        self._queue.put(None)
        self._thread.join(10.0)
        if self._container is not None:
            try:
                self._container.mux(self._video.encode(None))
            except (av.FFmpegError, OSError) as error:
                self._lose(error)
        if self._container is not None:
            self._close(self._container)
        if self._partial is not None and self._place.path is not None and self._partial.exists():
            os.replace(self._partial, self._place.path)


class VirtualCamera:
    """Shows a live picture as a camera of this machine, for calls and streaming programs; a context manager.

    Args:
        target: `camera:`, or `camera:NAME` where there are several.

    Raises:
        VideoError: the system has no virtual camera.
    """

    def __init__(self, target: LiveTarget, size: tuple[int, int], rate: float = 30.0) -> None:
        self._device, self._rate, self.size = target.text.removeprefix(CAMERA) or None, rate, size

    def __enter__(self) -> Self:
        import pyvirtualcam

        try:
            self._camera = pyvirtualcam.Camera(*self.size, self._rate, device=self._device)
        except (RuntimeError, ValueError) as error:
            what = f"no virtual camera can be opened ({error})"
            raise VideoError(what, "install v4l2loopback (Linux) or OBS (macOS, Windows)") from error
        return self

    def write(self, picture: Picture, moment: Fraction) -> None:
        """Shows a frame."""
        self._camera.send(resize(picture, self.size))

    def write_sound(self, packet: Any) -> None:
        """Does nothing: a camera has no sound."""

    def __exit__(self, *_: object) -> None:
        self._camera.close()
