"""The panel “Behind the scenes”: the process, faults, rights, channels, requests."""

import re

import pytest
from playwright.async_api import expect

from demo.page import PageServer
from tests.page.conftest import Opened


@pytest.mark.usefixtures("bot_process")
@pytest.mark.parametrize("moment", ["received", "accepted"])
async def test_killed_during_an_upload_and_still_one_message(opened: Opened, moment: str) -> None:
    page, task = opened.page, opened.env.api.create()
    await opened.track(task.id)
    await page.get_by_label("Stop it later").select_option(moment)
    await expect(page.get_by_role("button", name="Never mind")).to_be_visible()

    task.complete()
    await expect(page.locator(".bot-state")).to_have_attribute("data-state", "killed")
    assert len(opened.results(task.id)) == (1 if moment == "accepted" else 0)
    await page.get_by_role("button", name="Start it again").click()

    await expect(opened.messages.first).to_contain_text("see the video")
    assert len(opened.results(task.id)) == 1
    await expect(page.locator("video")).to_have_count(1)


async def test_requests_are_listed_and_repeats_are_one_entry(opened: Opened) -> None:
    page, task = opened.page, opened.env.api.create()
    await opened.track(task.id)
    requests = page.get_by_label("Requests, newest first")
    await expect(requests).to_contain_text("alice uses /veo track in #renders")
    polls = requests.locator(".entry", has_text=f"polls {task.id}")
    await expect(polls).to_contain_text("200 queued")
    await expect(polls.locator(".entry-count")).to_have_text(re.compile(r"^[2-9] times, every \d\.\d s$"))
    await expect(polls).to_have_count(1)

    task.complete()

    uploads = requests.locator(".from-discord", has_text=f"posts veo_{task.id}.mp4")
    await expect(uploads).to_contain_text("200")
    await expect(uploads).to_have_count(1)


async def test_fault_for_the_next_request_is_used_up(opened: Opened) -> None:
    page, task = opened.page, opened.env.api.create()
    await page.locator("summary", has_text="Let something go wrong").click()
    await page.get_by_label("What goes wrong").select_option("503")
    await page.get_by_role("button", name="Make it go wrong").click()
    await expect(page.locator(".armed li")).to_contain_text("503 Service Unavailable for the next polls")

    await opened.track(task.id)

    await expect(page.locator(".armed li")).to_have_count(0)
    await expect(page.get_by_label("Requests, newest first")).to_contain_text("503")


async def test_right_taken_away_and_channel_deleted(opened: Opened) -> None:
    page, task = opened.page, opened.env.api.create()
    await page.locator(".channel", has_text="storyboards").click()
    await page.locator("summary", has_text="This channel").click()
    await page.get_by_role("switch", name="attach files").click()
    await expect(page.locator("#channel-topic")).to_have_text("The bot may not attach files here")
    await opened.type(f"/veo track id:{task.id}")
    await expect(opened.messages.last).to_contain_text("Attach Files")

    await page.get_by_role("button", name="Delete this channel").click()

    await expect(page.locator(".channel", has_text="storyboards")).to_have_count(0)
    await expect(page.locator(".channel-title")).to_have_text("renders")


async def test_page_that_was_cut_off_gets_everything_again(opened: Opened) -> None:
    page, env, port = opened.page, opened.env, opened.server.port
    await opened.server.close()
    await expect(page.locator("#offline")).to_be_visible()
    env.bob.say(env.channel, "while you were away")

    async with PageServer(env, port):
        await expect(opened.messages).to_contain_text("while you were away")
        await expect(page.locator("#offline")).to_be_hidden()
    # The browser's own complaints about the connection that was cut here.
    opened.errors.clear()


async def test_right_to_write_taken_away_brings_a_direct_message_and_later_the_result(opened: Opened) -> None:
    """Never silent: the video is where the person who asked can see it, and in the channel once it may be."""
    page, task = opened.page, opened.env.api.create()
    await opened.track(task.id)
    await page.locator("summary", has_text="This channel").click()
    write = page.get_by_role("switch", name="write messages")
    await write.click()
    task.complete()

    direct = page.locator(".server", has_text="Direct messages")
    await expect(direct).to_be_visible()
    await direct.click()
    await expect(opened.messages.first).to_contain_text(f"{task.id} is ready, but I could not post it")
    await expect(page.locator("video")).to_have_count(1)
    await expect(opened.composer).to_be_disabled()

    await page.locator(".server").first.click()
    await write.click()
    await expect(opened.messages.filter(has_text="your video is ready.")).to_be_visible()
    assert len(opened.results(task.id)) == 1
