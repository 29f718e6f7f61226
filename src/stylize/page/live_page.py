"""The page of a live picture: the picture as MJPEG, full screen, and controls that change the look while it runs."""

from __future__ import annotations

import asyncio
import hmac
import json
import math
import secrets
import socket
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import cv2
import uvicorn
from jinja2 import Environment, PackageLoader
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from stylize.decode import read_picture
from stylize.decode.timecode import BITS, CODE_HEIGHT, COLUMNS
from stylize.errors import StylizeError
from stylize.page.local import LOOKS, is_loopback, list_looks, name_unknown
from stylize.runs.live.session import Live, StyledFrame

TEMPLATES: Any = Environment(loader=PackageLoader("stylize.page"), autoescape=True)
KNOBS = (
    ("strength", "Strength", 0.05, 1), ("style_weight", "Style weight", 0, 1.5), ("structure", "Structure", 0, 1),
    ("temporal", "Smoothness over time", 0, 1), ("reference_weight", "Reference weight", 0, 1.5),
)  # fmt: skip
"""Fields of the style, their titles and ranges."""
CHANGEABLE = {"prompt", "reference", *(name for name, *_ in KNOBS)}
QUALITY = 88
"""Of JPEG."""
WAITING = 16
"""Pictures that wait for their moment at most."""
LARGEST_REFERENCE, LARGEST_CHANGE = 32 << 20, 64 << 10
"""Bytes."""
EVERYWHERE = ("0.0.0.0", "::")
"""Addresses that listen to every network, and that nobody can open."""
COOKIE = "stylize-token"


class _Shown(NamedTuple):
    number: int
    due: float
    jpeg: bytes


class LivePage:
    """Serves the page in a thread; a context manager. `show` gives it the next picture.

    Args:
        source: the name of the source, as the page shows it.
        token: must stand in the address once (`?token=...`), if there is one.

    Raises:
        StylizeError: the address or the port is not available.
    """

    def __init__(self, live: Live, source: str, *, host: str, port: int, token: str | None) -> None:
        self._live, self._source, self._host, self._token = live, source, host, token
        self._pictures, self._number, self._watchers = deque[_Shown](maxlen=WAITING), 0, 0
        self._newest: StyledFrame | None = None
        self._socket = _bind(host, port)
        self._uploads = tempfile.TemporaryDirectory(prefix="stylize-live-")
        self.port = self._socket.getsockname()[1]
        app = Starlette(routes=[Route(path, act, methods=methods) for path, act, methods in self._list_routes()])
        guarded = _Guard(app, self.port, host, token)
        config = uvicorn.Config(guarded, log_level="error", lifespan="off", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        sockets = [self._socket]
        self._thread = threading.Thread(target=self._server.run, args=(sockets,), name="stylize-page", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(3.0)
        self._socket.close()
        self._uploads.cleanup()

    @property
    def address(self) -> str:
        """The page's address, with the token that it asks for."""
        host = socket.gethostname() if self._host in EVERYWHERE else self._host
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{self.port}/{f'?token={self._token}' if self._token else ''}"

    def show(self, frame: StyledFrame) -> None:
        """Shows a frame from its moment on; it is encoded only while somebody looks."""
        self._newest, self._number = frame, self._number + 1
        if self._watchers:
            bgr = cv2.cvtColor(frame.picture, cv2.COLOR_RGB2BGR)
            jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
            self._pictures.append(_Shown(self._number, frame.due, jpeg))

    def _list_routes(self) -> list[tuple[str, Callable[[Request], Awaitable[Response]], list[str]]]:
        return [
            ("/", self._show_page, ["GET"]), ("/picture.mjpg", self._stream, ["GET"]),
            ("/still.png", self._show_still, ["GET"]), ("/state", self._tell_state, ["GET"]),
            ("/style", self._change_style, ["POST"]), ("/reference", self._take_reference, ["POST"]),
            ("/looks/{name}.jpg", self._show_look, ["GET"]), ("/timecode", self._show_timecode, ["GET"]),
            ("/clock", self._tell_clock, ["GET"]),
        ]  # fmt: skip

    async def _show_page(self, _: Request) -> Response:
        width, height = self._live.figures.size
        looks = list_looks(self._live.vocabulary)
        text = TEMPLATES.get_template("live.html").render(
            source=self._source, looks=looks, knobs=KNOBS, width=width or 16, height=height or 9
        )
        return HTMLResponse(text)

    async def _show_timecode(self, _: Request) -> Response:
        page = TEMPLATES.get_template("timecode.html")
        return HTMLResponse(page.render(columns=COLUMNS, bits=BITS, height=CODE_HEIGHT))

    async def _tell_clock(self, _: Request) -> Response:
        return JSONResponse({"now": time.monotonic() * 1000})

    async def _show_look(self, request: Request) -> Response:
        name = request.path_params["name"]
        known = name in list_looks(self._live.vocabulary)
        return FileResponse(LOOKS / f"{name}.jpg") if known else Response(status_code=404)

    async def _show_still(self, _: Request) -> Response:
        if self._newest is None:
            return Response(status_code=404)
        bgr = cv2.cvtColor(self._newest.picture, cv2.COLOR_RGB2BGR)
        return Response(cv2.imencode(".png", bgr)[1].tobytes(), media_type="image/png")

    async def _stream(self, _: Request) -> Response:
        return StreamingResponse(self._send_pictures(), media_type="multipart/x-mixed-replace; boundary=picture")

    async def _send_pictures(self) -> AsyncIterator[bytes]:
        """Yields the newest picture whose moment has come, each once."""
        self._watchers += 1
        try:
            last = 0
            yield b"--picture\r\n"
            while not self._server.should_exit:
                now = time.monotonic()
                shown = next((one for one in reversed([*self._pictures]) if one.due <= now), None)
                if shown is None or shown.number <= last:
                    await asyncio.sleep(0.004)
                    continue
                last = shown.number
                head = f"Content-Type: image/jpeg\r\nContent-Length: {len(shown.jpeg)}\r\n\r\n"
                # the next part begins at once: Chromium shows a picture when it sees where it ends
                yield head.encode() + shown.jpeg + b"\r\n--picture\r\n"
        finally:
            self._watchers -= 1
            if not self._watchers:
                self._pictures.clear()

    async def _tell_state(self, _: Request) -> Response:
        return JSONResponse(self._describe())

    async def _change_style(self, request: Request) -> Response:
        try:
            changes = json.loads(await _read_body(request, LARGEST_CHANGE) or b"")
        except (ValueError, RecursionError):
            changes = None
        if not isinstance(changes, dict) or not changes.keys() <= CHANGEABLE:
            return JSONResponse({"message": f"only these can be changed: {', '.join(sorted(CHANGEABLE))}"}, 400)
        if not all(map(_has_meaning, changes, changes.values())):
            return JSONResponse(self._describe() | {"message": "this value has no meaning: give another"}, 400)
        return self._apply(changes)

    async def _take_reference(self, request: Request) -> Response:
        if (body := await _read_body(request, LARGEST_REFERENCE)) is None:
            return JSONResponse({"message": "the picture is too large: give one of up to 32 MB"}, 413)
        path = Path(self._uploads.name) / f"{secrets.token_hex(6)}.png"
        path.write_bytes(body)
        try:
            await run_in_threadpool(read_picture, path)
        except StylizeError:
            path.unlink()
            return JSONResponse({"message": "this is not a picture: give a JPEG, PNG or WebP"}, 400)
        for old in path.parent.iterdir():  # the style before has read its own already, or never will
            if old not in (path, Path(str(self._live.style.reference))):
                old.unlink()
        return self._apply({"reference": str(path)})

    def _apply(self, changes: dict[str, Any]) -> Response:
        """Changes the style, and answers with what holds now."""
        try:
            style = replace(self._live.style, **changes)
            unknown = name_unknown(self._live.vocabulary, style.prompt)
            self._live.style = style
        except StylizeError as error:
            return JSONResponse(self._describe() | {"message": str(error)}, 400)
        return JSONResponse(self._describe() | {"message": unknown})

    def _describe(self) -> dict[str, Any]:
        """Returns the state of the live picture for the page."""
        style, figures = self._live.style, self._live.figures
        values = {name: getattr(style, name) for name, *_ in KNOBS}
        values["temporal"] = min(style.temporal_weights.attention, style.temporal_weights.fusion)
        values["strength"] = self._live.strength
        values["structure"] = 1.0 if style.structure is None else style.structure
        shown = {"prompt": style.prompt, "reference": style.reference is not None, **values}
        return {"style": shown, "figures": str(figures), "message": figures.message}


async def _read_body(request: Request, most: int) -> bytes | None:
    """Reads what is sent; `None` if it is too much."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            return None
    return bytes(body)


def _has_meaning(name: str, value: Any) -> bool:
    """Whether a value is of the kind that a field has; a reference is sent by itself, and can only be left out here."""
    if name == "reference":
        return value is None
    if name == "prompt":
        return isinstance(value, str) and value.isprintable()
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


class _Guard:
    """Lets in only who knows the token, and no other site's scripts: a camera's picture is nobody else's business."""

    def __init__(self, app: Starlette, port: int, host: str, token: str | None) -> None:
        self._app, self._port, self._token, self._is_local = app, port, token, is_loopback(host)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        refused = self._refuse(request)
        if refused:
            await JSONResponse({"message": refused}, 403)(scope, receive, send)
            return
        if self._token and request.query_params.get("token"):
            there = Response(status_code=303, headers={"Location": scope["path"]})
            there.set_cookie(COOKIE, self._token, httponly=True, samesite="strict")
            await there(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refuse(self, request: Request) -> str:
        # a foreign name that leads here would let a foreign page read the picture (DNS rebinding)
        name = request.url.hostname or ""
        if self._is_local and not is_loopback(name):
            return "this page is for this machine alone"
        origin = request.headers.get("origin")
        if origin is not None and origin != f"{request.url.scheme}://{request.headers.get('host')}":
            return "another site must not change this page"
        given = request.query_params.get("token") or request.cookies.get(COOKIE) or ""
        if self._token and not hmac.compare_digest(given.encode(), self._token.encode()):
            return "the address lacks the token: open the one that stylize printed"
        return ""


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family)
    try:
        if sys.platform != "win32":  # there it would let two programs share the port
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen()
    except (OSError, OverflowError) as error:
        made.close()
        what = f"{host} port {port} cannot be had"
        raise StylizeError(what, "choose another with --port, or an address of this machine") from error
    return made
