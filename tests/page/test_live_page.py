"""The page of a live picture: who is let in, what can be changed, and what a browser shows."""

from __future__ import annotations

import http.client
import io
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from browsers import QUIET, find_chromium
from media import make_video
from stylize import Style, StylizeError, Stylizer
from stylize.decode.live import LiveReader
from stylize.decode.live_address import parse_live_address
from stylize.networks import Networks
from stylize.page.latency import LatencyMeter
from stylize.page.live_page import COOKIE, LivePage
from stylize.runs.live.session import Live

STYLE = Style(prompt="ink", steps=2, strength=0.5, fit=128)
SHOTS = os.environ.get("STYLIZE_SCREENSHOTS")


class Served:
    """A live picture of the test source, shown on the page by a thread."""

    def __init__(self, stylizer: Stylizer, style: Style, source: str = "test:", token: str | None = None) -> None:
        self._source = LiveReader(parse_live_address(source)).__enter__()
        self.live = Live(stylizer, self._source, style)
        self.page = LivePage(self.live, source, host="127.0.0.1", port=0, token=token).__enter__()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self) -> None:
        for frame in self.live:
            self.page.show(frame)

    def ask(
        self, path: str, method: str = "GET", body: Any = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.page.port, timeout=10)
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, dict(answer.getheaders()), content

    def close(self) -> None:
        self.live.stop()
        self._thread.join()
        self.page.__exit__()
        self._source.__exit__()


@pytest.fixture
def served(tiny: Networks) -> Iterator[Served]:
    made = Served(Stylizer(tiny), STYLE)
    yield made
    made.close()


def wait_for(served: Served, frames: int) -> None:
    goal = served.live.figures.frames + frames
    while served.live.figures.frames < goal:
        threading.Event().wait(0.02)


def test_the_state(served: Served) -> None:
    wait_for(served, 2)
    status, _, content = served.ask("/state")
    told = json.loads(content)
    assert status == 200 and told["style"]["prompt"] == "ink" and told["style"]["strength"] == 0.5
    assert "frames/s at 128x72" in told["figures"]


def test_the_picture(served: Served) -> None:
    """MJPEG whose parts are whole JPEGs, each as long as it says."""
    connection = http.client.HTTPConnection("127.0.0.1", served.page.port, timeout=10)
    connection.request("GET", "/picture.mjpg")
    stream = connection.getresponse()
    assert stream.getheader("Content-Type") == "multipart/x-mixed-replace; boundary=picture"
    assert stream.readline() == b"--picture\r\n"
    for _ in range(3):
        assert stream.readline() == b"Content-Type: image/jpeg\r\n"
        length = int(stream.readline().split(b":")[1])
        assert stream.readline() == b"\r\n"
        picture = Image.open(io.BytesIO(stream.read(length)))
        picture.load()
        assert (picture.format, picture.size) == ("JPEG", (128, 72))
        assert stream.readline() == b"\r\n" and stream.readline() == b"--picture\r\n"
    connection.close()
    still = Image.open(io.BytesIO(served.ask("/still.png")[2]))
    assert still.size == (128, 72)


def test_a_change(served: Served) -> None:
    status, _, content = served.ask("/style", "POST", json.dumps({"prompt": "woodcut", "strength": 0.75}))
    assert status == 200 and json.loads(content)["style"]["prompt"] == "woodcut"
    assert served.live.style == replace(STYLE, prompt="woodcut", strength=0.75)
    wait_for(served, 3)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"prompt": ""}', "the prompt is empty"), ('{"strength": 7}', "strength 7 is out of range"),
        ('{"strength": "much"}', "no meaning"), ('{"depth_from": "/etc/passwd"}', "only these can be changed"),
        ('{"reference": "/etc/passwd"}', "no meaning"), ("[1]", "only these"), ("what", "only these"),
        ('{"prompt": 7}', "no meaning"), ('{"temporal": null}', "no meaning"), ('{"style_weight": true}', "no meaning"),
        ('{"strength": NaN}', "no meaning"), ('{"prompt": "4s: ink; 0s: oil"}', "comes after"),
        ('{"prompt": "\\ud800"}', "no meaning"), ("[" * 40000, "only these"), ('{"x": "' + "y" * 100_000, "only these"),
    ],
)  # fmt: skip
def test_changes_without_meaning(served: Served, body: str, said: str) -> None:
    status, _, content = served.ask("/style", "POST", body)
    assert status == 400 and said in json.loads(content)["message"]
    assert served.live.style == STYLE


def test_a_reference(served: Served) -> None:
    picture = io.BytesIO()
    Image.fromarray(np.full((32, 32, 3), 120, np.uint8)).save(picture, "PNG")
    status, _, content = served.ask("/reference", "POST", picture.getvalue())
    assert status == 200 and json.loads(content)["style"]["reference"]
    kept = Path(str(served.live.style.reference))
    assert kept.is_file()
    for _ in range(3):
        served.ask("/reference", "POST", picture.getvalue())
    assert len(list(kept.parent.iterdir())) <= 2, "old ones go"
    status, _, content = served.ask("/reference", "POST", b"not a picture")
    assert status == 400 and "not a picture" in json.loads(content)["message"]
    assert served.ask("/style", "POST", '{"reference": null}')[0] == 200 and served.live.style.reference is None


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Host": "evil.example:80"}, {"Origin": "http://evil.example"}, {"Origin": "null"}],
)
def test_other_sites_are_kept_out(served: Served, headers: dict[str, str]) -> None:
    for path, method in (("/state", "GET"), ("/picture.mjpg", "GET"), ("/style", "POST")):
        assert served.ask(path, method, '{"prompt": "x"}' if method == "POST" else None, **headers)[0] == 403
    assert served.live.style == STYLE


def test_a_token(tiny: Networks) -> None:
    served = Served(Stylizer(tiny), STYLE, token="secret")
    try:
        assert served.page.address.endswith("/?token=secret")
        assert served.ask("/")[0] == 403 and served.ask("/?token=wrong")[0] == 403
        assert served.ask("/picture.mjpg", Cookie=f"{COOKIE}=wrong")[0] == 403
        status, headers, _ = served.ask("/?token=secret")
        assert status == 303 and headers["location"] == "/" and "HttpOnly" in headers["set-cookie"]
        assert served.ask("/state", Cookie=headers["set-cookie"].split(";")[0])[0] == 200
    finally:
        served.close()


def test_only_looks_are_files(served: Served) -> None:
    for path in ("/looks/..%2f..%2fpage.jpg", "/looks/nothing.jpg", "/etc/passwd", "/templates/live.html"):
        assert served.ask(path)[0] == 404


def test_a_port_that_is_taken(served: Served) -> None:
    with pytest.raises(StylizeError, match=f"127.0.0.1 port {served.page.port} cannot be had: choose another"):
        LivePage(served.live, "test:", host="127.0.0.1", port=served.page.port, token=None)


def test_a_port_that_is_none(served: Served) -> None:
    with pytest.raises(StylizeError, match="port 70000 cannot be had"):
        LivePage(served.live, "test:", host="127.0.0.1", port=70000, token=None)


def test_a_viewer_sees_no_old_picture(served: Served) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.page.port, timeout=10)
    connection.request("GET", "/picture.mjpg")
    connection.getresponse().read(4000)
    connection.close()
    deadline = 100
    while served.page._watchers and deadline:
        threading.Event().wait(0.05)
        deadline -= 1
    assert not served.page._pictures


def test_nothing_is_encoded_for_nobody(served: Served) -> None:
    wait_for(served, 3)
    assert not served.page._pictures


@pytest.mark.slow
def test_glass_to_glass() -> None:
    """A viewer reads the time in the restyled picture; it is never younger than what the networks took."""
    from stylize import load_stylizer

    said = list[str]()
    served = Served(load_stylizer("pocket", device="cpu"), Style(prompt="oil painting", fit=192))
    try:
        with LatencyMeter("127.0.0.1", served.page.port, None, said.append) as meter:
            wait_for(served, 60)
        assert (
            not meter._thread.is_alive()
            and len(meter.delays) >= 10
            and min(meter.delays) > 10
            and sorted(meter.delays)[5] < 3000
        )
    finally:
        served.close()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::stylize.errors.PromptWarning")
@pytest.mark.parametrize("width", [1280, 420])
def test_in_a_browser(tmp_path: Path, width: int) -> None:
    """A file as a looped camera: the picture moves, a click changes the look, full screen; no other host is asked."""
    from stylize import load_stylizer

    chromium = find_chromium()
    film = make_video(tmp_path / "in.mp4", 20, width=192, height=108)
    served = Served(load_stylizer("pocket", device="cpu"), Style(prompt="oil painting", fit=192), f"loop:{film}")
    errors, elsewhere = list[str](), list[str]()
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=QUIET)
            page = browser.new_page(viewport={"width": width, "height": 900})
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("request", lambda r: None if r.url.startswith(served.page.address) else elsewhere.append(r.url))
            page.goto(served.page.address)
            check_page(page, served)
            if SHOTS:
                page.screenshot(path=str(Path(SHOTS) / f"live-{width}.png"), full_page=True)
            browser.close()
    finally:
        served.close()
    assert errors == [] and all(url.startswith("data:") for url in elsewhere)


def check_page(page: Page, served: Served) -> None:
    """Looks at what a person would."""
    expect(page.locator("#figures")).to_contain_text("frames/s at 192x108", timeout=60_000)
    page.wait_for_function("document.getElementById('picture').naturalWidth == 192")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing is cut off"
    first = page.locator("#picture").screenshot()
    wait_for(served, 8)
    assert page.locator("#picture").screenshot() != first
    page.click("#looks button[data-words*='ink']")
    expect(page.locator("input[name=prompt]")).to_have_value("ink drawing")
    page.wait_for_timeout(300)
    assert served.live.style.prompt == "ink drawing"
    page.fill("input[name=prompt]", "a stained glass zebra")
    page.keyboard.press("Enter")
    expect(page.locator("#message")).to_contain_text("does not know: zebra")
    page.locator("input[name=strength]").fill("0.4")
    page.wait_for_timeout(300)
    assert served.live.style.strength == 0.4 and served.live.style.prompt == "a stained glass zebra"
    page.click("#full")
    page.wait_for_function("document.fullscreenElement && document.fullscreenElement.id == 'stage'")
    page.click("#full")
    page.wait_for_function("!document.fullscreenElement")
