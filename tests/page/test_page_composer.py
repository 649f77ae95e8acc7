"""The message box: the command menu, autocomplete, refusals, and everything by keyboard."""

import pytest
from playwright.async_api import expect

from tests.page.conftest import Opened


async def test_menu_shows_what_the_bot_registered(opened: Opened) -> None:
    await opened.composer.press_sequentially("/")

    registered = [o["name"] for c in opened.env.discord.commands for o in c.get("options", [])]
    titles = opened.page.locator(".suggestion-title")
    await expect(titles).to_have_text([f"/veo {name}" for name in registered])
    await opened.composer.press_sequentially("veo track ")
    await expect(opened.page.locator(".suggestion", has_text="required")).to_contain_text("task ids")


async def test_missing_option_is_refused_as_discord_does(opened: Opened) -> None:
    await opened.type("/veo track note:nothing else")

    await expect(opened.page.locator("#composer-problem")).to_have_text(
        "id: This option is required. Specify a value."
    )
    await expect(opened.composer).to_have_value("/veo track note:nothing else id:")
    assert opened.env.channel.messages == []


async def test_autocomplete_is_answered_by_the_bot(opened: Opened) -> None:
    for name in ("vgen_first", "vgen_second"):
        opened.env.api.create(name)
    await opened.type("/veo track id:vgen_first vgen_second")
    await expect(opened.messages).to_have_count(1)

    await opened.composer.press_sequentially("/veo status id:sec")
    choices = opened.page.locator(".suggestion.is-choice")
    await expect(choices).to_have_count(1)
    await opened.page.keyboard.press("Enter")
    await expect(opened.composer).to_have_value("/veo status id:vgen_second")
    await expect(choices).to_have_attribute("aria-selected", "false")
    await opened.page.keyboard.press("Enter")

    await expect(opened.messages.last).to_contain_text("vgen_second")
    await expect(opened.messages.last).to_contain_text("Only you can see this")


@pytest.mark.usefixtures("bot_process")
async def test_nobody_answers_a_dead_bot(opened: Opened) -> None:
    page = opened.page
    await page.get_by_role("button", name="Stop the process at once").click()
    await expect(page.locator(".bot-state")).to_have_attribute("data-state", "killed")

    await opened.type("/veo list")

    await expect(page.locator(".local.failed")).to_contain_text("The application did not respond")


async def test_everything_by_keyboard(opened: Opened) -> None:
    page, keys = opened.page, opened.page.keyboard
    await expect(page.locator(".welcome button")).to_be_focused()
    await keys.press("Tab")
    await expect(opened.composer).to_be_focused()
    task = opened.env.api.create()
    await keys.type("/tra")
    await keys.press("Enter")
    await expect(opened.composer).to_have_value("/veo track id:")
    await keys.type(task.id)
    await keys.press("Enter")
    await expect(opened.messages).to_have_count(1)

    await keys.press("ArrowUp")
    await expect(opened.messages.last).to_be_focused()
    await keys.press("Tab")
    await keys.press("Enter")
    await expect(opened.messages.last).to_contain_text("I mention you anyway")
    await page.locator(".message").first.focus()
    await keys.press("Enter")
    await expect(page.get_by_role("menuitem").first).to_be_focused()
    await keys.press("ArrowDown")
    await expect(page.get_by_role("menuitem", name="Copy text")).to_be_focused()
    await keys.press("Escape")
    await expect(page.get_by_role("menu")).to_have_count(0)
    await expect(opened.messages.first).to_be_focused()
    await keys.type("/")
    await expect(page.locator(".suggest")).to_be_visible()
    await keys.press("ArrowDown")
    await expect(page.locator(".suggestion[aria-selected=true]")).to_contain_text("/veo status")
    await keys.press("Escape")
    await expect(page.locator(".suggest")).to_be_hidden()
