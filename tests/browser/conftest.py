"""A browser for the pages: the Chromium of the system, without a window.

``tox run -e browser`` installs playwright; the browser is the system's own, and its tests are
skipped, each by name, on a machine that has none.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))  # report_made

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="session")
def browser():
    """The browser, or a skip of the test that wants it."""
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        pytest.skip(f"no browser on this machine: none of {', '.join(_NAMES)} is on PATH")
    from playwright import sync_api

    with sync_api.sync_playwright() as started:
        # Root, as in a container, has no sandbox; the pages are this test's own files.
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        opened = started.chromium.launch(
            executable_path=path, args=["--no-sandbox"] if root else []
        )
        yield opened
        opened.close()


class Opened:
    """A page that is open, with what it said and asked for."""

    def __init__(self, browser, path: Path, **more) -> None:
        self.messages: list[str] = []
        self.requests: list[str] = []
        self.context = browser.new_context(**more)
        self.page = self.context.new_page()
        self.page.on("console", lambda one: self.messages.append(one.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.on("request", lambda one: self.requests.append(one.url))
        self.page.goto(path.as_uri())


@pytest.fixture
def opened(browser, tmp_path):
    """Open the page of a report; at its end nothing was said and nothing else asked for."""
    pages: list[Opened] = []

    def open_page(text: str, **more) -> Opened:
        path = tmp_path / "page.html"
        path.write_text(text, encoding="utf-8")
        pages.append(Opened(browser, path, **more))
        return pages[-1]

    yield open_page
    for one in pages:
        one.context.close()
        assert one.messages == []
        assert len(one.requests) == 1
