"""Measures the delay from glass to glass: reads the timecode in what a viewer of the live page gets."""

from __future__ import annotations

import contextlib
import threading
import time
import urllib.request
from collections import deque
from http.client import HTTPException
from typing import Any, Self

import cv2
import numpy as np

from stylize.decode.timecode import BITS, read_timecode
from stylize.errors import Say
from stylize.page.live_page import COOKIE

TELL_SECONDS = 2.0
"""Seconds between two lines."""
KEPT = 10_000
"""Delays that are kept."""
STEP = 1 << BITS
"""Milliseconds after which the timecode begins anew."""


class LatencyMeter:
    """Watches the live page as a browser does, in a thread, and says how old its pictures are; a context manager.

    Args:
        port: of the page, on this machine.
        token: of the page, if it asks for one.
        say: called with a line every two seconds.
    """

    def __init__(self, host: str, port: int, token: str | None, say: Say) -> None:
        shown = f"[{host}]" if ":" in host else host
        headers = {"Cookie": f"{COOKIE}={token}"} if token else {}
        self._request = urllib.request.Request(f"http://{shown}:{port}/picture.mjpg", headers=headers)
        self._say, self._stopping = say, threading.Event()
        self.delays = deque[int](maxlen=KEPT)
        """Milliseconds of the last pictures that were read."""
        self._thread = threading.Thread(target=self._work, name="stylize-latency", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(1.0)

    def _work(self) -> None:
        with contextlib.suppress(OSError, HTTPException):  # the page has ended
            self._watch()

    def _watch(self) -> None:
        told, recent, pictures = time.monotonic(), list[int](), 0
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # this machine needs no proxy
        with direct.open(self._request, timeout=60) as stream:
            while not self._stopping.is_set():
                if (length := _read_length(stream)) is None:
                    return
                jpeg = np.frombuffer(stream.read(length), np.uint8)
                picture = cv2.cvtColor(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
                now, pictures = time.monotonic(), pictures + 1
                code = read_timecode(picture.astype(np.uint8))
                if code is not None:
                    recent.append((round(now * 1000) - code) % STEP)
                    self.delays.append(recent[-1])
                if now - told >= TELL_SECONDS:
                    self._tell(recent, pictures)
                    told, recent, pictures = now, [], 0

    def _tell(self, delays: list[int], pictures: int) -> None:
        if not delays:
            self._say("no timecode is seen: name test: as the source, or show the page's /timecode to the camera")
            return
        middle, most = sorted(delays)[len(delays) // 2], max(delays)
        self._say(f"glass to glass: {middle} ms, at most {most} ms ({len(delays)} of {pictures} pictures read)")


def _read_length(stream: Any) -> int | None:
    """Reads the head of a picture and returns its bytes; `None` at the end."""
    length = 0
    while line := stream.readline():
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
        elif length and not line.strip():
            return length
    return None
