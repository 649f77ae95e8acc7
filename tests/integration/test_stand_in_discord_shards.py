"""The stand-in's gateway keeps Discord's rules of sharding: who is told what, and who is refused."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Self

import aiohttp
import pytest

from sandbox.discord import Channel, Guild, InteractionFailed, StandInDiscord
from tests.integration.test_stand_in_discord import Client, Stage, open_stage

HEARTBEAT, IDENTIFY, RESUME = 1, 2, 6
DISPATCH, HELLO, ACK = 0, 10, 11
GUILDS = 1

Frame = dict[str, Any]


@dataclass
class Wire:
    """A websocket to the gateway, and nothing between it and the test."""

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

    async def told(self) -> list[Frame]:
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
class Halves:
    """A guild on either of two shards."""

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
async def halves() -> AsyncIterator[Halves]:
    async with StandInDiscord() as discord, AsyncExitStack() as stack:
        guilds = [discord.add_guild(f"half {n}", shard=(n, 2)) for n in (0, 1)]
        yield Halves(discord, guilds, [guild.add_channel("renders") for guild in guilds], stack)
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


async def test_session_is_told_of_its_shards_guilds_alone(halves: Halves) -> None:
    for number, guild in enumerate(halves.guilds):
        wire = await halves.wire(number, 2)
        ready, *others = await wire.told()

        assert ready["t"] == "READY"
        assert ready["d"]["shard"] == [number, 2]
        assert [each["id"] for each in ready["d"]["guilds"]] == [str(guild.id)]
        assert about(others) == [("GUILD_CREATE", str(guild.id))]
    assert halves.discord.connected_shards == {0, 1}


async def test_session_without_shard_is_told_of_everything(halves: Halves) -> None:
    wire = await halves.wire()
    await wire.identify()
    ready, *others = await wire.told()

    ids = [str(guild.id) for guild in halves.guilds]
    assert "shard" not in ready["d"]
    assert about(others) == [("GUILD_CREATE", each) for each in ids]
    assert [(shard.id, shard.count) for shard in halves.discord.identified] == [(0, 1)]


async def test_changes_go_to_the_guilds_shard(halves: Halves) -> None:
    """Guilds, channels and threads."""
    wires = [await halves.wire(number, 2) for number in (0, 1)]
    for wire in wires:
        await wire.told()
    guild, channel = halves.guilds[1], halves.channels[1]
    thread = channel.add_thread("clips")
    thread.archived = True
    await channel.delete()
    guild.premium_tier = 2
    await guild.outage()
    await guild.recover()
    await guild.remove_bot()

    assert await wires[0].told() == []
    assert about(await wires[1].told()) == [
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


async def test_resumed_session_keeps_its_shard(halves: Halves) -> None:
    """What happened meanwhile on the other shard is not replayed."""
    wire = await halves.wire(1, 2)
    ready, *_, last = await wire.told()
    await halves.discord.disconnect_gateway(4000)
    for guild in halves.guilds:
        guild.add_channel("made meanwhile")
    again = await halves.wire()
    await again.resume(ready["d"]["session_id"], last["s"])

    assert about(await again.told()) == [("CHANNEL_CREATE", str(halves.guilds[1].id)), ("RESUMED", "")]


@pytest.mark.parametrize("shard", [[2, 2], [-1, 2], [0, 0], [0], "0", [0.0, 1]])
async def test_shard_that_cannot_be_is_closed_with_4010(halves: Halves, shard: Any) -> None:
    wire = await halves.wire()
    await wire.identify(shard=shard)

    assert await wire.close_code() == 4010
    assert halves.discord.surprises.pop().startswith("no such shard")
    assert halves.discord.identifies == 0


async def test_too_few_shards_are_closed_with_4011(halves: Halves) -> None:
    halves.discord.required_shards = 2
    none = await halves.wire()
    await none.identify()
    one = await halves.wire(0, 1)
    two = await halves.wire(0, 2)

    assert await none.close_code() == 4011
    assert await one.close_code() == 4011
    assert (await two.told())[0]["t"] == "READY"


async def test_one_shard_can_be_refused_or_cut_off(halves: Halves) -> None:
    halves.discord.refuse_shard(1, 4004)
    first, second = await halves.wire(0, 2), await halves.wire(1, 2)

    assert await second.close_code() == 4004
    await first.told()
    await halves.discord.disconnect_gateway(4000, shard=1)
    assert halves.discord.connected_shards == {0}
    await halves.discord.disconnect_gateway(4000, shard=0)
    assert await first.close_code() == 4000


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with open_stage() as stage:
        yield stage
        stage.discord.check()


def sharded(number: int) -> Client:
    client = Client()
    client.shard_id = number
    client.shard_count = client._connection.shard_count = 2
    return client


@pytest.mark.parametrize("number", [0, 1])
async def test_interactions_go_to_the_guilds_shard(stage: Stage, number: int) -> None:
    """And those in direct messages to the first: a client that holds the other never hears of them."""
    guilds = [stage.discord.add_guild(f"half {n}", shard=(n, 2)) for n in (0, 1)]
    channels = [guild.add_channel("renders") for guild in guilds]
    for guild in guilds:
        guild.join(stage.alice)
    await stage.client(sharded(number))

    reply = await stage.alice.slash(channels[number], "veo slow", id="vgen_1")
    assert reply.message is not None
    with pytest.raises(InteractionFailed):
        await stage.alice.slash(channels[1 - number], "veo slow", id="vgen_1")
    if number == 0:
        assert (await stage.alice.slash(stage.alice.direct_channel, "veo slow", id="vgen_1")).message
    else:
        with pytest.raises(InteractionFailed):
            await stage.alice.slash(stage.alice.direct_channel, "veo slow", id="vgen_1")


async def test_recommended_shards_are_told(stage: Stage) -> None:
    stage.discord.shards = 3
    client = await stage.client()

    shards, url, _ = await client.http.get_bot_gateway()

    assert (shards, url) == (3, stage.discord.gateway_url)
