"""`make pictures`: takes the README's pictures of the real page, with the real bot."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demo.page.browser import MISSING, find, open_browser
from demo.page.reasons import REASONS
from demo.page.run import populate
from demo.page.server import PageServer
from sandbox.bot_environment import BotEnvironment

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
_WIDE: Any = {"width": 1280, "height": 800}
_PHONE: Any = {"width": 390, "height": 780}
# The second of the clip that the pictures show.
_SHOWN_SECOND = 3


async def draw(folder: Path) -> None:
    """Write all pictures into `folder`."""
    with tempfile.TemporaryDirectory() as data:
        async with BotEnvironment(Path(data)) as env, open_browser() as browser:
            populate(env)
            async with PageServer(env, 0) as server:
                server.speed.factor = 0
                server.bot.start()
                await _story(env, browser, server.url, folder)
            env.check()


async def _story(env: BotEnvironment, browser: Browser, url: str, folder: Path) -> None:
    page = await browser.new_page(viewport=_WIDE, color_scheme="dark")
    await page.goto(url)
    await page.locator("[data-state=running]").wait_for()
    await page.locator(".welcome button").click()
    made = next(iter(env.api.tasks.values()))
    await page.locator("#composer-text").fill(f"/veo track id:{made.id} note:harbour at dawn")
    await page.keyboard.press("Enter")
    made.proceed()
    await page.locator(".message", has_text="when asked at").wait_for()
    await page.locator(".welcome").wait_for(state="detached")
    await page.screenshot(path=folder / "card.png")
    made.complete()
    await _show_frame(page)
    await page.screenshot(path=folder / "result.png")
    await _phone(browser, url, folder)
    await _failure(env, page, folder)


async def _phone(browser: Browser, url: str, folder: Path) -> None:
    phone = await browser.new_page(viewport=_PHONE, color_scheme="light")
    await phone.goto(url)
    await _show_frame(phone)
    await phone.screenshot(path=folder / "phone.png")
    await phone.close()


async def _failure(env: BotEnvironment, page: Page, folder: Path) -> None:
    await page.emulate_media(color_scheme="light")
    await page.locator(".channel", has_text="storyboards").click()
    refused = env.api.create("vgen_9f27c1d08b3e")
    await page.locator("#composer-text").fill(f"/veo track id:{refused.id} note:poster for the premiere")
    await page.keyboard.press("Enter")
    await page.locator(".message", has_text="Tracking a Veo task").wait_for()
    refused.fail(next(iter(REASONS.values())))
    await page.locator(".message", has_text="The video API says:").wait_for()
    await page.locator(".message", has_text="failed: # storyboards").wait_for()
    await page.locator(".welcome").wait_for(state="detached")
    await page.screenshot(path=folder / "failure.png")


async def _show_frame(page: Page) -> None:
    """Show a fixed frame in the player, and wait until it is loaded."""
    video = page.locator("video")
    await video.wait_for()
    await page.locator(".message", has_text="completed: #").wait_for()
    await video.evaluate(
        """(video, second) => new Promise((done) => {
            video.addEventListener("seeked", () => done(null), { once: true });
            video.muted = true;
            video.play().then(() => {
                video.pause();
                video.currentTime = second;
            });
        })""",
        _SHOWN_SECOND,
    )
    await page.wait_for_function("() => document.querySelector('video').readyState === 4")


def main() -> int:
    if find() is None:
        print(MISSING, file=sys.stderr)
        return 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    asyncio.run(draw(FOLDER))
    for path in sorted(FOLDER.glob("*.png")):
        print(f"{path.relative_to(Path.cwd())}  {path.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
