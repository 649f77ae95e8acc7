"""The system's Chromium, headless and without background traffic, for the pictures and the page's tests."""

from __future__ import annotations

import shutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from playwright.async_api import async_playwright

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    # Needed in containers, where Chromium's sandbox gets no user namespace.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
MISSING = "no Chromium here: apt install chromium (or chromium-browser, google-chrome)"


def find() -> str | None:
    """The path of the system's Chromium, or None. Debian's plays H.264."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


@asynccontextmanager
async def open_browser() -> AsyncIterator[Browser]:
    """Run a headless browser inside the block. Raises FileNotFoundError when there is none."""
    path = find()
    if path is None:
        raise FileNotFoundError(MISSING)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=_FLAGS)
        try:
            yield browser
        finally:
            await browser.close()
