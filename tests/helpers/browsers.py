"""Chromium for the tests of pages."""

from __future__ import annotations

import os
import shutil

import pytest

QUIET = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]


def find_chromium() -> str:
    """The path of Chromium; skips the test if there is none, unless this machine must have one."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    path = os.environ.get("STYLIZE_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if path is None and os.environ.get("STYLIZE_REQUIRE_CHROMIUM") == "1":
        pytest.fail("STYLIZE_REQUIRE_CHROMIUM is set, but there is no Chromium")
    if path is None:
        pytest.skip("no Chromium")
    return path
