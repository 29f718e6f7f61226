"""The page in headless Chromium: every path clicked, nothing asked of other hosts, at two widths."""

from __future__ import annotations

import gc
import itertools
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from playwright.sync_api import Browser, Page, expect, sync_playwright
from typer.testing import CliRunner

from browsers import QUIET, find_chromium
from media import frames, make_video
from ports import free_port
from stylize import Stylizer, load_stylizer
from stylize.cli import app
from stylize.networks import Networks
from stylize.page import page as web
from stylize.page.local import is_loopback
from stylize.page.studio import Studio

pytest.importorskip("gradio")
pytest.importorskip("playwright")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of Gradio and what it stands on
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
SHOTS = os.environ.get("STYLIZE_SCREENSHOTS")
"""A folder for pictures of the page, for people to look at."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=find_chromium(), args=QUIET)
        yield launched
        launched.close()


@pytest.fixture
def served(tiny: Networks, tmp_path: Path) -> Iterator[tuple[Studio, str]]:
    studio, port = Studio(Stylizer(tiny), tmp_path / "studio"), free_port()
    blocks = web.serve(studio, host="127.0.0.1", port=port, token=None, max_upload="200kb")
    yield studio, f"http://127.0.0.1:{port}"
    studio.close()
    blocks.close()


@pytest.fixture
def page(served: tuple[Studio, str], browser: Browser) -> Iterator[Page]:
    """The page, which may ask nothing of another host and have no error in its console."""
    opened, elsewhere, errors = browser.new_page(viewport={"width": 1400, "height": 1000}), [], []
    opened.on("request", lambda r: None if r.url.startswith((served[1], "data:", "blob:")) else elsewhere.append(r.url))
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.goto(served[1])
    opened.wait_for_selector("#run")
    yield opened
    opened.close()
    assert (elsewhere, errors) == ([], [])


def upload(page: Page, path: Path) -> None:
    page.set_input_files("#video input[type=file]", str(path))


def say(page: Page, words: str) -> None:
    page.locator("#prompt textarea, #prompt input").first.fill(words)


def picture(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"), full_page=True)


def test_from_upload_to_download(page: Page, served: tuple[Studio, str], tmp_path: Path) -> None:
    upload(page, make_video(tmp_path / "a holiday.mp4", 12, width=128, height=96))
    expect(page.locator("#video video")).to_be_visible(timeout=60_000)
    say(page, "ink")
    page.click("#preview")
    expect(page.locator("#sheet img")).to_be_visible(timeout=60_000)
    expect(page.locator("#message")).to_contain_text("all 12 frames will take about")
    page.click("#run")
    expect(page.locator("#status")).to_contain_text("Done: 12 frames", timeout=60_000)
    expect(page.locator("#wipe video")).to_have_count(2)
    films = page.locator("#wipe video")
    page.wait_for_function("[...document.querySelectorAll('#wipe video')].every(v => v.readyState >= 2 && !v.error)")
    page.locator("#wipe input[type=range]").fill("20")
    assert page.locator(".stylize-wipe").evaluate("w => w.style.getPropertyValue('--edge')") == "20%"
    page.click("#wipe button")
    page.wait_for_function("[...document.querySelectorAll('#wipe video')].every(v => v.currentTime > 0)")
    assert films.first.evaluate("v => v.paused") is False
    picture(page, "done")
    with page.expect_download() as download:
        page.click("#wipe a[download]")
    assert download.value.suggested_filename == "a-holiday-ink-restyled.mp4"
    (order,) = served[0].orders()
    assert len(frames(order.output)) == 12 and Path(download.value.path()).read_bytes() == order.output.read_bytes()
    page.click("#remove")
    expect(page.locator("#wipe video")).to_have_count(0)
    assert served[0].orders() == [] and not order.folder.exists()


def test_stop_go_on_and_come_back(
    page: Page, served: tuple[Studio, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode, batches, may_go_on = Networks.decode, itertools.count(), threading.Event()

    def held(*given: Any) -> torch.Tensor:
        if next(batches) > 2:  # else a fast run ends before a slow browser has asked for it
            may_go_on.wait(60)
        return decode(*given)

    monkeypatch.setattr(Networks, "decode", held)
    upload(page, make_video(tmp_path / "long.mp4", 400))
    expect(page.locator("#video video")).to_be_visible(timeout=60_000)
    say(page, "ink")
    page.click("#run")
    expect(page.locator("#status")).to_contain_text("frames/s", timeout=60_000)
    expect(page.locator("#status")).to_contain_text("left")
    page.click("#stop")
    may_go_on.set()
    expect(page.locator("#status")).to_contain_text("Stopped at", timeout=60_000)
    may_go_on.clear()
    page.reload()  # the page is only a view: the run is there again
    expect(page.locator("#status")).to_contain_text("Stopped at", timeout=60_000)
    page.click("#go-on")
    expect(page.locator("#stop")).to_be_enabled(timeout=60_000)
    page.click("#stop")
    may_go_on.set()
    expect(page.locator("#go-on")).to_be_enabled(timeout=60_000)


def test_errors_are_the_command_lines_sentences(page: Page, tmp_path: Path) -> None:
    page.click("#run")
    expect(page.locator("#message [role=alert]")).to_have_text("there is no video yet: drop one on the page")
    upload(page, make_video(tmp_path / "in.mp4", 3))
    expect(page.locator("#video video")).to_be_visible(timeout=60_000)
    page.click("#preview")
    expect(page.locator("#message [role=alert]")).to_contain_text("the prompt is empty: say how")
    say(page, "ink")
    page.click("#preview")
    expect(page.locator("#sheet img")).to_be_visible(timeout=60_000)
    expect(page.locator("#message [role=alert]")).to_have_count(0)


def test_too_large_a_file_is_refused(page: Page, tmp_path: Path) -> None:
    (tmp_path / "huge.mp4").write_bytes(b"\0" * 300_000)
    upload(page, tmp_path / "huge.mp4")
    expect(page.get_by_text("exceed the maximum allowed size").first).to_be_visible(timeout=60_000)
    expect(page.locator("#video video")).to_have_count(0)


def test_looks_knobs_and_two_widths(browser: Browser, tmp_path: Path) -> None:
    studio, port = Studio(load_stylizer("pocket"), tmp_path / "studio"), free_port()
    blocks = web.serve(studio, host="127.0.0.1", port=port, token=None, max_upload="10mb")
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.goto(f"http://127.0.0.1:{port}")
    page.locator("#looks button").nth(2).click()
    expect(page.locator("#prompt textarea, #prompt input").first).to_have_value("oil painting")
    expect(page.locator("#looks img")).to_have_count(len(studio.stylizer.networks.vocabulary.looks))  # type: ignore[union-attr]
    page.locator("#knobs button").first.click()
    expect(page.get_by_text("how tightly forms are held")).to_be_visible()
    picture(page, "wide")
    page.set_viewport_size({"width": 400, "height": 800})
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    picture(page, "narrow")
    page.close()
    studio.close()
    blocks.close()


def test_a_token_is_asked_for(tiny: Networks, browser: Browser, tmp_path: Path) -> None:
    studio, port = Studio(Stylizer(tiny), tmp_path / "studio"), free_port()
    blocks = web.serve(studio, host="127.0.0.1", port=port, token="s3cret", max_upload="10mb")
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{port}")
    for password, admitted in (("wrong", False), ("s3cret", True)):
        page.locator("input").nth(0).fill("anybody")
        page.locator("input[type=password]").fill(password)
        page.get_by_role("button", name="Login").click()
        if admitted:
            page.wait_for_selector("#run", timeout=60_000)
        else:
            page.wait_for_timeout(1000)
            assert page.locator("#run").count() == 0
    page.close()
    studio.close()
    blocks.close()


@pytest.mark.parametrize(
    ("host", "only_here"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("box", False)]
)
def test_what_only_this_machine_can_reach(host: str, only_here: bool) -> None:
    assert is_loopback(host) is only_here


def test_the_command(monkeypatch: pytest.MonkeyPatch, tiny_model: Path, tmp_path: Path) -> None:
    calls: list[dict[str, Any]] = []

    class Served:
        def block_thread(self) -> None:
            pass

    def serve(studio: Studio, **options: Any) -> Served:
        calls.append(options)
        return Served()

    monkeypatch.setattr(web, "serve", serve)
    arguments = ["ui", "--model", str(tiny_model), "--folder", str(tmp_path / "runs")]
    here = CliRunner().invoke(app, arguments)
    everywhere = CliRunner().invoke(app, [*arguments, "--host", "0.0.0.0"])
    unset = CliRunner().invoke(app, [*arguments, "--host", "0.0.0.0", "--token", ""])
    assert unset.exit_code == 0 and len(calls.pop()["token"]) > 12
    huge = CliRunner().invoke(app, [*arguments, "--max-upload", "huge"])
    assert huge.exit_code == 1 and "'huge' is not a size: write it as 500mb" in huge.stderr
    assert (here.exit_code, everywhere.exit_code) == (0, 0), here.output + everywhere.output
    assert "http://127.0.0.1:7860 shows the page" in here.stderr and "password" not in here.stderr
    assert calls[0]["token"] is None and len(calls[1]["token"]) > 12 and calls[1]["token"] in everywhere.stderr
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.undo()
        port = taken.getsockname()[1]
        refused = CliRunner().invoke(app, [*arguments, "--port", str(port)])
    assert refused.exit_code == 1 and f"port {port} cannot be had: choose another with --port" in refused.stderr
    del refused
    gc.collect()  # Gradio leaves the socket open with which it found the port taken; here that warning is ignored
