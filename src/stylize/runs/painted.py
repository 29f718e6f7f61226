"""Painted frames that give a video its look: read and checked before the work, carried along as it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from os import PathLike

import numpy as np

from stylize.decode import read_picture
from stylize.decode.source import Source, WrappedSource
from stylize.errors import StyleError, VideoError
from stylize.frames import Clip, Picture, resize
from stylize.motion.painted import carry_paintings, is_shown, likeness
from stylize.networks import Networks, VideoNetworks
from stylize.style import Style

SAME_SHAPE = 0.03
"""Most by which width to height of a painting may differ from the video's."""
LEAST_LIKENESS = 0.25
"""Paintings below this are of another frame. The built-in looks have 0.29 to 0.99 to their own frame (the median 0.96),
and 0.17 in the median to other ones."""
BEFORE = Fraction(1)
"""Seconds before a time from which on its frame is looked for."""


class PaintedSource(WrappedSource):
    """A source whose clips have covers: the paintings, carried along the motion."""

    def __init__(self, source: Source, paintings: Sequence[tuple[Fraction, Picture]]) -> None:
        super().__init__(source)
        self._paintings = paintings

    def clips(self, length: int = 8, *, skip: int = 0) -> Iterator[Clip]:
        """Yields clips of one frame with covers; those before `skip` are read, too, as paintings come from there."""
        self._source.size = self.size
        start = self.info.start
        fitted = [(start + second, resize(picture, self.size)) for second, picture in self._paintings]
        yield from carry_paintings(self._source.clips(1), fitted, skip)


def read_paintings(
    keyframes: Mapping[Fraction, str | PathLike[str]],
    open_at: Callable[[float], Source],
    part: tuple[Fraction, Fraction | None],
) -> list[tuple[Fraction, Picture]]:
    """Reads painted frames, each with its second, and checks that each shows its frame.

    Args:
        keyframes: files by the second of their frame, counted from the video's first one.
        open_at: opens the source from a second on.
        part: start and end of what is restyled, on the source's clock.

    Raises:
        StyleError: a picture cannot be read, has another shape, or shows something else.
        VideoError: there is no frame at that second.
    """
    paintings = []
    for second, path in sorted(keyframes.items()):
        painting = np.asarray(read_picture(path), np.uint8)
        frame, at = _read_frame(open_at, second)
        if at < part[0] or (part[1] is not None and at >= part[1]):
            what = f"{path}: its frame at {float(second):g} s is not between start and end"
            raise StyleError(what, "paint a frame of the part that is restyled")
        check_painting(f"{path}", painting, frame, f"the frame at {float(second):g} s")
        paintings.append((second, painting))
    return paintings


def check_painting(name: str, painting: Picture, frame: Picture, named: str = "its frame") -> None:
    """Raises StyleError if a painting has another shape than its frame, or shows something else.

    Args:
        name, named: of the painting and of the frame, for messages.
    """
    height, width = frame.shape[:2]
    if abs(painting.shape[1] * height / (painting.shape[0] * width) - 1) > SAME_SHAPE:
        what = f"{name}: is {painting.shape[1]}x{painting.shape[0]}, the frame {width}x{height}"
        raise StyleError(what, "paint over the frame itself, without cropping it")
    if (alike := likeness(resize(painting, (width, height)), frame)) < LEAST_LIKENESS:
        what = f"{name}: does not show {named} (likeness {alike:.2f})"
        raise StyleError(what, f"give {LEAST_LIKENESS:g} or more: paint over that frame, or name its second")


def refer_to_paintings(networks: Networks | VideoNetworks, style: Style) -> Style:
    """Returns the style whose reference, if none is given, is the first painting: it fills in what no painting shows.

    Raises:
        StyleError: the model reads no pictures, and no prompt says what to fill in.
    """
    if not style.keyframes or style.reference is not None:
        return style
    if networks.reads_pictures:
        return replace(style, reference=style.keyframes[min(style.keyframes)])
    if not style.prompt.strip():
        what = f"{networks.name} reads no pictures, and nothing says how what the paintings do not show shall look"
        raise StyleError(what, "add --prompt TEXT, or --ip-adapter")
    return style


def _read_frame(open_at: Callable[[float], Source], second: Fraction) -> tuple[Picture, Fraction]:
    """Returns the frame that is shown at a second, and its time on the source's clock."""
    with open_at(float(max(Fraction(0), second - BEFORE))) as source:
        at, duration = source.info.start + second, source.info.duration
        if duration is None or second < duration:
            for clip in source.clips(1):
                if is_shown(clip, at):
                    return clip.frames[0], clip.times[0]
                if clip.times[0] > at:
                    break
    raise VideoError(f"{source.info.path}: has no frame at {float(second):g} s", "name a second within the video")
