"""Sharding at the stand-in's gateway: which session gets which events, and which one is refused."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Self

import aiohttp
import pytest

from sandbox.discord import Channel, Guild, InteractionFailed, StandInDiscord
from tests.integration.test_stand_in_discord import Client, ClientEnv, open_env

HEARTBEAT, IDENTIFY, RESUME = 1, 2, 6
DISPATCH, HELLO, ACK = 0, 10, 11
GUILDS = 1

Frame = dict[str, Any]


@dataclass
class Wire:
    """A plain websocket to the gateway, without discord.py."""

    discord: StandInDiscord
    socket: aiohttp.ClientWebSocketResponse
    _stack: AsyncExitStack

    @classmethod
    async def open(cls, discord: StandInDiscord, stack: AsyncExitStack) -> Self:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        socket = await stack.enter_async_context(session.ws_connect(discord.gateway_url))
        assert (await socket.receive_json())["op"] == HELLO
        return cls(discord, socket, stack)

    async def identify(self, **fields: Any) -> None:
        data = {"token": self.discord.token, "intents": GUILDS, "properties": {}, **fields}
        await self.socket.send_json({"op": IDENTIFY, "d": data})

    async def resume(self, session_id: str, sequence: int) -> None:
        data = {"token": self.discord.token, "session_id": session_id, "seq": sequence}
        await self.socket.send_json({"op": RESUME, "d": data})

    async def received(self) -> list[Frame]:
        """Every event up to now: what follows is the answer to a heartbeat."""
        await self.socket.send_json({"op": HEARTBEAT, "d": None})
        frames: list[Frame] = []
        while (frame := await self.socket.receive_json(timeout=5))["op"] != ACK:
            assert frame["op"] == DISPATCH
            frames.append(frame)
        return frames

    async def close_code(self) -> int | None:
        frame = await self.socket.receive(timeout=5)
        assert frame.type is aiohttp.WSMsgType.CLOSE
        return self.socket.close_code


@dataclass
class ShardedEnv:
    """Two shards with a guild each."""

    discord: StandInDiscord
    guilds: list[Guild]
    channels: list[Channel]
    stack: AsyncExitStack

    async def wire(self, *shard: Any) -> Wire:
        """Identified, if a shard is named."""
        wire = await Wire.open(self.discord, self.stack)
        if shard:
            await wire.identify(shard=list(shard))
        return wire


@pytest.fixture
async def sharded_env() -> AsyncIterator[ShardedEnv]:
    async with StandInDiscord() as discord, AsyncExitStack() as stack:
        guilds = [discord.add_guild(f"shard {n}", shard=(n, 2)) for n in (0, 1)]
        yield ShardedEnv(discord, guilds, [guild.add_channel("renders") for guild in guilds], stack)
        discord.check()


def about(frames: list[Frame]) -> list[tuple[str, str]]:
    """The events' names, and the guild of each."""
    return [(f["t"], f["d"].get("guild_id") or f["d"].get("id", "")) for f in frames]


@pytest.mark.parametrize("count", [1, 2, 3, 16])
async def test_guild_can_be_made_for_any_shard(count: int) -> None:
    """By Discord's formula, and ids still grow."""
    async with StandInDiscord() as discord:
        guilds = [discord.add_guild("one", shard=(n, count)) for n in (*range(count), 0)]

    ids = [guild.id for guild in guilds]
    assert [(i >> 22) % count for i in ids] == [*range(count), 0]
    assert ids == sorted(set(ids))


async def test_session_gets_the_events_of_its_shards_guilds_only(sharded_env: ShardedEnv) -> None:
    for number, guild in enumerate(sharded_env.guilds):
        wire = await sharded_env.wire(number, 2)
        ready, *others = await wire.received()

        assert ready["t"] == "READY"
        assert ready["d"]["shard"] == [number, 2]
        assert [each["id"] for each in ready["d"]["guilds"]] == [str(guild.id)]
        assert about(others) == [("GUILD_CREATE", str(guild.id))]
    assert sharded_env.discord.connected_shards == {0, 1}


async def test_session_without_shard_gets_all_events(sharded_env: ShardedEnv) -> None:
    wire = await sharded_env.wire()
    await wire.identify()
    ready, *others = await wire.received()

    ids = [str(guild.id) for guild in sharded_env.guilds]
    assert "shard" not in ready["d"]
    assert about(others) == [("GUILD_CREATE", each) for each in ids]
    assert [(shard.id, shard.count) for shard in sharded_env.discord.identified] == [(0, 1)]


async def test_changes_go_to_the_guilds_shard(sharded_env: ShardedEnv) -> None:
    """Guilds, channels and threads."""
    wires = [await sharded_env.wire(number, 2) for number in (0, 1)]
    for wire in wires:
        await wire.received()
    guild, channel = sharded_env.guilds[1], sharded_env.channels[1]
    thread = channel.add_thread("clips")
    thread.archived = True
    await channel.delete()
    guild.premium_tier = 2
    await guild.outage()
    await guild.recover()
    await guild.remove_bot()

    assert await wires[0].received() == []
    assert about(await wires[1].received()) == [
        (name, str(guild.id))
        for name in (
            "THREAD_CREATE",
            "THREAD_UPDATE",
            "CHANNEL_DELETE",
            "GUILD_UPDATE",
            "GUILD_DELETE",
            "GUILD_CREATE",
            "GUILD_DELETE",
        )
    ]


async def test_resumed_session_keeps_its_shard(sharded_env: ShardedEnv) -> None:
    """What happened meanwhile on the other shard is not replayed."""
    wire = await sharded_env.wire(1, 2)
    ready, *_, last = await wire.received()
    await sharded_env.discord.disconnect_gateway(4000)
    for guild in sharded_env.guilds:
        guild.add_channel("made meanwhile")
    again = await sharded_env.wire()
    await again.resume(ready["d"]["session_id"], last["s"])

    assert about(await again.received()) == [
        ("CHANNEL_CREATE", str(sharded_env.guilds[1].id)),
        ("RESUMED", ""),
    ]


@pytest.mark.parametrize("shard", [[2, 2], [-1, 2], [0, 0], [0], "0", [0.0, 1]])
async def test_invalid_shard_is_closed_with_4010(sharded_env: ShardedEnv, shard: Any) -> None:
    wire = await sharded_env.wire()
    await wire.identify(shard=shard)

    assert await wire.close_code() == 4010
    assert sharded_env.discord.surprises.pop().startswith("no such shard")
    assert sharded_env.discord.identifies == 0


async def test_too_few_shards_are_closed_with_4011(sharded_env: ShardedEnv) -> None:
    sharded_env.discord.required_shards = 2
    none = await sharded_env.wire()
    await none.identify()
    one = await sharded_env.wire(0, 1)
    two = await sharded_env.wire(0, 2)

    assert await none.close_code() == 4011
    assert await one.close_code() == 4011
    assert (await two.received())[0]["t"] == "READY"


async def test_one_shard_can_be_refused_or_cut_off(sharded_env: ShardedEnv) -> None:
    sharded_env.discord.refuse_shard(1, 4004)
    first, second = await sharded_env.wire(0, 2), await sharded_env.wire(1, 2)

    assert await second.close_code() == 4004
    await first.received()
    await sharded_env.discord.disconnect_gateway(4000, shard=1)
    assert sharded_env.discord.connected_shards == {0}
    await sharded_env.discord.disconnect_gateway(4000, shard=0)
    assert await first.close_code() == 4000


@pytest.fixture
async def env() -> AsyncIterator[ClientEnv]:
    async with open_env() as env:
        yield env
        env.discord.check()


def client_of_shard(number: int) -> Client:
    client = Client()
    client.shard_id = number
    client.shard_count = client._connection.shard_count = 2
    return client


@pytest.mark.parametrize("number", [0, 1])
async def test_interactions_go_to_the_guilds_shard(env: ClientEnv, number: int) -> None:
    """An interaction in a direct message goes to the first shard."""
    guilds = [env.discord.add_guild(f"shard {n}", shard=(n, 2)) for n in (0, 1)]
    channels = [guild.add_channel("renders") for guild in guilds]
    for guild in guilds:
        guild.join(env.alice)
    await env.client(client_of_shard(number))

    reply = await env.alice.slash(channels[number], "veo slow", id="vgen_1")
    assert reply.message is not None
    with pytest.raises(InteractionFailed):
        await env.alice.slash(channels[1 - number], "veo slow", id="vgen_1")
    if number == 0:
        assert (await env.alice.slash(env.alice.direct_channel, "veo slow", id="vgen_1")).message
    else:
        with pytest.raises(InteractionFailed):
            await env.alice.slash(env.alice.direct_channel, "veo slow", id="vgen_1")


async def test_recommended_shards_are_returned(env: ClientEnv) -> None:
    env.discord.shards = 3
    client = await env.client()

    shards, url, _ = await client.http.get_bot_gateway()

    assert (shards, url) == (3, env.discord.gateway_url)
