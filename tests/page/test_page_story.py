"""What a newcomer and the people of the channel go through, in a real browser with the real bot."""

import hashlib
import time

import pytest
from playwright.async_api import expect

from demo.page.speed import DEFAULT_FACTOR
from sandbox.video_api import CLIP
from tests.page.conftest import Opened

pytestmark = pytest.mark.usefixtures("bot_process")

# Seconds. From the command to the played video the demo takes ten on a machine at rest.
SOON = 30


async def test_newcomer_from_empty_page_to_played_video(opened: Opened) -> None:
    page = opened.page
    opened.server.speed.factor = DEFAULT_FACTOR

    await page.locator(".welcome").get_by_role("button", name="Create a task").click()
    (task,) = opened.env.api.tasks.values()
    await expect(opened.composer).to_have_value(f"/veo track id:{task.id}")
    sent_at = time.monotonic()
    await page.keyboard.press("Enter")

    await expect(page.locator(".origin").first).to_contain_text("alice used /veo track")
    await expect(opened.messages.first).to_contain_text("being generated")
    video = page.locator("video")
    await expect(video).to_be_visible()
    await video.evaluate("(video) => { video.muted = true; return video.play(); }")
    await page.wait_for_function("() => document.querySelector('video').readyState === 4")
    await page.wait_for_function("() => document.querySelector('video').currentTime > 0.1")
    assert time.monotonic() - sent_at < SOON
    await expect(page.locator(".welcome")).to_have_count(0)
    await expect(page.locator(".message.pinged")).to_contain_text("@alice")
    await expect(opened.messages.first).to_contain_text("(edited)")
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Download").click()
    saved = await (await download.value).path()
    assert hashlib.sha256(saved.read_bytes()).hexdigest() == CLIP.sha256


async def test_failure_is_told_with_the_reason(opened: Opened) -> None:
    page = opened.page
    await page.locator("#inspector").get_by_role("button", name="Create a task").click()
    (task,) = opened.env.api.tasks.values()
    await expect(opened.composer).to_have_value(f"/veo track id:{task.id}")
    await page.keyboard.press("Enter")
    await expect(opened.messages).to_contain_text(task.id)

    await opened.change(task.id, "Sensitive words")

    await expect(page.locator(".message.pinged")).to_contain_text("The video API said:")
    await expect(page.locator(".message.pinged pre")).to_contain_text("Support codes: 58061214")
    await expect(page.locator(".ended summary")).to_have_text("1 ended")
    await expect(page.locator(".ended .status")).to_have_text("failed")


async def test_stranger_may_not_untrack(opened: Opened) -> None:
    task = opened.env.api.create()
    await opened.track(task.id)

    await opened.become("carol")
    await opened.type(f"/veo untrack id:{task.id}")
    await expect(opened.messages.last).to_contain_text("Only the person who asked for")
    await expect(opened.messages.last).to_contain_text("Only you can see this")

    await opened.become("alice")
    await opened.type(f"/veo untrack id:{task.id}")
    await expect(opened.messages.last).to_contain_text("Stopped: nothing more will be posted")


async def test_switching_the_person_shows_and_hides_ephemerals(opened: Opened) -> None:
    page = opened.page
    await opened.become("bob")
    await opened.type("/veo list")
    await expect(opened.messages).to_have_count(1)

    await opened.become("alice")
    await expect(opened.messages).to_have_count(0)
    await opened.become("bob")
    await expect(opened.messages).to_contain_text("Only you can see this")
    await page.get_by_role("button", name="Dismiss message").click()
    await expect(opened.messages).to_have_count(0)


async def test_carol_is_in_one_server_only(opened: Opened) -> None:
    servers = opened.page.locator(".server")
    await servers.nth(1).click()
    await expect(opened.page.locator("#server-name")).to_have_text("Night Shift Studio")

    await opened.become("carol")

    await expect(servers).to_have_count(1)
    await expect(opened.page.locator("#server-name")).to_have_text("Moving Pictures")


async def test_mention_elsewhere_is_a_badge(opened: Opened) -> None:
    page, task = opened.page, opened.env.api.create()
    await opened.track(task.id)
    await page.locator(".channel", has_text="storyboards").click()

    task.complete()

    await expect(page.locator(".channel", has_text="renders").locator(".badge")).to_have_text("1 mention")
    await expect(page.locator("#announcer")).to_contain_text("You were mentioned in renders")
    assert (await page.title()).startswith("(1) ")
    await page.locator(".channel", has_text="renders").click()
    await expect(page.locator(".badge")).to_have_count(0)


async def test_button_of_a_card_is_pressed(opened: Opened) -> None:
    task = opened.env.api.create()
    await opened.track(task.id)
    await opened.become("bob")

    await opened.page.get_by_role("button", name="Notify me").click()

    await expect(opened.messages.last).to_contain_text("I mention you too")
    await expect(opened.messages.first.get_by_role("button", name="Notify me (1)")).to_be_visible()


async def test_stop_is_asked_for_and_then_edited_into_its_outcome(opened: Opened) -> None:
    page, task = opened.page, opened.env.api.create()
    await opened.track(task.id)

    await opened.messages.first.get_by_role("button", name="Stop").click()
    await expect(opened.messages.last).to_contain_text("Only you can see this")
    await page.get_by_role("button", name="Yes, stop").click()

    await expect(opened.messages.last).to_contain_text("Stopped: nothing more will be posted")
    await expect(opened.messages.last.locator(".button")).to_have_count(0)
    await expect(opened.messages).to_have_count(2)
    await expect(opened.messages.first.locator(".container")).to_contain_text("1 video: stopped")
    await expect(opened.messages.first.locator(".button")).to_have_count(0)


async def test_result_is_deleted_after_a_question(opened: Opened) -> None:
    page, task = opened.page, opened.env.api.create()
    await opened.track(task.id)
    task.complete()
    result = page.locator(".message", has=page.locator("video"))
    await expect(result.locator(".buttons > *")).to_have_text(["Original", "Post again", "Delete"])

    await result.get_by_role("button", name="Delete").click()
    await page.get_by_role("button", name="Yes, delete").click()

    await expect(result).to_have_count(0)
    await expect(opened.messages.last).to_contain_text("Deleted.")
    await expect(opened.messages.first).to_contain_text("its message was deleted")


async def test_message_menu_tracks_what_somebody_wrote(opened: Opened) -> None:
    page, task = opened.page, opened.env.api.create()
    await opened.type(f"look at {task.id}")
    await opened.messages.first.click(button="right")

    await page.get_by_role("menuitem", name="Track Veo tasks").click()

    await expect(opened.messages.last).to_contain_text("1 video on the way")
    await expect(page.locator(".origin").last).to_contain_text("alice used Track Veo tasks")
    await opened.messages.first.click(button="right")
    await page.get_by_role("menuitem", name="Delete message").click()
    await expect(opened.messages).to_have_count(1)
