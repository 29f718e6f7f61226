"""Shows a live picture as a camera of this machine."""

from __future__ import annotations

import threading
import time
from collections import deque
from fractions import Fraction
from typing import Any, Self

from stylize.decode.live_sound import SoundPacket
from stylize.encode.live_target import CAMERA, LiveTarget
from stylize.errors import VideoError
from stylize.frames import Picture, resize

WAITING = 16
"""Frames that wait for their moment at most."""


class VirtualCamera:
    """A camera for calls and streaming programs, by pyvirtualcam; a context manager. Frames wait until they are due.

    Args:
        target: `camera:`, or `camera:NAME` where there are several.

    Raises:
        VideoError: the system has no virtual camera.
    """

    def __init__(self, target: LiveTarget, size: tuple[int, int], rate: float = 30.0) -> None:
        self._device, self._rate, self.size = target.text.removeprefix(CAMERA) or None, rate, size
        self.missed = 0
        """Frames that could not be shown in time."""
        self._changed, self._waiting, self._stopping = threading.Condition(), deque[tuple[Picture, float]](), False
        self._thread = threading.Thread(target=self._work, name="stylize-camera", daemon=True)

    def __enter__(self) -> Self:
        import pyvirtualcam

        try:
            self._camera: Any = pyvirtualcam.Camera(*self.size, self._rate, device=self._device)
        except (RuntimeError, ValueError) as error:
            what = f"no virtual camera can be opened ({error})"
            raise VideoError(what, "install v4l2loopback (Linux) or OBS (macOS, Windows)") from error
        self._thread.start()
        return self

    def write(self, picture: Picture, moment: Fraction, due: float = 0.0) -> None:
        """Shows a frame at its moment."""
        with self._changed:
            if len(self._waiting) >= WAITING:
                self._waiting.popleft()
                self.missed += 1
            self._waiting.append((resize(picture, self.size), due))
            self._changed.notify_all()

    def write_sound(self, packet: SoundPacket) -> None:
        """Does nothing: a camera has no sound."""

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._stopping)
                if not self._waiting:
                    return
                picture, due = self._waiting.popleft()
            time.sleep(min(1.0, max(0.0, due - time.monotonic())))
            self._camera.send(picture)

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(2.0)
        self._camera.close()
