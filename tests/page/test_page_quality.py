"""The page for everybody: contrast, names, order and size, emoji without an emoji font, and no mouse."""

from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Page, expect

from sandbox.patience import PATIENCE
from tests.page.conftest import Opened
from tests.page.test_page_components import EPHEMERAL, LINE, ROW, button, card, post, text

DESKTOP: Any = {"width": 1440, "height": 900}
PHONE: Any = {"width": 390, "height": 844}
# Rules of WCAG 2 at level AA (contrast 4.5:1 among them), and axe's own good practices.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
EVERY_EMOJI = "⏳🕓✅❌❓⚠️🚫🔔🎬🗑️🔁⏱️🔴🟢🟡💤🔒📥📎👍"


async def fill(opened: Opened) -> None:
    """Put something of every kind into the channel: people, cards, private answers, videos, tasks."""
    env = opened.env
    env.bob.say(
        env.channel,
        "> quoted\n**bold** `code` <t:1800000000:f> https://example.org ||secret||\n```\nblock\n```",
    )
    row = {
        "type": ROW,
        "components": [
            button(label, style, custom_id=label)
            for style, label in enumerate(("Go", "Stop", "Yes", "No"), start=1)
        ],
    }
    off = {"type": ROW, "components": [button("Off", custom_id="off", disabled=True)]}
    for flags, reader in ((0, None), (EPHEMERAL, env.alice.id)):
        card(
            opened,
            text(f"### 2 videos on the way\n-# asked by <@{env.alice.id}> <t:1800000000:R>"),
            LINE,
            text("⏳ `vgen_a708a824f60c` being generated\n[a link](https://example.org)"),
            row,
            off,
            flags=flags,
            only_for=reader,
        )
    post(opened, sent_content="Delete it?", components=[row], flags=EPHEMERAL, only_for=env.alice.id)
    task = env.api.create("vgen_0123456789ab")
    await opened.track(task.id)
    task.complete()
    env.api.create("vgen_ba9876543210", status="processing")
    opened.server.changed()
    await expect(opened.page.locator("video")).to_be_visible()


async def violations(page: Page) -> list[str]:
    """What axe finds on the page as it is now, as lines."""
    found = await Axe().run(page, options={"runOnly": RULES, "resultTypes": ["violations"]})
    return [
        f"{each['id']}: {node['target']} {node['failureSummary']}"
        for each in found.response["violations"]
        for node in each["nodes"]
    ]


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_axe_finds_nothing(opened: Opened, theme: Any, viewport: Any) -> None:
    page = opened.page
    await page.emulate_media(color_scheme=theme, reduced_motion="reduce")
    await page.set_viewport_size(viewport)
    await page.reload()
    await expect(page.locator(".welcome")).to_be_visible()
    assert await violations(page) == []

    await fill(opened)
    await expect(page.locator(".welcome")).to_have_count(0)
    assert await violations(page) == []

    if viewport is PHONE:
        await page.get_by_role("button", name="Behind the scenes").click()
    await page.locator("details").evaluate_all("(all) => all.forEach((each) => (each.open = true))")
    assert await violations(page) == []
    if viewport is PHONE:
        await page.keyboard.press("Escape")
        await page.get_by_role("button", name="Servers and channels").click()
        await expect(page.get_by_role("button", name="renders")).to_be_visible()
        assert await violations(page) == []


async def test_nothing_is_cut_off_on_a_phone(opened: Opened) -> None:
    page = opened.page
    await page.set_viewport_size(PHONE)
    assert await _cut_off(page, ".welcome, .welcome *") == []

    await fill(opened)

    assert await _cut_off(page, ".message, .message *:not(.origin *)") == []
    assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") == 0
    await page.get_by_role("button", name="Behind the scenes").click()
    assert await _cut_off(page, "#inspector *:not(option):not(select):not(.unseen)") == []


async def _cut_off(page: Page, selector: str) -> list[str]:
    """The elements that are wider inside than outside."""
    found: list[str] = await page.locator(selector).evaluate_all(
        "(all) => all.filter((each) => each.clientWidth && each.scrollWidth > each.clientWidth + 1)"
        ".map((each) => each.outerHTML.slice(0, 120))"
    )
    return found


async def test_emoji_come_from_the_pages_own_font(opened: Opened) -> None:
    """Each of them has a colour, which the letters of the text font have not."""
    page = opened.page
    opened.env.bob.say(opened.env.channel, EVERY_EMOJI)
    await expect(opened.messages).to_contain_text("⏳")

    session = await page.context.new_cdp_session(page)
    await session.send("DOM.enable")
    await session.send("CSS.enable")
    root = (await session.send("DOM.getDocument"))["root"]["nodeId"]
    node = await session.send("DOM.querySelector", {"nodeId": root, "selector": ".message .text"})
    used = await session.send("CSS.getPlatformFontsForNode", {"nodeId": node["nodeId"]})

    assert [font["familyName"] for font in used["fonts"]] == ["Twemoji Mozilla"]
    assert used["fonts"][0]["isCustomFont"]


async def test_first_video_in_four_clicks(opened: Opened) -> None:
    """Create, send, play, download."""
    page = opened.page
    opened.server.speed.factor = 60
    await page.locator(".welcome").get_by_role("button", name="Create a task").click()
    await expect(opened.composer).not_to_have_value("")
    await page.get_by_role("button", name="Send").click()
    await page.get_by_role("button", name="Play").click()
    await page.wait_for_function("() => document.querySelector('video').currentTime > 0.1")
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Download").click()
    assert (await (await download.value).path()).stat().st_size > 0


async def test_first_video_without_a_mouse(opened: Opened) -> None:
    """Enter creates, Enter sends; then up to the message, and on to the player and the download."""
    page, keys = opened.page, opened.page.keyboard
    opened.server.speed.factor = 60
    await expect(page.locator(".welcome button")).to_be_focused()
    await keys.press("Enter")
    await expect(opened.composer).to_be_focused()
    await expect(opened.composer).not_to_have_value("")
    await keys.press("Enter")
    await expect(page.locator(".play")).to_be_visible(timeout=PATIENCE * 1000)

    await keys.press("ArrowUp")
    await expect(opened.messages.last).to_be_focused()
    await keys.press("Tab")
    await expect(page.locator(".play")).to_be_focused()
    await keys.press("Enter")
    await page.wait_for_function("() => document.querySelector('video').currentTime > 0.1")
    await expect(page.locator("video")).to_be_focused()
    await page.locator("video").evaluate("(video) => video.pause()")
    async with page.expect_download() as download:
        for _ in range(12):
            await keys.press("Tab")
            if await page.evaluate("document.activeElement.matches('.download')"):
                break
        await keys.press("Enter")
    assert (await download.value).suggested_filename.endswith(".mp4")
