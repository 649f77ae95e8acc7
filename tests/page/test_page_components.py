"""Messages that consist of components, private answers, and links to messages, as Discord draws them."""

import time
from typing import Any

from playwright.async_api import expect

from sandbox.discord import Message
from tests.page.conftest import Opened

CONSISTS_OF_COMPONENTS, EPHEMERAL = 1 << 15, 1 << 6
AMBER = 0xF0B232
ROW, BUTTON, SECTION, TEXT, SEPARATOR, CONTAINER = 1, 2, 9, 10, 14, 17
LINE: Any = {"type": SEPARATOR, "divider": True, "spacing": 1}


def text(content: str) -> dict[str, Any]:
    return {"type": TEXT, "content": content}


def button(label: str, style: int = 2, **more: Any) -> dict[str, Any]:
    return {"type": BUTTON, "style": style, "label": label, **more}


def card(opened: Opened, *parts: Any, accent: int | None = AMBER, flags: int = 0, **more: Any) -> Message:
    components = [{"type": CONTAINER, "accent_color": accent, "components": list(parts)}]
    return post(opened, components=components, flags=CONSISTS_OF_COMPONENTS | flags, **more)


def post(opened: Opened, **parts: Any) -> Message:
    """A message of the bot in #renders, put there without the bot."""
    world = opened.env.discord.world
    author = opened.env.discord.bot.id
    return world.post(
        Message(id=world.snowflakes.next(), channel=opened.env.channel, author_id=author, **parts)
    )


async def test_container_has_its_colour_its_lines_and_its_buttons(opened: Opened) -> None:
    since = int(time.time()) - 100
    link = f"https://discord.com/channels/{opened.env.guild.id}/{opened.env.channel.id}/1"
    row = {
        "type": ROW,
        "components": [
            button("Notify me (2)", custom_id="notify", emoji={"name": "🔔"}),
            button("Stop", 4, custom_id="stop", disabled=True),
            button("Original", 5, url="https://example.org/film.mp4"),
        ],
    }
    card(
        opened,
        text(f"### 3 videos: 2 ready, 1 failed\n-# asked by <@{opened.env.alice.id}> <t:{since}:R>"),
        LINE,
        text(f"✅ `vgen_abc` **ready**: [see the video]({link})\n- one\n- two"),
        row,
    )

    box = opened.page.locator(".container")
    await expect(box).to_have_css("border-inline-start-color", "rgb(240, 178, 50)")
    await expect(box.get_by_role("heading", level=3)).to_have_text("3 videos: 2 ready, 1 failed")
    await expect(box.locator(".subtext")).to_contain_text("asked by @alice 1 minute ago")
    await expect(box.locator(".separator")).to_have_count(1)
    await expect(box.locator("code")).to_have_text("vgen_abc")
    await expect(box.locator("li")).to_have_text(["one", "two"])
    await expect(box.get_by_role("button", name="see the video")).to_have_class("as-link")
    await expect(box.get_by_role("button", name="Notify me (2)")).to_contain_text("🔔")
    await expect(box.get_by_role("button", name="Stop")).to_be_disabled()
    await expect(box.get_by_role("link", name="Original")).to_have_attribute(
        "href", "https://example.org/film.mp4"
    )


async def test_container_without_colour_and_section_with_a_button(opened: Opened) -> None:
    section = {
        "type": SECTION,
        "components": [text("a request of yesterday")],
        "accessory": button("Forget it", custom_id="forget"),
    }
    card(opened, section, accent=None)

    box = opened.page.locator(".container")
    await expect(box).not_to_have_class("container has-accent")
    beside = box.locator(".with-accessory")
    await expect(beside).to_contain_text("a request of yesterday")
    words = await beside.locator(".section-texts").bounding_box()
    pressed = await beside.get_by_role("button").bounding_box()
    assert words is not None
    assert pressed is not None
    assert pressed["x"] >= words["x"] + words["width"]


async def test_hostile_components_stay_text(opened: Opened) -> None:
    card(
        opened,
        text("<img src=x onerror=alert(1)> [no](javascript:alert(1)) @everyone"),
        {"type": ROW, "components": [button("out", 5, url="javascript:alert(1)")]},
        {"type": 99, "components": [text("inside of something new")]},
    )

    box = opened.page.locator(".container")
    await expect(box).to_contain_text("<img src=x onerror=alert(1)> [no](javascript:alert(1)) @everyone")
    await expect(box).to_contain_text("inside of something new")
    await expect(box.locator("img, .pill, [href]")).to_have_count(0)


async def test_private_question_is_edited_into_its_outcome(opened: Opened) -> None:
    """As after a press that is answered with an update: the same message, and the focus stays in it."""
    page, world = opened.page, opened.env.discord.world
    ask = {
        "type": ROW,
        "components": [button("Delete", 4, custom_id="delete"), button("Keep", custom_id="k")],
    }
    question = post(
        opened, sent_content="Delete it?", components=[ask], flags=EPHEMERAL, only_for=opened.env.alice.id
    )
    asked = opened.messages.last
    await expect(asked).to_contain_text("Only you can see this")
    await expect(asked.get_by_role("button", name="Delete")).to_have_css(
        "background-color", "rgb(179, 38, 30)"
    )
    await asked.get_by_role("button", name="Delete").focus()

    question.sent_content, question.components = "The message is gone.", []
    world.announce("message edited", question)

    await expect(asked).to_contain_text("The message is gone.")
    await expect(asked.locator(".button")).to_have_count(0)
    await expect(asked).to_be_focused()
    await expect(page.locator(".message")).to_have_count(1)


async def test_edited_card_keeps_the_focus_on_its_button(opened: Opened) -> None:
    row: Any = {
        "type": ROW,
        "components": [button("Notify me", custom_id="notify"), button("Stop", custom_id="s")],
    }
    shown = card(opened, text("### 1 video on the way"), row)
    await opened.messages.last.get_by_role("button", name="Notify me").focus()

    row["components"][0]["label"] = "Notify me (1)"
    opened.env.discord.world.announce("message edited", shown)

    await expect(opened.messages.last.get_by_role("button", name="Notify me (1)")).to_be_focused()


async def test_menu_gives_the_focus_to_what_was_drawn_anew_meanwhile(opened: Opened) -> None:
    page, world = opened.page, opened.env.discord.world
    row: Any = {"type": ROW, "components": [button("Notify me", custom_id="notify")]}
    shown = card(opened, text("### 1 video on the way"), row)
    last, menu = opened.messages.last, page.get_by_role("menu")
    for control in (last, last.get_by_role("button", name="More")):
        await control.press("Enter")
        await expect(menu).to_be_visible()

        row["components"][0]["label"] += " again"
        world.announce("message edited", shown)
        await expect(last).to_contain_text(row["components"][0]["label"])
        await page.keyboard.press("Escape")

        await expect(menu).to_have_count(0)
        await expect(control).to_be_focused()

    await last.press("Enter")
    await expect(menu).to_be_visible()
    world.delete_message(shown)
    await expect(opened.messages).to_have_count(0)
    await page.keyboard.press("Escape")
    await expect(opened.composer).to_be_focused()


async def test_focus_stays_when_the_message_before_is_deleted(opened: Opened) -> None:
    first, second = (opened.env.bob.say(opened.env.channel, words) for words in ("one", "two"))
    await expect(opened.messages).to_have_count(2)
    await opened.messages.last.focus()

    opened.env.bob.delete(first)

    await expect(opened.messages).to_have_count(1)
    await expect(opened.page.locator(f"#m-{second.id}")).to_be_focused()


async def test_button_that_is_pressed_while_its_card_is_edited_is_clicked(opened: Opened) -> None:
    await opened.track(opened.env.api.create().id)
    shown, mouse = opened.env.channel.messages[0], opened.page.mouse
    await expect(opened.messages.first).to_contain_text("in the queue since")
    await opened.messages.first.get_by_role("button", name="Notify me").hover()
    await mouse.down()
    opened.env.discord.world.announce("message edited", shown)
    opened.env.bob.say(opened.channel("storyboards"), "after the edit")
    await expect(opened.page.locator(".channel.unread")).to_contain_text("storyboards")
    await mouse.up()

    await expect(opened.messages.filter(has_text="Only you can see this")).to_have_count(1)


async def test_link_to_a_deleted_message_says_so(opened: Opened) -> None:
    page, env = opened.page, opened.env
    target = env.bob.say(env.channel, "here it is")
    elsewhere = env.bob.say(opened.channel("storyboards"), "another place")
    base = f"https://discord.com/channels/{env.guild.id}"
    card(
        opened,
        text(f"[the video]({base}/{env.channel.id}/{target.id})"),
        text(f"[the other]({base}/{elsewhere.channel_id}/{elsewhere.id})"),
    )
    await page.get_by_role("button", name="the video").click()
    await expect(opened.messages.first).to_be_focused()
    await expect(page.locator("#notice")).to_have_text("")

    env.bob.delete(target)
    await page.get_by_role("button", name="the video").click()
    await expect(page.locator("#notice")).to_have_text("That message was deleted.")

    await opened.channel("storyboards").delete()
    await expect(page.locator("#places").get_by_text("storyboards")).to_have_count(0)
    await page.get_by_role("button", name="the other").click()
    await expect(page.locator("#notice")).to_have_text("That channel was deleted.")


async def test_answer_to_a_button_shows_the_message_of_the_button(opened: Opened) -> None:
    page, task = opened.page, opened.env.api.create()
    await opened.track(task.id)
    await opened.messages.first.locator(".button").first.click()

    answer = page.locator(".message", has_text="Only you can see this")
    await expect(answer.locator(".origin")).to_contain_text("veo-courier")
    await expect(answer.locator(".origin-text")).to_contain_text(task.id)
    await answer.locator(".origin-text").click()
    await expect(opened.messages.first).to_be_focused()


async def test_note_of_one_character_is_one_character_of_code(opened: Opened) -> None:
    opened.env.bob.say(opened.env.channel, "`vgen_1` · `x`\n`y` and ``a`b``")

    await expect(opened.messages.locator("code")).to_have_text(["vgen_1", "x", "y", "a`b"])


async def test_video_in_portrait_is_shown_in_its_shape(opened: Opened) -> None:
    page = opened.page
    opened.env.api.create()
    await page.locator("#inspector").get_by_role("button", name="Create a task").click()
    await expect(opened.composer).not_to_have_value("")
    await page.keyboard.press("Enter")
    await expect(opened.messages).to_have_count(1)
    *_, task = opened.env.api.tasks.values()
    task.complete()

    await expect(page.locator("video")).to_have_class("is-tall")
    shape = await page.locator("video").bounding_box()
    assert shape is not None
    assert abs(shape["width"] / shape["height"] - 9 / 16) < 0.02
