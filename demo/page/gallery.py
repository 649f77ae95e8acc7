"""`python -m demo.page.gallery SAMPLES.json FOLDER`: pictures of sample messages, and a page that shows them.

SAMPLES.json is a list of sections: {"title", "messages": [{"title", "language", "payload", "author",
"private", "now"}]}. The payload is Discord's message: content, components, flags, attachments. Messages of
one section with the same title are translations of each other, and are shown side by side.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from aiohttp import web

from demo.page.browser import MISSING, find, open_browser
from demo.page.samples import LANGUAGES, Sample, load, slug
from sandbox.loopback import LoopbackServer
from sandbox.video_api.clips import FOLDER as CLIPS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from playwright.async_api import Browser, CDPSession, Page

    from demo.page.samples import Section

_STATIC = Path(__file__).parent / "static"
INDEX = "README.md"


class Screen(NamedTuple):
    """`scale`: pixels of the picture for each pixel of the page."""

    name: str
    width: int
    scale: float


PHONE = Screen("phone", 390, 1)
DESKTOP = Screen("desktop", 800, 1)
# Of 100. Lower ones blur the small print.
_QUALITY = 55
# Pixels around the message's content.
_MARGIN = 10


async def draw(sections: list[Section], folder: Path) -> None:
    """Write the pictures and the page into `folder`."""
    application = web.Application()
    application.router.add_static("/static", _STATIC)
    application.router.add_static("/clips", CLIPS)
    async with LoopbackServer(application, 0) as server, open_browser() as browser:
        for screen in (PHONE, DESKTOP):
            await _draw_on(screen, browser, server.url, sections, folder)
    (folder / INDEX).write_text("\n".join(_index(sections)) + "\n", encoding="utf-8")


async def _draw_on(screen: Screen, browser: Browser, url: str, sections: list[Section], folder: Path) -> None:
    viewport: Any = {"width": screen.width, "height": 800}
    context = await browser.new_context(viewport=viewport, color_scheme="dark", timezone_id="UTC")
    page = await context.new_page()
    await page.goto(f"{url}/static/gallery.html")
    await page.wait_for_function("() => 'drawSample' in window")
    session = await context.new_cdp_session(page)
    for section in sections:
        for sample in section.samples:
            if screen is DESKTOP and not sample.is_drawn_wide:
                continue
            picture = await _picture(sample, screen, page, session)
            (folder / _file(section, sample.title, sample.language, screen)).write_bytes(picture)
    await context.close()


async def _picture(sample: Sample, screen: Screen, page: Page, session: CDPSession) -> bytes:
    """The message as WebP, which Playwright's own screenshots do not know."""
    await page.clock.set_fixed_time(sample.now or time.time())
    await page.evaluate("(sample) => window.drawSample(sample)", sample.body)
    box = await page.locator(".message .body").bounding_box()
    assert box is not None
    clip = {name: box[name] - _MARGIN for name in ("x", "y")}
    clip |= {name: box[name] + 2 * _MARGIN for name in ("width", "height")}
    answer = await session.send(
        "Page.captureScreenshot",
        {
            "format": "webp",
            "quality": _QUALITY,
            "captureBeyondViewport": True,
            "clip": clip | {"scale": screen.scale},
        },
    )
    return base64.b64decode(answer["data"])


def _file(section: Section, title: str, language: str, screen: Screen) -> str:
    return f"{slug(section.title, title, language, screen.name)}.webp"


def _index(sections: list[Section]) -> Iterator[str]:
    """The lines of the page."""
    yield "# Every message of veo-courier"
    yield ""
    yield (
        "Drawn by the demo's page (`make gallery`), as Discord shows them on a phone; “wide” opens one on a "
        "wide screen."
    )
    for section in sections:
        yield from ("", f"## {section.title}")
        for title, translations in section.by_title().items():
            is_private = any(sample.is_private for sample in translations.values())
            yield from ("", f"### {title}", "")
            if is_private:
                yield from ("Only the person who asked sees it.", "")
            yield from _table(section, title, translations)


def _table(section: Section, title: str, translations: Mapping[str, Sample]) -> Iterator[str]:
    shown = [translations[language] for language in LANGUAGES if language in translations]
    yield "| " + " | ".join(_heading(section, sample) for sample in shown) + " |"
    yield "|" + "---|" * len(shown)
    yield "| " + " | ".join(_image(section, title, sample.language) for sample in shown) + " |"


def _heading(section: Section, sample: Sample) -> str:
    name = LANGUAGES[sample.language]
    if not sample.is_drawn_wide:
        return name
    return f"{name} ([wide]({_file(section, sample.title, sample.language, DESKTOP)}))"


def _image(section: Section, title: str, language: str) -> str:
    alternative = f"{title}, {LANGUAGES[language]}".replace('"', "'")
    return f'<img src="{_file(section, title, language, PHONE)}" alt="{alternative}">'


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m demo.page.gallery", description=__doc__)
    parser.add_argument("samples", type=Path, help="the JSON with the messages")
    parser.add_argument("folder", type=Path, help="where the pictures and the page go")
    options = parser.parse_args()
    if find() is None:
        print(MISSING, file=sys.stderr)
        return 1
    options.folder.mkdir(parents=True, exist_ok=True)
    try:
        asyncio.run(draw(load(options.samples), options.folder))
    except (OSError, ValueError) as problem:
        print(problem, file=sys.stderr)
        return 1
    total = sum(path.stat().st_size for path in options.folder.iterdir())
    print(f"{options.folder / INDEX}: {total / 1_000_000:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
