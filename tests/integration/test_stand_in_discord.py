"""The real discord.py client against the stand-in: log in, commands, interactions, buttons.

The client below is deliberately small and no part of the bot; the other files of this family use it too.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import discord
import pytest
import yarl
from discord import app_commands
from discord.gateway import DiscordWebSocket
from discord.http import Route

from sandbox.discord import Channel, Guild, InteractionFailed, Person, StandInDiscord
from sandbox.patience import PATIENCE

Asked = discord.Interaction["Client"]


class NotifyButton(
    discord.ui.DynamicItem[discord.ui.Button[discord.ui.View]], template=r"notify:(?P<id>\w+)"
):
    """A button that survives a restart: everything it needs is in its custom id."""

    def __init__(self, task_id: str) -> None:
        self.task_id = task_id
        super().__init__(discord.ui.Button(label="Notify me too", custom_id=f"notify:{task_id}"))

    @classmethod
    async def from_custom_id(cls, _interaction: Any, _item: Any, match: Any, /) -> Self:
        return cls(match["id"])

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        await interaction.response.send_message(f"noted for {self.task_id}", ephemeral=True)


class Client(discord.Client):
    def __init__(self) -> None:
        super().__init__(
            intents=discord.Intents(guilds=True),
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            max_messages=None,
            guild_ready_timeout=0.1,
        )
        self.seen: list[str] = []
        self._noted = asyncio.Event()
        self.tree = app_commands.CommandTree(self)
        self.tree.add_command(_group())
        self.tree.add_command(app_commands.ContextMenu(name="Track Veo tasks", callback=_track_message))

    def _note(self, event: str) -> None:
        self.seen.append(event)
        self._noted.set()

    async def has_seen(self, *events: str) -> None:
        """Wait until these are the latest events."""
        async with asyncio.timeout(PATIENCE):
            while self.seen[-len(events) :] != list(events):
                self._noted.clear()
                await self._noted.wait()

    async def before_identify_hook(self, _shard_id: int | None, *, initial: bool = False) -> None:
        """Without the five seconds that discord.py waits before it identifies a second time."""

    async def setup_hook(self) -> None:
        self.add_dynamic_items(NotifyButton)
        await self.tree.sync()

    async def on_connect(self) -> None:
        self._note("connect")

    async def on_resumed(self) -> None:
        self._note("resumed")

    async def on_guild_join(self, guild: discord.Guild) -> None:
        self._note(f"join {guild.name}")

    async def on_guild_remove(self, guild: discord.Guild) -> None:
        self._note(f"remove {guild.name}")

    async def on_guild_unavailable(self, guild: discord.Guild) -> None:
        self._note(f"unavailable {guild.name}")

    async def on_guild_available(self, guild: discord.Guild) -> None:
        self._note(f"available {guild.name}")

    async def on_guild_update(self, _: discord.Guild, after: discord.Guild) -> None:
        self._note(f"tier {after.premium_tier}")

    async def on_guild_channel_delete(self, channel: discord.abc.GuildChannel) -> None:
        self._note(f"delete {channel.name}")

    async def on_raw_thread_delete(self, payload: discord.RawThreadDeleteEvent) -> None:
        self._note(f"delete thread {payload.thread_id}")


def _group() -> app_commands.Group:
    group = app_commands.Group(name="veo", description="Videos")

    @group.command(description="Answer at once, with buttons")
    async def track(asked: Asked, id: str, note: str | None = None) -> None:  # noqa: A002
        view = discord.ui.View(timeout=None)
        view.add_item(NotifyButton(id))
        view.add_item(discord.ui.Button(label="Watch", url="https://example.org/watch"))
        await asked.response.send_message(f"tracking {id}: {note}", view=view)

    @group.command(description="Answer after a while")
    async def slow(asked: Asked, id: str) -> None:  # noqa: A002
        await asked.response.defer()
        await asked.edit_original_response(content=f"done with {id}")

    @group.command(description="Answer one person, then add to it")
    async def whisper(asked: Asked) -> None:
        await asked.response.defer(ephemeral=True)
        await asked.followup.send("first", ephemeral=True)
        await asked.followup.send("second", ephemeral=True)

    @group.command(description="Never answer")
    async def ignore(asked: Asked) -> None:
        pass

    @group.command(description="Has autocomplete")
    async def status(asked: Asked, id: str) -> None:  # noqa: A002
        await asked.response.send_message(f"status of {id}")

    @status.autocomplete("id")
    async def complete(asked: Asked, current: str) -> list[app_commands.Choice[str]]:
        return [app_commands.Choice(name=f"{current}-{n}", value=f"{current}{n}") for n in (1, 2)]

    return group


async def _track_message(asked: Asked, message: discord.Message) -> None:
    await asked.response.send_message(f"in {message.content!r} by {message.author.name}", ephemeral=True)


@dataclass
class ClientEnv:
    """A guild with one channel and two members, and clients to start against it."""

    discord: StandInDiscord
    guild: Guild
    channel: Channel
    alice: Person
    bob: Person
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def client(self, client: Client | None = None) -> Client:
        """A client that is ready; it is closed with the environment, or by the test."""
        client = client or Client()
        await self._stack.enter_async_context(client)
        running = asyncio.create_task(client.start(self.discord.token))
        self._stack.push_async_callback(asyncio.wait_for, running, PATIENCE)
        self._stack.push_async_callback(client.close)
        await self.discord.until(lambda: self.discord.connected)
        await asyncio.wait_for(client.wait_until_ready(), PATIENCE)
        return client


@asynccontextmanager
async def open_env() -> AsyncIterator[ClientEnv]:
    addresses = Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY
    async with AsyncExitStack() as stack:
        stand_in = await stack.enter_async_context(StandInDiscord())
        # Longer than the client may pause, and shorter than what waits for its end.
        stand_in.interaction_deadline = PATIENCE / 3
        Route.BASE = stand_in.api_url
        DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(stand_in.gateway_url)
        try:
            yield await _furnished(stand_in, stack)
        finally:
            Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY = addresses


async def _furnished(stand_in: StandInDiscord, stack: AsyncExitStack) -> ClientEnv:
    guild = stand_in.add_guild("Studio")
    alice, bob = stand_in.add_person("alice"), stand_in.add_person("bob")
    guild.join(alice)
    guild.join(bob)
    clients = await stack.enter_async_context(AsyncExitStack())
    return ClientEnv(stand_in, guild, guild.add_channel("renders"), alice, bob, clients)


@pytest.fixture
async def env() -> AsyncIterator[ClientEnv]:
    async with open_env() as env:
        yield env
        env.discord.check()


async def test_client_logs_in_and_sees_the_guild(env: ClientEnv) -> None:
    client = await env.client()

    assert client.seen[0] == "connect"
    assert [guild.name for guild in client.guilds] == ["Studio"]
    assert client.get_channel(env.channel.id) is not None
    assert client.guilds[0].me.guild_permissions.attach_files
    assert env.discord.identifies == 1


async def test_a_wrong_token_is_refused_and_is_a_surprise(env: ClientEnv) -> None:
    async with Client() as client:
        with pytest.raises(discord.LoginFailure):
            await client.login("another")

    assert env.discord.requests("GET", "/users/@me")[0].status == 401
    assert env.discord.surprises.pop().startswith("bad token")


async def test_command_sync_is_recorded_and_keeps_ids(env: ClientEnv) -> None:
    client = await env.client()
    before = {command["name"]: command["id"] for command in env.discord.commands}

    synced = await client.tree.sync()
    await client.tree.sync(guild=discord.Object(env.guild.id))

    scopes = [scope for scope, _ in env.discord.registrations]
    assert scopes == [None, None, env.guild.id]
    assert {command.name: str(command.id) for command in synced} == before
    assert [command.name for command in await client.tree.fetch_commands()] == list(before)


async def test_slash_command_is_answered_directly(env: ClientEnv) -> None:
    await env.client()

    reply = await env.alice.slash(env.channel, "veo track", id="vgen_1", note="x")

    assert reply.message is not None
    assert reply.message.content == "tracking vgen_1: x"
    assert [button.label for button in reply.message.buttons] == ["Notify me too", "Watch"]
    assert env.channel.messages == [reply.message]
    assert not reply.ephemeral
    assert 0 < reply.acknowledged_after < 3


async def test_slash_command_is_answered_after_a_defer(env: ClientEnv) -> None:
    await env.client()

    reply = await env.alice.slash(env.channel, "veo slow", id="vgen_1")

    assert reply.deferred
    assert [message.content for message in env.channel.messages] == ["done with vgen_1"]


async def test_ephemeral_answers_are_seen_by_their_person_alone(env: ClientEnv) -> None:
    await env.client()

    reply = await env.alice.slash(env.channel, "veo whisper")
    await env.discord.until(lambda: reply.followups)

    assert reply.ephemeral
    assert [message.content for message in env.alice.sees(env.channel)] == ["first", "second"]
    assert env.bob.sees(env.channel) == env.channel.messages == []


async def test_autocomplete_offers_the_choices(env: ClientEnv) -> None:
    await env.client()

    choices = await env.alice.autocomplete(env.channel, "veo status", focused="id", id="vg")

    assert choices == [("vg-1", "vg1"), ("vg-2", "vg2")]


async def test_button_is_pressed_after_the_client_was_restarted(env: ClientEnv) -> None:
    first = await env.client()
    reply = await env.alice.slash(env.channel, "veo track", id="vgen_1")
    await first.close()
    await env.client()
    assert reply.message is not None

    pressed = await env.bob.press(reply.message, "Notify me too")

    assert pressed.message is not None
    assert pressed.message.content == "noted for vgen_1"
    assert pressed.message in env.bob.sees(env.channel)
    assert pressed.message not in env.alice.sees(env.channel)


async def test_message_context_menu_gets_the_message(env: ClientEnv) -> None:
    await env.client()
    post = env.bob.say(env.channel, "look: vgen_7")

    reply = await env.alice.message_command(post, "Track Veo tasks")

    assert reply.message is not None
    assert reply.message.content == "in 'look: vgen_7' by bob"


async def test_what_a_client_would_not_send_raises_an_error(env: ClientEnv) -> None:
    await env.client()
    reply = await env.alice.slash(env.channel, "veo track", id="vgen_1")
    assert reply.message is not None
    alice, channel = env.alice, env.channel

    with pytest.raises(ValueError, match="no command"):
        await alice.slash(channel, "sing")
    with pytest.raises(ValueError, match="no part"):
        await alice.slash(channel, "veo sing")
    with pytest.raises(ValueError, match="requires"):
        await alice.slash(channel, "veo track")
    with pytest.raises(ValueError, match="no option"):
        await alice.slash(channel, "veo track", id="vgen_1", colour="red")
    with pytest.raises(ValueError, match="takes str"):
        await alice.slash(channel, "veo track", id=7)
    with pytest.raises(ValueError, match="link"):
        await alice.press(reply.message, "Watch")
    with pytest.raises(ValueError, match="no button"):
        await alice.press(reply.message, "Explode")


async def test_an_interaction_without_acknowledgement_fails(env: ClientEnv) -> None:
    await env.client()
    env.discord.interaction_deadline = 0.05

    with pytest.raises(InteractionFailed, match="did not respond"):
        await env.alice.slash(env.channel, "veo ignore")


async def test_interaction_while_the_bot_is_away_fails(env: ClientEnv) -> None:
    client = await env.client()
    await client.close()

    with pytest.raises(InteractionFailed):
        await env.alice.slash(env.channel, "veo slow", id="vgen_1")


async def test_command_works_where_the_bot_is_no_member(env: ClientEnv) -> None:
    elsewhere = env.discord.add_guild("Elsewhere", bot_member=False)
    channel = elsewhere.add_channel("renders")
    elsewhere.join(env.alice)
    client = await env.client()

    reply = await env.alice.slash(channel, "veo slow", id="vgen_1")

    assert reply.message is not None
    assert [guild.name for guild in client.guilds] == ["Studio"]
    with pytest.raises(discord.Forbidden) as refused:
        await client.get_partial_messageable(channel.id).send("hi")
    assert refused.value.code == 50001
