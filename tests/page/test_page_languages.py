"""The language of a person's Discord and of a server: commands, private answers, cards and times."""

import re

from playwright.async_api import expect

from tests.page.conftest import Opened

CHINESE = re.compile("[\u4e00-\u9fff]")


async def test_person_reads_commands_and_private_answers_in_chinese(opened: Opened) -> None:
    page = opened.page
    await page.get_by_label("Language of this person's Discord").select_option("简体中文")
    await expect(page.get_by_label("Language of this person's Discord")).to_have_value("zh-CN")
    assert opened.env.alice.locale == "zh-CN"

    await opened.composer.press_sequentially("/veo tr")
    await expect(page.locator(".suggestion-detail").first).to_have_text(CHINESE)
    await opened.type("/veo list")
    await expect(opened.messages.last).to_contain_text("Only you can see this")
    await expect(opened.messages.last.locator(".text")).to_have_text(CHINESE)

    await opened.become("bob")
    await expect(page.get_by_label("Language of this person's Discord")).to_have_value("en-US")
    await opened.type("/veo list")
    await expect(opened.messages.last.locator(".text")).not_to_have_text(CHINESE)


async def test_times_are_in_the_persons_language(opened: Opened) -> None:
    page, task = opened.page, opened.env.api.create()
    await opened.track(task.id)
    moment = opened.messages.first.locator("time.moment").first
    await expect(moment).to_have_text(re.compile("ago$"))

    await page.get_by_label("Language of this person's Discord").select_option("简体中文")

    await expect(opened.messages.first.locator("time.moment").first).to_have_text(re.compile("前$"))


async def test_servers_language_is_that_of_its_cards(opened: Opened) -> None:
    page, task = opened.page, opened.env.api.create()
    await page.locator("summary", has_text="This channel").click()
    await page.get_by_label("The server's language").select_option("简体中文")
    await expect(page.get_by_label("The server's language")).to_have_value("zh-CN")
    assert opened.env.guild.preferred_locale == "zh-CN"

    await opened.track(task.id)

    await expect(opened.messages.first.locator(".heading")).to_have_text(CHINESE)
    await page.locator(".server").nth(1).click()
    await expect(page.get_by_label("The server's language")).to_have_value("en-US")
