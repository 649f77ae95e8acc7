"""The stand-in keeps to Discord's description, and records what Discord would not know as a surprise."""

import json
from collections.abc import AsyncIterator
from typing import Any

import discord
import pytest
from discord.http import Route

from sandbox.discord import StandInDiscord, command_limits, component_limits, components, locales
from sandbox.discord.contract import DESCRIPTION
from tests.integration.test_stand_in_discord import ClientEnv, open_env


@pytest.fixture
async def env() -> AsyncIterator[ClientEnv]:
    async with open_env() as env:
        yield env


@pytest.fixture
def described(env: ClientEnv) -> None:
    if not env.discord.contract_checked:
        pytest.skip("Discord's OpenAPI description is not beside this repository")


async def test_an_unknown_route_is_a_surprise(env: ClientEnv) -> None:
    client = await env.client()

    with pytest.raises(discord.NotFound):
        await client.fetch_sticker(1)

    assert env.discord.surprises == ["unknown route: GET /stickers/1"]
    with pytest.raises(AssertionError, match="unknown route"):
        env.discord.check()


@pytest.mark.usefixtures("described")
async def test_unknown_fields_and_wrong_types_are_surprises(env: ClientEnv) -> None:
    client = await env.client()
    route = Route("POST", "/channels/{channel_id}/messages", channel_id=env.channel.id)

    await client.http.request(route, json={"content": "x", "colour": "red"})
    await client.http.request(route, json={"content": "x", "tts": "loud"})

    unknown, wrong = env.discord.surprises
    assert "POST /channels/{channel_id}/messages was sent" in unknown
    assert "'colour' was unexpected" in unknown
    assert "$.tts" in wrong
    with pytest.raises(AssertionError, match="contract"):
        env.discord.check()


@pytest.mark.usefixtures("described")
async def test_answers_keep_to_discords_description(env: ClientEnv) -> None:
    """Every route is asked once; a violation of the description would be a surprise."""
    env.guild.add_channel("talk", kind="voice")
    env.guild.add_channel("news", kind="news").add_thread("today")
    env.guild.add_channel("ideas", kind="forum")
    env.channel.add_thread("takes", private=True).add_member(env.discord.bot)
    client = await env.client()

    await _walk_messages(env, client)
    await _walk_interactions(env)
    await _walk_places(env, client)

    env.discord.check()
    asked = {(request.method, request.path.split("/")[1]) for request in env.discord.record}
    assert len(asked) >= 12


async def _walk_messages(env: ClientEnv, client: discord.Client) -> None:
    channel = client.get_partial_messageable(env.channel.id)
    post = env.alice.say(env.channel, "hello")
    embed = discord.Embed(title="t", description="d", url="https://example.org")
    embed.add_field(name="a", value="b").set_footer(text="f")
    sent = await channel.send("x", embed=embed, reference=await channel.fetch_message(post.id))
    await sent.edit(content="y", embed=None)
    assert [message.content async for message in channel.history()] == ["y", "hello"]
    await sent.delete()


async def _walk_interactions(env: ClientEnv) -> None:
    tracked = await env.alice.slash(env.channel, "veo track", id="vgen_1")
    assert tracked.message is not None
    await env.alice.press(tracked.message, "Notify me too")
    await env.alice.slash(env.channel, "veo slow", id="vgen_1")
    whispered = await env.alice.slash(env.channel, "veo whisper")
    await env.discord.until(lambda: whispered.followups)
    await env.alice.autocomplete(env.channel, "veo status", focused="id", id="v")
    await env.alice.message_command(tracked.message, "Track Veo tasks")


async def _walk_places(env: ClientEnv, client: discord.Client) -> None:
    for channel in env.guild.channels:
        await client.fetch_channel(channel.id)
    guild = await client.fetch_guild(env.guild.id, with_counts=False)
    assert len(await guild.fetch_channels()) == 4
    await client.application_info()
    direct = await client.create_dm(discord.Object(env.alice.id))
    await direct.send("psst")
    await client.http.request(Route("GET", "/gateway"))
    await client.http.get_bot_gateway()
    with pytest.raises(discord.NotFound):
        await client.fetch_channel(1)


async def test_the_second_and_the_late_callback_are_refused(env: ClientEnv) -> None:
    client = await env.client()
    reply = await env.alice.slash(env.channel, "veo slow", id="vgen_1")
    interaction = reply.interaction
    route = Route(
        "POST",
        "/interactions/{webhook_id}/{webhook_token}/callback",
        webhook_id=interaction.id,
        webhook_token=interaction.token,
    )

    with pytest.raises(discord.HTTPException) as second:
        await client.http.request(route, json={"type": 5})
    interaction.callback_type, interaction.failed = None, True
    with pytest.raises(discord.NotFound) as late:
        await client.http.request(route, json={"type": 5})

    assert (second.value.status, second.value.code) == (400, 40060)
    assert late.value.code == 10062


async def test_an_interactions_token_expires(env: ClientEnv) -> None:
    client = await env.client()
    reply = await env.alice.slash(env.channel, "veo slow", id="vgen_1")
    env.discord.interaction_lifetime = 0
    route = Route(
        "GET",
        "/webhooks/{webhook_id}/{webhook_token}/messages/@original",
        webhook_id=env.discord.bot.id,
        webhook_token=reply.interaction.token,
    )

    with pytest.raises(discord.HTTPException) as refused:
        await client.http.request(route)

    assert (refused.value.status, refused.value.code) == (401, 50027)


async def test_ids_are_real_snowflakes(env: ClientEnv) -> None:
    before = discord.utils.utcnow()
    ids = [env.alice.say(env.channel, "x").id for _ in range(100)]

    assert ids == sorted(set(ids))
    assert abs((discord.utils.snowflake_time(ids[0]) - before).total_seconds()) < 1
    assert env.channel.messages[0].created_at == discord.utils.snowflake_time(ids[0])


async def test_listeners_are_called_for_every_change() -> None:
    async with StandInDiscord() as stand_in:
        heard: list[str] = []
        stand_in.world.listeners.append(lambda change: heard.append(change.kind))
        guild = stand_in.add_guild("Studio")
        alice = stand_in.add_person("alice")
        guild.join(alice)
        alice.delete(alice.say(guild.add_channel("renders"), "hi"))

    assert heard == [
        "guild added",
        "user added",
        "member joined",
        "channel added",
        "message posted",
        "message deleted",
    ]


def schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DESCRIPTION.read_text())["components"]["schemas"][name]
    return found


def fields(kind: str) -> dict[str, Any]:
    """The fields of a component in a request, by Discord's description."""
    found: dict[str, Any] = schema(f"{kind}ComponentForMessageRequest")["properties"]
    return found


def kinds(choice: dict[str, Any]) -> set[int]:
    """The component types that a field of the description takes."""
    found = set()
    for each in choice.get("oneOf", [choice]):
        found.update(schema(each["$ref"].rpartition("/")[2])["properties"]["type"]["enum"])
    return found


@pytest.mark.usefixtures("described")
def test_limits_of_components_are_those_of_the_description() -> None:
    button, container, section = fields("Button"), fields("Container"), fields("Section")
    limits = component_limits
    assert button["label"]["maxLength"] == limits.LABEL
    assert (button["custom_id"]["minLength"], button["custom_id"]["maxLength"]) == (1, limits.CUSTOM_ID)
    assert button["url"]["maxLength"] == limits.BUTTON_URL
    assert container["accent_color"]["maximum"] == limits.MAX_COLOR
    assert container["components"]["maxItems"] == limits.COMPONENTS
    assert section["components"]["maxItems"] == limits.SECTION_TEXTS
    assert fields("ActionRow")["components"]["maxItems"] == limits.BUTTONS_IN_ROW
    assert fields("TextDisplay")["content"]["maxLength"] == limits.TEXT
    assert fields("MediaGallery")["items"]["maxItems"] == limits.GALLERY_ITEMS
    assert fields("Thumbnail")["description"]["maxLength"] == limits.DESCRIPTION
    assert schema("MessageAttachmentRequest")["properties"]["description"]["maxLength"] == limits.DESCRIPTION


@pytest.mark.usefixtures("described")
def test_components_take_the_children_of_the_description() -> None:
    limits = component_limits
    top = schema("MessageCreateRequest")["properties"]["components"]["items"]
    assert kinds(top) == set(limits.TOP_V2)
    assert kinds(fields("Container")["components"]["items"]) == set(limits.IN_CONTAINER)
    assert kinds(fields("ActionRow")["components"]["items"]) == set(limits.IN_ROW)
    assert kinds(fields("Section")["components"]["items"]) == {components.TEXT_DISPLAY}
    assert kinds(fields("Section")["accessory"]) == set(limits.ACCESSORIES)


@pytest.mark.usefixtures("described")
def test_locales_and_limits_of_commands_are_those_of_the_description() -> None:
    command = schema("ApplicationCommandUpdateRequest")["properties"]
    choice = schema("ApplicationCommandOptionStringChoice")["properties"]
    assert {each["const"] for each in schema("AvailableLocalesEnum")["oneOf"]} == locales.LOCALES
    assert command["name_localizations"]["maxProperties"] == len(locales.LOCALES)
    assert command["name_localizations"]["additionalProperties"]["maxLength"] == command_limits.NAME
    translated = command["description_localizations"]["additionalProperties"]
    assert translated["maxLength"] == command_limits.DESCRIPTION
    assert choice["name_localizations"]["additionalProperties"]["maxLength"] == command_limits.CHOICE_NAME
