"""Components V2: discord.py's LayoutView against the stand-in, and every rule that Discord enforces."""

import io
from collections.abc import AsyncIterator
from typing import Any

import discord
import pytest
from discord import app_commands
from discord.http import Route

from sandbox.discord import Button, Message
from tests.integration.test_stand_in_discord import Asked, Client, ClientEnv, open_env

V2 = 1 << 15
EPHEMERAL, SUPPRESS_EMBEDS, SUPPRESS_NOTIFICATIONS = 1 << 6, 1 << 2, 1 << 12
AMBER = 0xF0B232


def card(text: str = "**2 videos on the way**", accent: int | None = AMBER) -> discord.ui.LayoutView:
    """A view as the bot's cards are: a container with text, a line, and buttons inside it."""
    view = discord.ui.LayoutView(timeout=None)
    first = discord.ui.Section[discord.ui.LayoutView](
        "first video", accessory=discord.ui.Button(label="Watch", url="https://example.org/watch")
    )
    row = discord.ui.ActionRow[discord.ui.LayoutView](
        discord.ui.Button(label="Notify me too", custom_id="notify:vgen_1"),
        discord.ui.Button(label="Stop", custom_id="stop", disabled=True),
    )
    container = discord.ui.Container[discord.ui.LayoutView](discord.ui.TextDisplay(text), first)
    container.accent_colour = accent
    view.add_item(container.add_item(discord.ui.Separator()).add_item(row))
    return view


def note(text: str) -> discord.ui.LayoutView:
    return discord.ui.LayoutView(timeout=None).add_item(discord.ui.TextDisplay(text))


class ChangeButton(discord.ui.Button[discord.ui.LayoutView]):
    def __init__(self) -> None:
        super().__init__(label="Change", custom_id="change")

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        await interaction.response.edit_message(view=note("changed"))


class CardClient(Client):
    """Has commands that answer with a card, in each of the ways that Discord has for it."""

    def __init__(self) -> None:
        super().__init__()
        self.tree.add_command(_group())


def _group() -> app_commands.Group:
    group = app_commands.Group(name="card", description="Cards")

    @group.command(description="Answer with a card")
    async def now(asked: Asked) -> None:
        await asked.response.send_message(view=card(), ephemeral=True)

    @group.command(description="Answer with a card after a while, then add another one")
    async def later(asked: Asked) -> None:
        await asked.response.defer()
        await asked.edit_original_response(view=card("later"))
        await asked.followup.send(view=card("and another"))

    @group.command(description="Answer with a button that changes the card")
    async def pressable(asked: Asked) -> None:
        view = discord.ui.LayoutView()
        row = discord.ui.ActionRow[discord.ui.LayoutView]()
        view.add_item(discord.ui.Container(discord.ui.TextDisplay("before"), row.add_item(ChangeButton())))
        await asked.response.send_message(view=view)

    @group.command(description="Answer with too much text")
    async def broken(asked: Asked) -> None:
        try:
            await asked.response.send_message(view=note("x" * 4001))
        except discord.HTTPException as refused:
            await asked.response.send_message(f"refused: {refused.text}")

    return group


@pytest.fixture
async def env() -> AsyncIterator[ClientEnv]:
    async with open_env() as env:
        yield env
        env.discord.check()


@pytest.fixture
async def client(env: ClientEnv) -> Client:
    return await env.client(CardClient())


async def send(client: Client, env: ClientEnv, **parts: Any) -> discord.Message:
    return await client.get_partial_messageable(env.channel.id).send(**parts)


async def post(client: Client, env: ClientEnv, payload: dict[str, Any]) -> dict[str, Any]:
    route = Route("POST", "/channels/{channel_id}/messages", channel_id=env.channel.id)
    answer: dict[str, Any] = await client.http.request(route, json=payload)
    return answer


async def patch(client: Client, env: ClientEnv, message: Message, payload: dict[str, Any]) -> dict[str, Any]:
    path = "/channels/{channel_id}/messages/{message_id}"
    route = Route("PATCH", path, channel_id=env.channel.id, message_id=message.id)
    answer: dict[str, Any] = await client.http.request(route, json=payload)
    return answer


def errors_of(env: ClientEnv) -> str:
    """The surprises about refused messages, which the test expects; all others stay."""
    expected = [each for each in env.discord.surprises if "would refuse" in each or "contract:" in each]
    env.discord.surprises[:] = [each for each in env.discord.surprises if each not in expected]
    return "\n".join(each for each in expected if "would refuse" in each)


async def test_a_card_is_posted_and_read_back(env: ClientEnv, client: Client) -> None:
    sent = await send(client, env, view=card())

    [message] = env.channel.messages
    assert message.is_v2
    assert message.text == message.content == "**2 videos on the way**\nfirst video"
    assert message.sent_content == sent.content == ""
    assert message.accent_color == AMBER
    assert message.buttons == [
        Button("Watch", None, "https://example.org/watch", disabled=False, style=5),
        Button("Notify me too", "notify:vgen_1", None, disabled=False, style=2),
        Button("Stop", "stop", None, disabled=True, style=2),
    ]
    assert message.button("stop") is not None
    with pytest.raises(LookupError, match="Watch"):
        message.button("Explode")
    assert sent.flags.components_v2
    [container] = sent.components
    assert isinstance(container, discord.components.Container)
    assert [type(each).__name__ for each in container.children] == [
        *("TextDisplay", "SectionComponent", "SeparatorComponent", "ActionRow")
    ]


async def test_components_are_numbered_around_the_given_ids(env: ClientEnv, client: Client) -> None:
    row = {"type": 1, "components": [{"type": 2, "style": 2, "label": "A", "custom_id": "a", "id": 2}]}
    inside = [{"type": 10, "content": "x", "id": 0}, row, {"type": 14}]

    sent = await post(client, env, {"flags": V2, "components": [{"type": 17, "components": inside}]})

    [container] = sent["components"]
    text, kept_row, line = container["components"]
    assert [container["id"], text["id"], kept_row["id"], line["id"]] == [1, 3, 4, 5]
    assert kept_row["components"][0]["id"] == 2
    assert (line["divider"], line["spacing"], container["spoiler"]) == (True, 1, False)


async def test_a_card_is_edited_and_its_earlier_text_is_kept(env: ClientEnv, client: Client) -> None:
    sent = await send(client, env, view=card())

    await sent.edit(view=card(f"done <@{env.alice.id}>", accent=None))

    [message] = env.channel.messages
    assert message.text.startswith("done")
    assert message.edits == ["**2 videos on the way**\nfirst video"]
    assert message.accent_color is None
    assert message.mentions == set()
    assert message.mentioned == [env.alice.id]


async def test_a_nested_button_is_pressed_by_label_or_custom_id(env: ClientEnv, client: Client) -> None:
    await send(client, env, view=card())
    [message] = env.channel.messages

    for wanted in ("Notify me too", "notify:vgen_1"):
        pressed = await env.alice.press(message, wanted)
        assert pressed.message is not None
        assert pressed.message.text == "noted for vgen_1"
    with pytest.raises(ValueError, match="disabled"):
        await env.alice.press(message, "Stop")
    with pytest.raises(ValueError, match="link"):
        await env.alice.press(message, "Watch")


@pytest.mark.usefixtures("client")
async def test_a_command_is_answered_with_a_card(env: ClientEnv) -> None:
    reply = await env.alice.slash(env.channel, "card now")

    assert reply.message is not None
    assert reply.ephemeral
    assert reply.message.flags == V2 | EPHEMERAL
    assert reply.message.accent_color == AMBER


@pytest.mark.usefixtures("client")
async def test_a_placeholder_becomes_a_card_and_another_follows(env: ClientEnv) -> None:
    reply = await env.alice.slash(env.channel, "card later")
    await env.discord.until(lambda: reply.followups)

    assert reply.message is not None
    assert [each.text.split("\n")[0] for each in env.channel.messages] == ["later", "and another"]
    assert [each.is_v2 for each in env.channel.messages] == [True, True]


@pytest.mark.usefixtures("client")
async def test_a_button_changes_its_card(env: ClientEnv) -> None:
    reply = await env.alice.slash(env.channel, "card pressable")
    assert reply.message is not None

    await env.bob.press(reply.message, "Change")

    assert (reply.message.text, reply.message.buttons) == ("changed", [])
    assert reply.message.is_v2


@pytest.mark.usefixtures("client")
async def test_errors_of_a_callback_are_below_data(env: ClientEnv) -> None:
    reply = await env.alice.slash(env.channel, "card broken")

    assert reply.message is not None
    assert "In data.components" in reply.message.text
    assert "'data': {'components'" in errors_of(env)


# --- what Discord refuses


def text(content: str = "x") -> dict[str, Any]:
    return {"type": 10, "content": content}


def button(**changes: Any) -> dict[str, Any]:
    return {"type": 2, "style": 2, "label": "A", "custom_id": "a", **changes}


def row(*buttons: dict[str, Any]) -> dict[str, Any]:
    return {"type": 1, "components": list(buttons)}


def container(*parts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"type": 17, "components": list(parts), **fields}


def section(*parts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"type": 9, "components": list(parts), **({"accessory": button()} | fields)}


def picture(url: str = "https://example.org/a.png") -> dict[str, Any]:
    return {"media": {"url": url}}


FIVE = [button(custom_id=str(number)) for number in range(5)]


@pytest.mark.parametrize(
    ("broken", "path", "code"),
    [
        ({"type": 99}, "components.0", "UNION_TYPE_CHOICES"),
        (button(), "components.0", "UNION_TYPE_CHOICES"),
        (container(text(), container(text())), "components.0.components.1", "UNION_TYPE_CHOICES"),
        (container(text(), button()), "components.0.components.1", "UNION_TYPE_CHOICES"),
        (container(), "components.0.components", "BASE_TYPE_BAD_LENGTH"),
        (container(text(), accent_color=0x1000000), "components.0.accent_color", "NUMBER_TYPE_MAX"),
        (container(text(), accent_color=-1), "components.0.accent_color", "NUMBER_TYPE_MIN"),
        (section(), "components.0.components", "BASE_TYPE_BAD_LENGTH"),
        (section(*[text()] * 4), "components.0.components", "BASE_TYPE_BAD_LENGTH"),
        (section(row(button())), "components.0.components.0", "UNION_TYPE_CHOICES"),
        (section(text(), accessory=None), "components.0.accessory", "BASE_TYPE_REQUIRED"),
        (section(text(), accessory=text()), "components.0.accessory", "UNION_TYPE_CHOICES"),
        (text(""), "components.0.content", "BASE_TYPE_BAD_LENGTH"),
        ({"type": 10}, "components.0.content", "BASE_TYPE_REQUIRED"),
        (text("x" * 4001), "components", "COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED"),
        (row(), "components.0.components", "BASE_TYPE_BAD_LENGTH"),
        (row(*FIVE, button()), "components.0.components", "BASE_TYPE_BAD_LENGTH"),
        (row(text()), "components.0.components.0", "UNION_TYPE_CHOICES"),
        (row(button(label="x" * 81)), "components.0.components.0.label", "BASE_TYPE_MAX_LENGTH"),
        (row(button(label=None)), "components.0.components.0.label", "BUTTON_COMPONENT_LABEL_REQUIRED"),
        (row(button(custom_id="x" * 101)), "components.0.components.0.custom_id", "BASE_TYPE_BAD_LENGTH"),
        (row(button(custom_id="")), "components.0.components.0.custom_id", "BASE_TYPE_BAD_LENGTH"),
        (
            *(row(button(custom_id=None)), "components.0.components.0.custom_id"),
            "BUTTON_COMPONENT_CUSTOM_ID_REQUIRED",
        ),
        (
            *(row(button(style=5, url="https://example.org")), "components.0.components.0.custom_id"),
            "BUTTON_COMPONENT_CUSTOM_ID_URL_MUTUALLY_EXCLUSIVE",
        ),
        (
            *(row(button(url="https://example.org")), "components.0.components.0.url"),
            "BUTTON_COMPONENT_CUSTOM_ID_URL_MUTUALLY_EXCLUSIVE",
        ),
        (
            *(row(button(style=5, custom_id=None)), "components.0.components.0.url"),
            "BUTTON_COMPONENT_URL_REQUIRED",
        ),
        (
            row(button(style=5, custom_id=None, url="https://example.org/" + "a" * 500)),
            "components.0.components.0.url",
            "BASE_TYPE_MAX_LENGTH",
        ),
        (
            row(button(style=5, custom_id=None, url="ftp://example.org")),
            "components.0.components.0.url",
            "URL_TYPE_INVALID_SCHEME",
        ),
        (row(button(style=9)), "components.0.components.0.style", "BASE_TYPE_CHOICES"),
        (
            container(row(button()), row(button())),
            "components.0.components.1.components.0.custom_id",
            "COMPONENT_CUSTOM_ID_DUPLICATED",
        ),
        (
            container(text() | {"id": 7}, text() | {"id": 7}),
            "components.0.components.1.id",
            "COMPONENT_ID_DUPLICATED",
        ),
        ({"type": 12, "items": []}, "components.0.items", "BASE_TYPE_BAD_LENGTH"),
        ({"type": 12, "items": [picture()] * 11}, "components.0.items", "BASE_TYPE_BAD_LENGTH"),
        (
            {"type": 12, "items": [picture("attachment://gone.png")]},
            "components.0.items.0.media.url",
            "UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND",
        ),
        (
            {"type": 13, "file": {"url": "https://example.org/a.pdf"}},
            "components.0.file.url",
            "UNFURLED_MEDIA_ITEM_ATTACHMENT_REQUIRED",
        ),
        ({"type": 14, "spacing": 3}, "components.0.spacing", "BASE_TYPE_CHOICES"),
        (container(*[text()] * 40), "components", "COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED"),
    ],
)
async def test_broken_components_are_refused(
    env: ClientEnv, client: Client, broken: dict[str, Any], path: str, code: str
) -> None:
    with pytest.raises(discord.HTTPException) as refused:
        await post(client, env, {"flags": V2, "components": [broken]})

    assert (refused.value.status, refused.value.code) == (400, 50035)
    assert f"In {path}: " in str(refused.value)
    assert f"'code': '{code}'" in errors_of(env)
    assert env.channel.messages == []


async def test_all_that_is_allowed_is_taken(env: ClientEnv, client: Client) -> None:
    parts = [text("x" * 400)] * 9 + [section(text(), text(), text()), row(*FIVE)]
    fits = container(*parts, *[{"type": 14}] * 18, accent_color=0xFFFFFF)

    await post(client, env, {"flags": V2, "components": [fits]})

    [message] = env.channel.messages
    assert len(message.buttons) == 6


@pytest.mark.parametrize("kind", [9, 10, 12, 13, 14, 17])
async def test_new_kinds_need_the_flag(env: ClientEnv, client: Client, kind: int) -> None:
    with pytest.raises(discord.HTTPException) as refused:
        await post(client, env, {"content": "x", "components": [{"type": kind}]})

    assert 'Value of field "type" must be one of (1,).' in str(refused.value)
    assert "UNION_TYPE_CHOICES" in errors_of(env)


async def test_without_the_flag_there_are_five_rows(env: ClientEnv, client: Client) -> None:
    rows = [row(button(custom_id=str(number))) for number in range(6)]

    await post(client, env, {"content": "x", "components": rows[:5]})
    with pytest.raises(discord.HTTPException):
        await post(client, env, {"content": "x", "components": rows})

    assert "Must be 5 or fewer in length" in errors_of(env)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("content", "x"),
        ("embeds", [{"title": "x"}]),
        ("sticker_ids", ["1"]),
        ("poll", {"question": {"text": "?"}, "answers": [{"poll_media": {"text": "!"}}]}),
    ],
)
async def test_with_the_flag_a_message_has_components_only(
    env: ClientEnv, client: Client, name: str, value: object
) -> None:
    with pytest.raises(discord.HTTPException) as refused:
        await post(client, env, {"flags": V2, "components": [text()], name: value})

    assert f"In {name}: The '{name}' field cannot be used" in str(refused.value)
    assert "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2" in errors_of(env)


async def test_a_card_without_components_is_empty(env: ClientEnv, client: Client) -> None:
    with pytest.raises(discord.HTTPException) as refused:
        await post(client, env, {"flags": V2, "components": []})

    assert refused.value.code == 50006
    assert "50006" in errors_of(env)


async def test_discord_breaks_on_too_many_bytes_of_text(env: ClientEnv, client: Client) -> None:
    """Chinese has three bytes in a character, so that 4,000 characters are not always possible."""
    await post(client, env, {"flags": V2, "components": [text("视" * 3386)]})
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("asyncio.sleep", _no_pause)
        with pytest.raises(discord.DiscordServerError):
            await post(client, env, {"flags": V2, "components": [text("视" * 3387)]})

    assert "500: Internal Server Error" in errors_of(env)


async def _no_pause(_seconds: float, _result: object = None) -> None:
    """Without the pauses of discord.py between its five tries."""


# --- flags and edits


async def test_a_message_with_content_becomes_a_card_without_it(env: ClientEnv, client: Client) -> None:
    await post(client, env, {"content": "x", "embeds": [{"title": "t"}]})
    [message] = env.channel.messages
    change = {"flags": V2, "components": [text("card")]}

    with pytest.raises(discord.HTTPException) as refused:
        await patch(client, env, message, change)
    assert "In content: The 'content' field cannot be used" in str(refused.value)
    assert "In embeds: The 'embeds' field cannot be used" in str(refused.value)
    assert errors_of(env)
    await patch(client, env, message, change | {"content": None, "embeds": []})

    assert (message.text, message.is_v2, message.embeds) == ("card", True, [])


async def test_a_card_stays_a_card(env: ClientEnv, client: Client) -> None:
    await post(client, env, {"flags": V2, "components": [text("card")]})
    [message] = env.channel.messages

    with pytest.raises(discord.HTTPException):
        await patch(client, env, message, {"content": "x", "components": []})
    with pytest.raises(discord.HTTPException):
        await patch(client, env, message, {"flags": 0, "embeds": [{"title": "t"}]})
    assert errors_of(env).count("LEGACY_FIELDS") == 2
    answer = await patch(client, env, message, {"flags": 0, "components": [text("still")]})

    assert (answer["flags"], message.text) == (V2, "still")


async def test_an_edit_changes_two_flags_only(env: ClientEnv, client: Client) -> None:
    await post(client, env, {"content": "x", "flags": SUPPRESS_EMBEDS | SUPPRESS_NOTIFICATIONS})
    [message] = env.channel.messages

    await patch(client, env, message, {"flags": EPHEMERAL})
    assert message.flags == SUPPRESS_NOTIFICATIONS
    await patch(client, env, message, {"flags": SUPPRESS_EMBEDS})
    assert message.flags == SUPPRESS_EMBEDS | SUPPRESS_NOTIFICATIONS


# --- files


def clip(name: str = "veo_1.mp4") -> discord.File:
    return discord.File(io.BytesIO(b"film"), name, description="a cat")


async def test_files_of_a_card_are_in_its_components(env: ClientEnv, client: Client) -> None:
    view = discord.ui.LayoutView()
    view.add_item(discord.ui.MediaGallery(discord.MediaGalleryItem("attachment://veo_1.mp4")))
    view.add_item(discord.ui.File("attachment://log.txt"))

    sent = await send(client, env, view=view, files=[clip(), clip("log.txt")])

    gallery, file = sent.components
    assert isinstance(gallery, discord.components.MediaGalleryComponent)
    assert isinstance(file, discord.components.FileComponent)
    [message] = env.channel.messages
    assert [each.filename for each in message.attachments] == ["veo_1.mp4", "log.txt"]
    assert sent.attachments == []
    assert gallery.items[0].media.url == message.attachments[0].url
    assert gallery.items[0].media.attachment_id == message.attachments[0].id
    assert (file.name, file.size) == ("log.txt", 4)


async def test_a_file_that_no_component_names_is_a_surprise(env: ClientEnv, client: Client) -> None:
    await send(client, env, view=note("x"), file=clip())

    assert env.discord.surprises == ["nobody sees the files ['veo_1.mp4'], because no component names them"]
    env.discord.surprises.clear()
