"""The panel: requests in view, ended tasks folded away, the command filled in, and the demo stopped."""

import re
from typing import Any

import pytest
from playwright.async_api import expect

from tests.page.conftest import Opened

DESKTOP: Any = {"width": 1440, "height": 900}


async def test_create_fills_in_the_command_and_says_what_comes_next(opened: Opened) -> None:
    page = opened.page
    await page.locator("#inspector").get_by_role("button", name="Create a task").click()

    (task,) = opened.env.api.tasks.values()
    await expect(opened.composer).to_have_value(f"/veo track id:{task.id}")
    await expect(opened.composer).to_be_focused()
    await expect(page.locator("#hint")).to_contain_text("press Enter")
    await page.get_by_role("button", name="Send").click()
    await expect(page.locator("#hint")).to_contain_text("answered with a card")
    task.complete()
    await expect(page.locator("#hint")).to_have_text("")

    await page.locator("#inspector").get_by_role("button", name="Create a task").click()
    await expect(opened.composer).not_to_have_value("")
    await expect(page.locator("#hint")).to_have_text("")


async def test_five_tasks_leave_the_requests_in_view(opened: Opened) -> None:
    page = opened.page
    await page.set_viewport_size(DESKTOP)
    ids = [opened.env.api.create(f"vgen_{number:012x}", status="processing").id for number in range(5)]
    await opened.type(f"/veo track id:{' '.join(ids)}")

    for task_id in ids:
        entry = page.locator(".entry", has_text=f"polls {task_id}")
        await expect(entry.locator(".entry-count")).to_contain_text("times, every")
    await expect(page.locator(".entry").first).to_be_in_viewport()
    await expect(page.locator(".entry").nth(2)).to_be_in_viewport(ratio=1)
    # One scroller: nothing inside the panel scrolls on its own.
    inner = await page.locator("#inspector *").evaluate_all(
        "(all) => all.filter((each) => each.scrollHeight > each.clientHeight + 1"
        " && ['auto', 'scroll'].includes(getComputedStyle(each).overflowY)).length"
    )
    assert inner == 0


async def test_ended_tasks_are_folded_away(opened: Opened) -> None:
    page = opened.page
    first, second = opened.env.api.create(), opened.env.api.create()
    opened.server.changed()
    await expect(page.locator(".task")).to_have_count(2)

    await opened.change(first.id, "a film in landscape")
    await expect(page.locator(".ended summary")).to_have_text("1 ended")
    await expect(page.get_by_label("Tasks", exact=True)).not_to_contain_text(first.id)
    await expect(page.locator(".task", has_text=first.id)).to_be_hidden()
    await page.locator(".ended summary").click()
    await expect(page.locator(".task", has_text=first.id)).to_contain_text("completed")

    await opened.change(first.id, "Remove from the API")
    await expect(page.locator(".ended")).to_be_hidden()
    await expect(page.locator(".task")).to_contain_text([second.id])


async def test_stopped_demo_is_not_shown_as_running(opened: Opened) -> None:
    page = opened.page
    await opened.server.close()

    await expect(page.locator(".bot-state")).to_have_attribute("data-state", "offline")
    await expect(page.locator(".bot-state")).to_have_text("Unknown: the demo has stopped")
    await expect(page.get_by_role("button", name="Stop the process at once")).to_be_hidden()
    # The browser's own complaints about the connection that was cut here.
    opened.errors.clear()


@pytest.mark.usefixtures("bot_process")
async def test_unanswered_command_does_not_begin_a_new_day(opened: Opened) -> None:
    page, env = opened.page, opened.env
    env.bob.say(env.channel, "before")
    await page.get_by_role("button", name="Stop the process at once").click()
    await expect(page.locator(".bot-state")).to_have_attribute("data-state", "killed")
    await opened.type("/veo list")
    await expect(page.locator(".local.failed")).to_be_visible()

    env.bob.say(env.channel, "after")

    await expect(opened.messages).to_have_count(2)
    await expect(page.locator(".divider")).to_have_count(1)


async def test_direct_message_is_counted_and_named(opened: Opened) -> None:
    page, env = opened.page, opened.env
    task = env.api.create()
    await opened.track(task.id)
    env.channel.deny(env.discord.bot, "send_messages")
    task.complete()

    direct = page.locator(".server", has_text="Direct messages")
    await expect(direct.locator(".badge")).to_have_text("1 mention")
    await expect(page.locator(".entry", has_text="in alice's direct messages")).to_be_visible()
    await direct.click()

    await expect(direct.locator(".badge")).to_have_count(0)
    await expect(opened.composer).to_have_attribute("placeholder", "veo-courier writes to you here")
    await expect(page).to_have_title(re.compile("^@veo-courier"))
    await expect(page.locator(".person", has_text="alice")).to_contain_text("can manage messages")
    await page.locator("summary", has_text="This channel").click()
    await expect(page.locator("#inspector")).to_contain_text("Direct messages: only you and the bot")
    await expect(page.get_by_role("button", name="Add a channel")).to_be_hidden()
