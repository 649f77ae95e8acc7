"""Events and frames of the gateway that discord.py cannot read: they cost only themselves."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from discord.state import AutoShardedConnectionState

from bot.chat.client import CourierClient
from bot.chat.gateway import identify, shards
from sandbox.discord import Channel
from tests.integration.conftest import InProcessEnv

ID = "vgen_abc123def456"
Json = dict[str, Any]
# What an event of any kind may hold; each event is sent once without each field, and once with null in it.
ANYTHING: Json = {
    "id": "9001",
    "guild_id": None,
    "channel_id": None,
    "user_id": "9002",
    "message_id": "9003",
    "application_id": "9004",
    "name": "a name",
    "type": 0,
    "user": {"id": "9002", "username": "somebody", "discriminator": "0", "avatar": None},
    "member": {"user": {"id": "9002"}, "roles": [], "joined_at": "2026-01-01T00:00:00+00:00", "flags": 0},
    "role": {"id": "9005", "name": "role", "color": 0, "permissions": "0", "position": 1},
    "role_id": "9005",
    "channels": [],
    "threads": [],
    "members": [],
    "emojis": [],
    "stickers": [],
    "permission_overwrites": [],
    "position": 1,
    "content": "text",
    "author": {"id": "9002", "username": "somebody", "discriminator": "0", "avatar": None},
    "attachments": [],
    "embeds": [],
    "emoji": {"id": None, "name": "x"},
    "timestamp": "2026-01-01T00:00:00+00:00",
    "thread_metadata": {"archived": False, "locked": False},
    "status": "online",
    "activities": [],
    "data": {},
    "token": "stand-in-interaction-unreadable",
    "version": 1,
}


# Every event that discord.py knows, but for those that begin a session.
EVENTS = [
    name.removeprefix("parse_").upper()
    for name in dir(AutoShardedConnectionState)
    if name.startswith("parse_") and name not in {"parse_ready", "parse_resumed"}
]


def mutations(data: Json) -> Iterator[Json | None]:
    """Without each field, with null in each, and as nothing at all."""
    for name in data:
        yield {key: value for key, value in data.items() if key != name}
        yield data | {name: None}
    yield None


async def answered(env: InProcessEnv, channel: Channel | None = None) -> str:
    reply = await env.alice.slash(channel or env.channel, "veo list")
    assert reply.message is not None
    return reply.message.content


async def test_no_event_ends_the_process(env: InProcessEnv):
    """Each event, with each field left out or null: the shard goes on, commands are answered."""
    env.api.create(ID).fail("no")
    data = ANYTHING | {"guild_id": str(env.guild.id), "channel_id": str(env.channel.id)}
    async with env.bot() as running:
        for event in EVENTS:
            for mutated in mutations(data):
                env.discord.send_event(event, mutated)
        assert await answered(env)
        await env.track(ID)
        assert await env.results()
        assert not running.done()

    assert env.discord.identifies == 1


FRAMES = (
    *("no json", "[]", "5", "null"),
    *('{"op": 0, "t": 5, "d": []}', '{"op": 0, "s": "x"}', '{"op": 77}'),
)


async def test_no_frame_ends_the_process(env: InProcessEnv):
    """Not JSON, not an object, or of a shape that nobody knows."""
    async with env.bot() as running:
        for frame in FRAMES:
            env.discord.send_frame(frame)
            assert await answered(env)
        assert not running.done()

    assert env.discord.identifies == 1


READY_FIELDS = (
    "v",
    "user",
    "guilds",
    "session_id",
    "session_type",
    "resume_gateway_url",
    "application",
    "shard",
)


@pytest.fixture
def sessions_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses between two sessions are measured elsewhere."""
    monkeypatch.setattr(identify, "APART", 0)
    monkeypatch.setattr(shards, "retry_delay", lambda attempt, base, cap: 0)


async def begin_session(env: InProcessEnv) -> None:
    """End the session and its connection, and wait until the next one is there."""
    begun = env.discord.identifies
    env.discord.forget_sessions()
    await env.discord.disconnect_gateway(1006)
    await env.discord.until(lambda: env.discord.identifies > begun)


@pytest.mark.usefixtures("sessions_at_once")
async def test_ready_without_a_field_is_a_session(env: InProcessEnv):
    """What a session cannot do without is filled in from what the bot knows."""
    left_out: list[str] = []
    nulls: list[str] = []

    def without(name: str, data: Any) -> Any:
        if name != "READY":
            return data
        return {key: value for key, value in data.items() if key not in left_out} | dict.fromkeys(nulls)

    env.discord.alter_events(without)
    async with env.bot() as running:
        for field in READY_FIELDS:
            for chosen in (left_out, nulls):
                chosen[:] = [field]
                await begin_session(env)
                assert await answered(env), field
                chosen.clear()
        assert not running.done()

    assert env.discord.identifies == 1 + 2 * len(READY_FIELDS)


def _spoil(path: str) -> Callable[[Json], None]:
    """Removes one thing from GUILD_CREATE, such as `channels.0.type`; `=null` writes null instead."""
    where, _, value = path.partition("=")
    *parents, last = where.split(".")

    def spoil(data: Any) -> None:
        for name in parents:
            data = data[int(name)] if name.isdecimal() else data[name]
        if value == "null":
            data[last] = None
        else:
            del data[last]

    return spoil


PATHS = [
    "channels.1.type",
    "channels.1.id",
    "channels.1.name",
    "channels.1.position",
    "channels.1.permission_overwrites=null",
    "channels=null",
    "threads=null",
    "threads.0.thread_metadata",
    "roles.0.permissions",
    "roles=null",
    "members=null",
    "members.0.user",
    "name=null",
    "premium_tier=null",
    "emojis=null",
    "owner_id=null",
    "unavailable",
]


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> list[CourierClient]:
    """The bot's client, once there is one: its cache says what it knows of a server."""
    made: list[CourierClient] = []
    use = CourierClient.use

    def noted(self: CourierClient, *services: Any) -> None:
        made.append(self)
        use(self, *services)

    monkeypatch.setattr(CourierClient, "use", noted)
    return made


@pytest.mark.usefixtures("sessions_at_once")
async def test_server_with_an_unreadable_part_is_known_all_the_same(
    env: InProcessEnv, clients: list[CourierClient]
):
    """The channel that can be read is in the cache, which computes our rights; it takes commands."""
    env.guild.add_channel("other")
    env.channel.add_thread("thread")
    spoil: Callable[[Json], None] = _spoil(PATHS[0])

    def spoiled(name: str, data: Any) -> Any:
        if name != "GUILD_CREATE":
            return data
        data = copy.deepcopy(data)
        spoil(data)
        return data

    env.discord.alter_events(spoiled)
    async with env.bot(max_open_per_user=100):
        for number, path in enumerate(PATHS):
            spoil = _spoil(path)
            await begin_session(env)
            card = await env.track(f"{ID}{number}")
            assert f"`{ID}{number}`" in card.content, path
            guild = clients[0].get_guild(env.guild.id)
            assert guild is not None, path
            assert (guild.get_channel(env.channel.id) is None) is (path == "channels=null"), path


async def test_channels_that_the_bot_cannot_view_harm_nothing(env: InProcessEnv):
    """Since 2026-11-16 they come without their names, and with fields null or left out."""
    for kind in ("text", "voice", "news", "forum"):
        hidden = env.guild.add_channel(f"hidden {kind}", kind=kind)
        hidden.deny(env.discord.bot, "view_channel")
    task = env.api.create(ID)
    async with env.bot():
        await env.track(ID)
        late = env.guild.add_channel("late", kind="voice")
        late.deny(env.discord.bot, "view_channel")
        env.channel.deny(env.discord.bot, "view_channel")
        task.fail("no")
        [told] = await env.discord.until(lambda: env.alice.direct_channel.messages)
        env.channel.allow(env.discord.bot, "view_channel")
        assert await env.results()

    assert "as soon as I can see that channel again" in told.content


async def test_each_kind_is_logged_once_and_counted(env: InProcessEnv, caplog: pytest.LogCaptureFixture):
    """A channel that is sent a thousand times must not fill the log."""
    async with env.bot(http_port=None):
        for number in range(50):
            env.discord.send_event("GUILD_ROLE_CREATE", {"guild_id": str(env.guild.id), "odd": number})
        assert await answered(env)

    lines = [r.getMessage() for r in caplog.records if "cannot be read" in r.getMessage()]
    assert len(lines) == 1
    assert "GUILD_ROLE_CREATE" in lines[0]
