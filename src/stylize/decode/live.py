"""Reads a live source in a thread that keeps only the newest frame, so that the picture is never late by a queue."""

from __future__ import annotations

import threading
import time
from collections import deque
from fractions import Fraction
from typing import NamedTuple, Self

from stylize.decode.container import BROKEN
from stylize.decode.live_address import LiveAddress
from stylize.decode.live_feed import Feed, LivePicture, explain_loss, open_feed
from stylize.decode.live_sound import SoundPacket
from stylize.decode.pipe import Readable
from stylize.errors import Say, VideoError
from stylize.frames import Picture, fit_inside, resize

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds before a lost source is opened again: twice as long after each failure."""
FIRST_SECONDS = 20.0
"""Seconds that the first picture may take: some senders have ten seconds from one keyframe to the next."""
JUMP = 2
"""Seconds by which a stream's clock may leave the real one before it counts as a jump."""
SOUND_JUMP = 5
"""Seconds between sound and the last frame above which their clocks do not belong together."""
SOUND_PACKETS = 2000
"""Packets of sound that wait at most; some 40 seconds."""


class LiveFrame(NamedTuple):
    """A frame of a live source."""

    picture: Picture
    """uint8 RGB `[H, W, 3]`."""
    time: Fraction
    """Seconds since the first frame, on the stream's own clock; strictly increasing."""
    arrived: float
    """When it came, by `time.monotonic()`."""


class LiveReader:
    """Reads a live source; a context manager.

    Entering opens the source and waits for its first picture. A camera, screen or stream that is lost is opened again,
    until the block ends. A picture whose shape differs from the first one's is fitted into it.

    Args:
        stdin: what `pipe:` reads.
        say: called with a line when the source is lost, and when it is back.
        takes_sound: keep packets of sound in `sound`.

    Raises:
        VideoError: the source is not there, or sends no picture.
    """

    def __init__(
        self, address: LiveAddress, *, stdin: Readable | None = None, say: Say | None = None, takes_sound: bool = False
    ) -> None:
        self.address, self._stdin, self._say = address, stdin, say or (lambda line: None)
        self.dropped, self.losses = 0, 0
        """Frames that came and were not taken, since the first was; times that the source was lost."""
        self.waited = 0.0
        """Seconds that `take` waited for frames, all together."""
        self.sound, self._takes_sound = deque[SoundPacket](maxlen=SOUND_PACKETS), takes_sound
        """Packets of sound, on the clock of the frames."""
        self._changed, self._stopping = threading.Condition(), threading.Event()
        self._newest: tuple[LivePicture, Fraction, float] | None = None
        self._error: Exception | None = None
        self._ended, self._is_taken, self._clock = False, False, _Clock()
        self._thread = threading.Thread(target=self._work, name="stylize-live", daemon=True)

    def __enter__(self) -> Self:
        self._feed: Feed | None = open_feed(self.address, self._stdin)
        self.tracks = self._feed.tracks if self._takes_sound else ()
        """The tracks of sound."""
        self._thread.start()
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None or self._ended, FIRST_SECONDS)
            first = None if self._newest is None else self._newest[0]
        if first is None:
            self.__exit__()
            raise VideoError(f"{self.address.text}: no picture comes", "check what is sent") from self._error
        self.info = first.info
        """The facts of the source, told from its first picture."""
        height, width = first.to_rgb().shape[:2]
        self.source_size = self.size = width, height
        """Width and height of the source, and of the frames that `take` returns."""
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(1.0)  # a source that stands still is left behind: it ends with the program

    @property
    def has_ended(self) -> bool:
        """True if no frame will come any more."""
        with self._changed:
            return self._ended and self._newest is None and self._error is None

    def take(self, timeout: float = 0.25) -> LiveFrame | None:
        """Waits for a frame that was not taken yet, and returns the newest; `None` if none comes in time.

        Raises:
            VideoError: reading failed.
        """
        with self._changed:
            began = time.monotonic()
            self._changed.wait_for(lambda: self._newest is not None or self._ended, timeout)
            self.waited += time.monotonic() - began
            if self._newest is None and self._error is not None:
                error, self._error = self._error, None
                raise error
            if self._newest is None:
                return None
            picture, moment, arrived = self._newest
            self._newest, self._is_taken = None, True
        rgb, size = picture.to_rgb(), self.size
        height, width = rgb.shape[:2]
        if width * self.source_size[1] == height * self.source_size[0]:
            return LiveFrame(resize(rgb, size), moment, arrived)
        return LiveFrame(fit_inside(rgb, size), moment, arrived)

    def _work(self) -> None:
        try:
            while self._feed is not None:
                error = self._read(self._feed)
                self._feed.close()
                self._feed = None
                if self._stopping.is_set():
                    break
                if not self.address.comes_back:
                    if error is not None:
                        self._say(f"{self.address.text}: {explain_loss(error)}: it ends here")
                    break
                self.losses += 1
                self._say(f"{self.address.text}: {explain_loss(error)}: it is opened again until it is back")
                self._feed = self._open_again()
        except Exception as error:  # told where the next frame is asked for, whatever it is
            self._error = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _read(self, feed: Feed) -> Exception | None:
        """Hands pictures on until the source ends or is lost; returns the error if it is lost."""
        try:
            for one in feed.pictures():
                if self._stopping.is_set():
                    return None
                if isinstance(one, LivePicture):
                    self._hand_on(one)
                elif self._takes_sound and (moment := self._clock.place(one.time)) is not None:
                    self.sound.append(one._replace(time=moment))
        except BROKEN as error:
            return error
        return None

    def _hand_on(self, picture: LivePicture) -> None:
        arrived = time.monotonic()
        self._clock.start = picture.info.clock
        with self._changed:
            self.dropped += self._newest is not None and self._is_taken
            self._newest = picture, self._clock.read(picture.time, arrived), arrived
            self._changed.notify_all()

    def _open_again(self) -> Feed | None:
        """Opens the source again as soon as it is there; `None` if the block ends before."""
        pause = FIRST_PAUSE
        while not self._stopping.wait(pause):
            try:
                feed = open_feed(self.address, self._stdin)
            except VideoError:
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            self._clock.begin_anew()
            self._say(f"{self.address.text}: is back")
            return feed
        return None


class _Clock:
    """Makes times that go on where a stream is lost, begins anew or jumps: then, by the real time that passed."""

    def __init__(self) -> None:
        self.offset: Fraction | None = None
        """Seconds from the moments that are read to the times that are returned."""
        self.start = Fraction(0)
        """Seconds on the stream's clock at which moments are 0."""
        self._last, self._arrived = Fraction(-1), 0.0

    def begin_anew(self) -> None:
        self.offset = None

    def place(self, time: Fraction) -> Fraction | None:
        """Returns the time of sound beside the frames; `None` where it is not near them: the stream's clock jumped."""
        if self.offset is None:
            return None
        moment = time - self.start + self.offset
        return moment if abs(moment - self._last) <= SOUND_JUMP else None

    def read(self, moment: Fraction | None, arrived: float) -> Fraction:
        if self._last < 0:
            self._last, self._arrived, self.offset = Fraction(0), arrived, -moment if moment is not None else None
            return self._last
        passed = max(Fraction(1, 1000), Fraction(round(1000 * (arrived - self._arrived)), 1000))
        now = self._last + passed
        if moment is not None:
            told = None if self.offset is None else moment + self.offset
            if told is None or not self._last < told < now + JUMP:
                self.offset = now - moment
            else:
                now = told
        self._last, self._arrived = now, arrived
        return now
