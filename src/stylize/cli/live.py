"""The command for a live picture: camera, screen or stream in; a page, a stream, a recording or a camera out."""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib.util
import os
import secrets
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from stylize.cli import options
from stylize.cli.console import one_line_errors, say, warnings_as_lines
from stylize.cli.loader import load_from
from stylize.errors import Say, StyleError, StylizeError
from stylize.style.settings import style_from

if TYPE_CHECKING:
    from stylize.decode.live import LiveReader
    from stylize.encode.live import LiveSink
    from stylize.encode.live_target import LiveTarget
    from stylize.page.live_page import LivePage
    from stylize.runs.live.session import Live
    from stylize.style import Style

HOST, PORT = "127.0.0.1", 7861
OF_FILES = ("start", "end", "fps", "batch")
"""Shared options that say nothing of a live picture."""
USUAL_RATE = {"cpu": 12.0, "cuda": 24.0}
"""Frames a second that are asked for by themselves, by device; the first for all others."""


@options.with_shared
def live(
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="camera:0, screen:0, rtsp://..., udp://..., pipe:, loop:FILE, test:"),
    ],
    given: options.Given,
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", help="udp://HOST:PORT, rtmp://..., a file (.mkv .mp4 .ts), camera: (virtual)."),
    ] = None,
    target_fps: Annotated[
        float | None,
        typer.Option(help="Frames/s for which size, steps and mode are chosen [default: 12, 24 on a GPU, or --fit]."),
    ] = None,
    page: Annotated[bool | None, typer.Option("--page/--no-page", help="Serve the page [default: without -o].")] = None,
    host: Annotated[str, typer.Option(help="Address of the page; any but this machine's own asks for a token.")] = (
        HOST
    ),
    port: Annotated[int, typer.Option(help="Port of the page.")] = PORT,
    token: Annotated[str | None, typer.Option(help="Of the page [default: made where one is needed].")] = None,
    latency: Annotated[
        bool, typer.Option("--latency", help="Print the delay from glass to glass, by the timecode of test:.")
    ] = False,
    seconds: Annotated[float | None, typer.Option(help="End after so many seconds [default: at Ctrl-C].")] = None,
    crf: options.Crf = None,
) -> None:
    """Restyle a live picture, and change its look while it runs.

    Example: stylize live camera:0 --prompt "oil painting"
    """
    with one_line_errors():
        values = given.read()
        options.check_look(values)
        shown = latency or (output is None if page is None else page)
        asked = _Asked(source, output, values, style_from(values), target_fps, seconds, crf)
        if latency and page is False:
            raise StyleError("the delay is measured on the page", "leave out --no-page or --latency")
        if not shown and (token or (host, port) != (HOST, PORT)):
            raise StyleError("--host, --port and --token are of the page", "add --page, or leave them out")
        _check(asked, shown=shown)
        _restyle(asked, _Page(host, port, token, latency) if shown else None)


class _Asked(NamedTuple):
    """The options of a live picture."""

    source: str
    output: str | None
    values: Mapping[str, Any]
    style: Style
    target_fps: float | None
    seconds: float | None
    crf: int | None


class _Page(NamedTuple):
    """The options of its page."""

    host: str
    port: int
    token: str | None
    latency: bool


def _restyle(asked: _Asked, page: _Page | None) -> None:
    """Opens everything, and restyles until the picture ends."""
    from stylize.decode.live import LiveReader
    from stylize.decode.live_address import parse_live_address
    from stylize.encode.live_target import parse_live_target

    atexit.register(_end_quickly)
    address, quiet = parse_live_address(asked.source), asked.values["quiet"]
    read = address.url if address.kind == "loop" else ""
    target = None if asked.output is None else parse_live_target(asked.output, force=asked.values["force"], source=read)
    # unbuffered: a thread that waits in a buffered stream would break the program's end
    stdin = os.fdopen(os.dup(0), "rb", buffering=0) if address.kind == "pipe" else None
    tell, with_sound = _mute if quiet else say, target is not None and not target.is_camera
    with contextlib.ExitStack() as opened, warnings_as_lines(shown=not quiet):
        reader = opened.enter_context(LiveReader(address, stdin=stdin, say=tell, takes_sound=with_sound))
        session = _make_session(asked, reader, tell)
        sink = None if target is None else opened.enter_context(_make_sink(target, reader, asked, tell))
        view = None if page is None else opened.enter_context(_serve(session, address.text, page, opened, tell))
        frames, took = _run(session, reader, sink, view, asked.seconds)
    if target is not None:
        missed = f", {sink.missed} missed" if sink is not None and sink.missed else ""
        tell(f"{target.text}: {frames} frames, {took:.0f} s{missed}")
    tell(str(session.figures) if frames else "no frame came")


def _make_session(asked: _Asked, reader: LiveReader, tell: Say) -> Live:
    """Loads the model, and chooses the usual rate where neither a rate nor a size is asked for."""
    stylizer = load_from(asked.values)
    from stylize.runs.live.session import Live

    rate = asked.target_fps
    if rate is None and asked.style.fit is None:
        rate = USUAL_RATE.get(stylizer.networks.device.type, USUAL_RATE["cpu"])
    return Live(stylizer, reader, asked.style, target_fps=rate, say=tell)


def _end_quickly() -> None:
    """Keeps Python from looking through all of torch's objects at its end, which takes a second."""
    gc.disable()
    gc.freeze()


def _mute(line: str) -> None:
    """Says nothing."""


def _check(asked: _Asked, *, shown: bool) -> None:
    """Raises StyleError for options that have no meaning here, before anything is opened."""
    from stylize.runs.live.checks import check_live, check_rate

    check_live(asked.style)
    if asked.target_fps is not None:
        check_rate(asked.target_fps)
    given = [name for name in OF_FILES if asked.values[name] is not None]
    if asked.crf is not None and (asked.output is None or asked.output.startswith("camera:")):
        given.append("crf")
    if asked.seconds is not None and not 0 < asked.seconds < threading.TIMEOUT_MAX:
        raise StyleError(f"{asked.seconds:g} seconds are out of range", "use a number above 0")
    if given:
        raise StyleError(f"--{given[0]} is not for this live picture", "leave it out")
    if shown and importlib.util.find_spec("uvicorn") is None:
        raise StylizeError(
            "the page needs Starlette and uvicorn", "pip install starlette uvicorn, or name an output: -o"
        )


def _make_sink(target: LiveTarget, reader: LiveReader, asked: _Asked, tell: Say) -> LiveSink:
    from stylize.encode.live import LiveWriter
    from stylize.encode.virtual_camera import VirtualCamera

    size = asked.style.size or reader.source_size
    if target.is_camera:
        return VirtualCamera(target, size)
    return LiveWriter(target, reader.info, size, sound=reader.tracks, crf=asked.crf, say=tell)


def _serve(session: Live, source: str, page: _Page, opened: contextlib.ExitStack, tell: Say) -> LivePage:
    """Opens the page, with a token where others can reach it, and begins to measure its delay if that is asked for."""
    from stylize.page.latency import LatencyMeter
    from stylize.page.live_page import LivePage
    from stylize.page.local import is_loopback

    token = page.token or (None if is_loopback(page.host) else secrets.token_urlsafe(12))
    view = LivePage(session, source, host=page.host, port=page.port, token=token)
    (say if token and not page.token else tell)(f"{view.address} shows the picture, Ctrl-C ends it")
    if page.latency:
        opened.enter_context(LatencyMeter(page.host, view.port, token, say))
    return view


def _run(
    session: Live,
    reader: LiveReader,
    sink: LiveSink | None,
    view: LivePage | None,
    seconds: float | None,
) -> tuple[int, float]:
    """Shows and writes frames until Ctrl-C, the end of the source, or the given seconds; returns their number."""
    began, frames = time.monotonic(), 0
    timer = None if seconds is None else threading.Timer(seconds, session.stop)
    with _stop_on_signals(session), _running(timer):
        for frame in session:
            frames += 1
            if view is not None:
                view.show(frame)
            if sink is not None:
                sink.write(frame.picture, frame.time, frame.due)
                while reader.sound:
                    sink.write_sound(reader.sound.popleft())
    return frames, time.monotonic() - began


@contextlib.contextmanager
def _running(timer: threading.Timer | None) -> Iterator[None]:
    if timer is not None:
        timer.daemon = True
        timer.start()
    try:
        yield
    finally:
        if timer is not None:
            timer.cancel()


@contextlib.contextmanager
def _stop_on_signals(session: Live) -> Iterator[None]:
    """Lets the first Ctrl-C or SIGTERM end the picture after its frame, so that a recording is whole."""

    def stop(_number: int, _frame: Any) -> None:
        session.stop()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, before[number])  # the second one breaks off

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
