"""A channel's history over REST, its lag, and direct messages with buttons."""

import math
from collections.abc import AsyncIterator
from typing import Any

import discord
import pytest
from discord.http import Route

from sandbox.discord import Channel
from tests.integration.test_stand_in_discord import Client, ClientEnv, NotifyButton, open_env


@pytest.fixture
async def env() -> AsyncIterator[ClientEnv]:
    async with open_env() as env:
        yield env
        env.discord.check()


@pytest.fixture
async def client(env: ClientEnv) -> Client:
    return await env.client()


async def listed(client: Client, channel: Channel, **query: Any) -> list[str]:
    """The contents that one request for the history answers with, in its order."""
    route = Route("GET", "/channels/{channel_id}/messages", channel_id=channel.id)
    answer: list[dict[str, Any]] = await client.http.request(route, params=query)
    return [message["content"] for message in answer]


def button() -> discord.ui.View:
    view = discord.ui.View(timeout=None)
    view.add_item(NotifyButton("vgen_1"))
    return view


async def test_every_page_is_newest_first(env: ClientEnv, client: Client) -> None:
    posts = [env.alice.say(env.channel, str(number)) for number in range(6)]

    assert await listed(client, env.channel, limit=2) == ["5", "4"]
    assert await listed(client, env.channel, before=posts[3].id, limit=2) == ["2", "1"]
    assert await listed(client, env.channel, after=posts[1].id, limit=2) == ["3", "2"]
    assert await listed(client, env.channel, after=0, limit=2) == ["1", "0"]
    assert await listed(client, env.channel, around=posts[3].id, limit=3) == ["4", "3", "2"]


async def test_page_has_fifty_messages_and_at_most_a_hundred(env: ClientEnv, client: Client) -> None:
    for number in range(101):
        env.alice.say(env.channel, str(number))

    assert len(await listed(client, env.channel)) == 50
    assert len(await listed(client, env.channel, limit=100)) == 100
    for limit in (0, 101):
        with pytest.raises(discord.HTTPException) as refused:
            await listed(client, env.channel, limit=limit)
        assert (refused.value.status, refused.value.code) == (400, 50035)


async def test_deleted_and_ephemeral_messages_are_not_listed(env: ClientEnv, client: Client) -> None:
    env.alice.delete(env.alice.say(env.channel, "gone"))
    await env.alice.slash(env.channel, "veo whisper")

    assert await listed(client, env.channel) == []


async def test_new_message_is_missing_from_a_number_of_requests(env: ClientEnv, client: Client) -> None:
    env.alice.say(env.channel, "old")
    env.discord.history_lag = 2
    new = env.alice.say(env.channel, "new")

    pages = [await listed(client, env.channel) for _ in range(3)]

    assert pages == [["old"], ["old"], ["new", "old"]]
    assert (await client.get_partial_messageable(env.channel.id).fetch_message(new.id)).content == "new"


async def test_requests_elsewhere_do_not_shorten_the_lag(env: ClientEnv, client: Client) -> None:
    env.discord.history_lag = 1
    env.alice.say(env.channel, "new")

    await listed(client, env.guild.add_channel("other"))

    assert await listed(client, env.channel) == []
    assert await listed(client, env.channel) == ["new"]


async def test_lag_can_last_until_it_is_released(env: ClientEnv, client: Client) -> None:
    env.discord.history_lag = math.inf
    env.alice.say(env.channel, "new")

    assert [await listed(client, env.channel) for _ in range(5)] == [[]] * 5
    env.discord.release_history()
    assert await listed(client, env.channel) == ["new"]


async def test_direct_messages_have_a_history_and_can_be_deleted(env: ClientEnv, client: Client) -> None:
    direct = client.get_partial_messageable(env.alice.direct_channel.id)
    env.alice.say(env.alice.direct_channel, "hello")
    sent = await direct.send("your video", view=button(), nonce="delivery-1")

    found = [message async for message in direct.history(after=discord.Object(0))]

    assert [(message.content, message.author.id) for message in found] == [
        ("hello", env.alice.id),
        ("your video", env.discord.bot.id),
    ]
    assert found[1].components
    await direct.get_partial_message(sent.id).delete()
    assert await listed(client, env.alice.direct_channel) == ["hello"]


async def test_foreign_direct_message_cannot_be_deleted(env: ClientEnv, client: Client) -> None:
    post = env.alice.say(env.alice.direct_channel, "hello")

    with pytest.raises(discord.Forbidden):
        await client.get_partial_messageable(post.channel_id).get_partial_message(post.id).delete()


async def test_button_below_a_direct_message_is_pressed(env: ClientEnv, client: Client) -> None:
    guilds: list[discord.Guild | None] = []

    async def on_interaction(interaction: discord.Interaction) -> None:
        guilds.append(interaction.guild)

    client.event(on_interaction)
    await client.get_partial_messageable(env.alice.direct_channel.id).send("your video", view=button())

    pressed = await env.alice.press(env.alice.direct_channel.messages[0], "Notify me too")

    assert pressed.ephemeral
    assert pressed.message is not None
    assert pressed.message.content == "noted for vgen_1"
    assert guilds == [None]


async def test_button_below_a_direct_message_edits_it(env: ClientEnv, client: Client) -> None:
    direct = client.get_partial_messageable(env.alice.direct_channel.id)
    sent = await direct.send("your video", view=button())

    await direct.get_partial_message(sent.id).edit(content="watched", view=None)

    [message] = env.alice.direct_channel.messages
    assert (message.content, message.buttons, message.edits) == ("watched", [], ["your video"])
