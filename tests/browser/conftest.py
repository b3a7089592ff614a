"""Chromium and readers of the demo article for the browser tests."""

import shutil
from collections.abc import Callable, Iterator

import pytest
from demo_window import ARGUMENTS, DemoWindow
from playwright.sync_api import Browser, sync_playwright
from server import RealServer, server, start_server
from waiting import PATIENCE_S

__all__ = ["browser", "reader", "server", "start_server"]

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")
Reader = Callable[..., DemoWindow]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium. One per module: a running Playwright keeps asyncio tests from running."""
    path = next(found for name in CHROMIUMS if (found := shutil.which(name)))
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=path, args=ARGUMENTS, timeout=PATIENCE_S * 1000
        )
        yield chromium
        chromium.close()


@pytest.fixture
def reader(browser: Browser, server: RealServer) -> Iterator[Reader]:
    """Open windows as different users. At the end none of them may have complained of anything."""
    windows: list[DemoWindow] = []

    def join(user: str, name: str = "", *, live: bool = True, **settings: object) -> DemoWindow:
        http = str(settings.pop("http", server.http))
        window = DemoWindow(browser, http, user, name, **settings)  # type: ignore[arg-type]
        windows.append(window)
        if live:
            window.await_link("live")
        return window

    yield join
    for window in windows:
        window.close()
    assert [error for window in windows for error in window.errors] == []
