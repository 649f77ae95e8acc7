"""`make pictures`: takes the pictures in docs/pictures/ of the real page, with the real bot."""

from __future__ import annotations

import asyncio
import base64
import sys
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from demo.page.browser import MISSING, find, open_browser
from demo.page.reasons import REASONS
from demo.page.run import populate
from demo.page.server import PageServer
from sandbox.bot_environment import BotEnvironment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, Page

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
_README: Any = {"width": 1180, "height": 930}
_WIDE: Any = {"width": 1280, "height": 800}
_PHONE: Any = {"width": 390, "height": 844}
_WITHOUT_PANEL = "localStorage.setItem('veo-courier-inspector', 'folded')"
# The second of the film that the pictures show.
_SHOWN_SECOND = 3
# Of 100. Lower ones blur the small print.
_QUALITY = 80
_IDS = ("vgen_9e3779b97f4a", "vgen_3c6ef372fe94", "vgen_daa66d2c7dde")
# Milliseconds, for machines that have much to do.
_TIMEOUT = 120_000
Scheme = Literal["dark", "light"]


async def draw(folder: Path) -> None:
    """Write all pictures into `folder`."""
    with tempfile.TemporaryDirectory() as data:
        async with BotEnvironment(Path(data)) as env, open_browser() as browser:
            populate(env)
            async with PageServer(env, 0) as server:
                server.speed.factor = 0
                server.bot.start()
                await _Studio(env, browser, server.url, folder).draw()
            env.check()


class _Studio:
    """Takes one picture after the other, while the people in the channel use the bot."""

    def __init__(self, env: BotEnvironment, browser: Browser, url: str, folder: Path) -> None:
        self._env = env
        self._browser = browser
        self._url = url
        self._folder = folder

    async def draw(self) -> None:
        await self._result()
        await self._phone("phone.webp", "light")
        await self._panel()
        await self._chinese()

    async def _result(self) -> None:
        """The README's picture: a card with three videos, and the first one in the channel."""
        env = self._env
        first, second, _ = (env.api.create(task_id, status="queued") for task_id in _IDS)
        async with self._page("dark", _README) as page:
            await _send(page, f"/veo track id:{' '.join(_IDS)} note:harbour at dawn")
            await _see(page, "in the queue since", times=3)
            second.proceed()
            await _see(page, "being generated since")
            first.complete()
            await _see(page, "see the video")
            await _show_frame(page)
            await page.screenshot(path=self._folder / "result.png")

    async def _phone(self, name: str, scheme: Scheme) -> None:
        async with self._page(scheme, _PHONE) as page:
            await _show_frame(page)
            (self._folder / name).write_bytes(await _webp(page))

    async def _panel(self) -> None:
        """The whole page in the light theme: a failure, and what happens behind the scenes."""
        refused = self._env.api.create("vgen_1715609f7c72")
        waiting = self._env.api.create("vgen_78dde6e5fd28", status="processing")
        async with self._page("light", _WIDE, panel=True) as page:
            await page.locator(".channel", has_text="storyboards").click()
            await _send(page, f"/veo track id:{refused.id} {waiting.id} note:poster for the premiere")
            await _see(page, "being generated since")
            refused.fail(next(iter(REASONS.values())))
            await _see(page, "see why")
            await _see(page, "The video API said:")
            await _without_focus(page)
            (self._folder / "panel.webp").write_bytes(await _webp(page))

    async def _chinese(self) -> None:
        """A server and a person whose Discord is in Chinese, on a phone in the dark theme."""
        env = self._env
        studio = env.discord.world.guilds[max(env.discord.world.guilds)]
        studio.preferred_locale = env.alice.locale = "zh-CN"
        task = env.api.create("vgen_abc123def456")
        async with self._page("dark", _WIDE) as page:
            await page.locator(".server").nth(1).click()
            await _send(page, f"/veo track id:{task.id} note:黎明的港口")
            await page.locator(".container").wait_for()
            task.complete()
            await page.locator("video").wait_for()
            await page.set_viewport_size(_PHONE)
            await _show_frame(page)
            (self._folder / "chinese.webp").write_bytes(await _webp(page))

    @asynccontextmanager
    async def _page(self, scheme: Scheme, viewport: Any, *, panel: bool = False) -> AsyncIterator[Page]:
        """The page in a fresh browser context, with the bot on line."""
        context = await self._browser.new_context(viewport=viewport, color_scheme=scheme)
        context.set_default_timeout(_TIMEOUT)
        if not panel:
            await context.add_init_script(_WITHOUT_PANEL)
        page = await context.new_page()
        await page.goto(self._url)
        await page.locator("[data-state=running]").wait_for(state="attached")
        yield page
        await context.close()


async def _send(page: Page, command: str) -> None:
    await page.locator("#composer-text").fill(command)
    await page.keyboard.press("Enter")
    await page.locator(".welcome").wait_for(state="detached")


async def _see(page: Page, text: str, *, times: int = 1) -> None:
    """Wait until the channel's messages show this text so often."""
    await page.wait_for_function(
        "([text, times]) => document.getElementById('messages').textContent.split(text).length > times",
        arg=[text, times],
    )


async def _show_frame(page: Page) -> None:
    """Show a fixed frame of the film in the player, and wait until it is drawn."""
    await page.locator("video").wait_for()
    await _without_focus(page)
    await page.locator("video").evaluate(
        """(video, second) => new Promise((done) => {
            video.requestVideoFrameCallback(() => done(null));
            video.preload = "auto";
            video.currentTime = second;
        })""",
        _SHOWN_SECOND,
    )


async def _without_focus(page: Page) -> None:
    await page.evaluate("document.activeElement.blur()")


async def _webp(page: Page) -> bytes:
    """The page as WebP, which Playwright's own screenshots do not know."""
    session = await page.context.new_cdp_session(page)
    answer = await session.send("Page.captureScreenshot", {"format": "webp", "quality": _QUALITY})
    return base64.b64decode(answer["data"])


def main() -> int:
    if find() is None:
        print(MISSING, file=sys.stderr)
        return 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    asyncio.run(draw(FOLDER))
    for path in sorted([*FOLDER.glob("*.png"), *FOLDER.glob("*.webp")]):
        print(f"{path.relative_to(Path.cwd())}  {path.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
