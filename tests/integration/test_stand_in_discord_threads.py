"""Private threads: who sees them, what the gateway tells the bot about them, and commands in them."""

from collections.abc import AsyncIterator, Awaitable, Callable

import discord
import pytest
from discord.http import Route

from sandbox.discord import Channel
from tests.integration.test_stand_in_discord import Client, ClientEnv, open_env


class ThreadClient(Client):
    """Notes what happens to threads, and the channel of each interaction."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[object] = []
        self.allowed: list[discord.Permissions] = []

    async def on_thread_create(self, thread: discord.Thread) -> None:
        self._note(f"create {thread.name}")

    async def on_thread_join(self, thread: discord.Thread) -> None:
        self._note(f"join {thread.name}")

    async def on_thread_update(self, _: discord.Thread, thread: discord.Thread) -> None:
        self._note(f"update {thread.name}")

    async def on_thread_remove(self, thread: discord.Thread) -> None:
        self._note(f"remove {thread.name}")

    async def on_interaction(self, interaction: discord.Interaction) -> None:
        self.places.append(interaction.channel)
        self.allowed.append(interaction.app_permissions)


@pytest.fixture
async def env() -> AsyncIterator[ClientEnv]:
    async with open_env() as env:
        yield env
        env.discord.check()


@pytest.fixture
async def client(env: ClientEnv) -> ThreadClient:
    client = ThreadClient()
    await env.client(client)
    return client


@pytest.fixture
def thread(env: ClientEnv) -> Channel:
    return env.channel.add_thread("takes", private=True)


async def asks(client: Client, channel: Channel) -> list[Callable[[], Awaitable[object]]]:
    place = client.get_partial_messageable(channel.id)

    async def history() -> object:
        return [message async for message in place.history()]

    return [lambda: client.fetch_channel(channel.id), history, lambda: place.send("hi")]


async def refusals(client: Client, channel: Channel) -> list[tuple[int, int]]:
    codes = []
    for ask in await asks(client, channel):
        with pytest.raises(discord.HTTPException) as refused:
            await ask()
        codes.append((refused.value.status, refused.value.code))
    return codes


async def test_non_member_cannot_use_a_private_thread(
    env: ClientEnv, client: ThreadClient, thread: Channel
) -> None:
    assert await refusals(client, thread) == [(403, 50001)] * 3

    env.discord.hidden_threads_exist = False
    assert await refusals(client, thread) == [(404, 10003)] * 3
    assert thread.messages == []


async def test_members_and_thread_managers_can_use_a_private_thread(
    env: ClientEnv, client: ThreadClient, thread: Channel
) -> None:
    thread.add_member(env.discord.bot)
    fetched = await client.fetch_channel(thread.id)
    await client.get_partial_messageable(thread.id).send("as a member")

    thread.remove_member(env.discord.bot)
    assert await refusals(client, thread) == [(403, 50001)] * 3

    env.channel.allow(env.discord.bot, "manage_threads")
    await client.get_partial_messageable(thread.id).send("as a manager")

    assert isinstance(fetched, discord.Thread)
    assert fetched.is_private()
    assert [message.content for message in thread.messages] == ["as a member", "as a manager"]


async def test_member_who_cannot_see_the_parent_cannot_see_the_thread(
    env: ClientEnv, client: ThreadClient, thread: Channel
) -> None:
    thread.add_member(env.discord.bot)
    env.channel.deny(env.discord.bot, "view_channel")

    assert await refusals(client, thread) == [(403, 50001)] * 3


async def test_gateway_tells_of_a_private_thread_while_the_bot_is_in_it(
    env: ClientEnv, client: ThreadClient
) -> None:
    env.channel.add_thread("public")
    thread = env.channel.add_thread("private", private=True)
    thread.add_member(env.alice)
    thread.locked = True
    thread.add_member(env.discord.bot)
    thread.locked = False
    thread.remove_member(env.discord.bot)
    await thread.delete()
    env.guild.premium_tier = 3

    await client.has_seen(
        "create public",
        "join private",
        "join private",
        "update private",
        "remove private",
        f"delete thread {thread.id}",
        "tier 3",
    )
    assert client.guilds[0].get_thread(thread.id) is None


async def test_joined_thread_carries_the_bots_membership(
    env: ClientEnv, client: ThreadClient, thread: Channel
) -> None:
    thread.add_member(env.discord.bot)
    await client.has_seen("join takes", "join takes")

    joined = client.guilds[0].get_thread(thread.id)

    assert joined is not None
    assert joined.me is not None
    assert joined.me.id == env.discord.bot.id


async def test_manager_of_threads_is_told_of_private_ones(env: ClientEnv, client: ThreadClient) -> None:
    env.channel.allow(env.discord.bot, "manage_threads")

    thread = env.channel.add_thread("takes", private=True)
    await client.has_seen("create takes")
    await thread.delete()

    await client.has_seen("create takes", f"delete thread {thread.id}")
    assert client.guilds[0].get_thread(thread.id) is None


async def test_new_session_gets_the_active_threads_that_the_bot_sees(env: ClientEnv) -> None:
    env.channel.add_thread("public")
    env.channel.add_thread("private", private=True)
    env.channel.add_thread("joined", private=True).add_member(env.discord.bot)
    env.channel.add_thread("old").archived = True
    hidden = env.guild.add_channel("staff")
    hidden.add_thread("hidden")
    hidden.deny(env.discord.bot, "view_channel")

    client = await env.client()

    threads = client.guilds[0].threads
    assert sorted(thread.name for thread in threads) == ["joined", "public"]
    assert {thread.name for thread in threads if thread.me is not None} == {"joined"}


async def test_archived_thread_leaves_the_clients_cache(env: ClientEnv, client: ThreadClient) -> None:
    thread = env.channel.add_thread("takes")
    await client.has_seen("create takes")

    thread.archived = True
    await client.has_seen("create takes", "update takes")
    assert client.get_channel(thread.id) is None

    thread.archived = False
    await client.has_seen("create takes", "update takes", "join takes")
    assert client.get_channel(thread.id) is not None


async def test_command_works_in_a_private_thread_without_the_bot(
    env: ClientEnv, client: ThreadClient, thread: Channel
) -> None:
    thread.add_member(env.alice)

    reply = await env.alice.slash(thread, "veo track", id="vgen_1")

    assert reply.message is not None
    assert reply.message.channel is thread
    [place] = client.places
    assert isinstance(place, discord.Thread)
    assert place.is_private()
    assert client.allowed[0].send_messages_in_threads
    assert await refusals(client, thread) == [(403, 50001)] * 3


async def test_only_its_members_use_commands_in_a_private_thread(
    env: ClientEnv, client: ThreadClient, thread: Channel
) -> None:
    with pytest.raises(ValueError, match="cannot write"):
        await env.alice.slash(thread, "veo track", id="vgen_1")
    assert client.places == []


async def test_mention_in_a_private_thread_adds_the_bot(
    env: ClientEnv, client: ThreadClient, thread: Channel
) -> None:
    thread.add_member(env.alice)

    env.alice.say(thread, f"<@{env.discord.bot.id}> come in")

    await client.fetch_channel(thread.id)
    assert set(thread.thread_members) == {env.alice.id, env.discord.bot.id}


async def test_private_thread_can_be_changed_by_its_member(
    env: ClientEnv, client: ThreadClient, thread: Channel
) -> None:
    route = Route("PATCH", "/channels/{channel_id}", channel_id=thread.id)
    with pytest.raises(discord.Forbidden):
        await client.http.request(route, json={"archived": True})

    thread.add_member(env.discord.bot)
    await client.http.request(route, json={"archived": True})

    assert thread.archived
