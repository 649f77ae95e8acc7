"""Several shards: every server is served, each shard judges its own, and trouble of one stays its own."""

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from bot.chat import gateway, identify
from bot.chat.client import CourierClient
from bot.chat.connection import log_in, point_at
from bot.core.errors import DependencyDown, SettingsWrong, TokenRefused
from bot.core.shards import shard_of
from sandbox.discord import Channel, Guild, InteractionFailed, Message
from sandbox.faults import Fault
from tests.integration.conftest import Scene
from tests.timing import eventually

IDS = ("vgen_on_the_first", "vgen_on_the_second")


@dataclass
class Halves:
    """A server on either of two shards, both with alice."""

    scene: Scene
    guilds: list[Guild]
    channels: list[Channel]

    @asynccontextmanager
    async def bot(self, shards: set[int], **changes: Any) -> AsyncIterator[asyncio.Task[None]]:
        """The bot, with all of these shards connected."""
        async with self.scene.bot(**changes) as running:
            await self.scene.discord.until(lambda: self.scene.discord.connected_shards == shards)
            yield running

    async def track(self, half: int) -> Message:
        reply = await self.scene.alice.slash(self.channels[half], "veo track", id=IDS[half])
        assert reply.message is not None
        return reply.message

    async def results(self, half: int) -> list[Message]:
        return await self.scene.results(channel=self.channels[half])

    def departures(self) -> list[int]:
        database = sqlite3.connect(self.scene.folder / "data" / "bot.db")
        try:
            return [row[0] for row in database.execute("SELECT guild_id FROM departures")]
        finally:
            database.close()


@pytest.fixture
def halves(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Halves:
    """The five seconds between two logins are measured elsewhere."""
    monkeypatch.setattr(identify, "APART", 0)
    scene.discord.shards = 2
    here = shard_of(scene.guild.id, 2)
    other = scene.discord.add_guild("Elsewhere", shard=(1 - here, 2))
    other.join(scene.alice)
    guilds = sorted((scene.guild, other), key=lambda guild: shard_of(guild.id, 2))
    return Halves(scene, guilds, [g.channels[0] if g.channels else g.add_channel("clips") for g in guilds])


async def test_servers_of_both_shards_are_served(halves: Halves, caplog: pytest.LogCaptureFixture):
    """By one process, which takes the number of shards that Discord recommends, and says so once."""
    caplog.set_level("INFO")
    tasks = [halves.scene.api.create(task_id) for task_id in IDS]
    async with halves.bot({0, 1}):
        for half in (0, 1):
            await halves.track(half)
        for task in tasks:
            task.complete()
        for half in (0, 1):
            [result] = await halves.results(half)
            assert result.attachments
        assert halves.scene.discord.sessions == 2

    await halves.scene.discord.until(lambda: not halves.scene.discord.sessions)
    assert sorted((shard.id, shard.count) for shard in halves.scene.discord.identified) == [(0, 2), (1, 2)]
    assert re.findall("ready as .*", caplog.text) == ["ready as veo-courier in 2 servers, 2 of 2 shards"]


async def test_one_shard_is_not_worth_a_word(scene: Scene, caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO")
    async with scene.bot():
        await scene.track("ä")

    assert re.findall("ready as .*", caplog.text) == ["ready as veo-courier in 1 servers"]


async def test_shards_log_in_one_after_the_other(halves: Halves, monkeypatch: pytest.MonkeyPatch):
    """Whoever comes within five seconds is refused, unless Discord lets in several at once."""
    apart = 0.5
    monkeypatch.setattr(identify, "APART", apart)
    began: list[float] = []

    def look() -> None:
        if halves.scene.discord.identifies > len(began):
            began.append(asyncio.get_running_loop().time())

    halves.scene.discord.watch(look)
    async with halves.bot({0, 1}):
        assert halves.scene.discord.identifies == 2

    assert began[1] - began[0] >= apart * 0.9


async def test_process_with_one_shard_keeps_to_it(halves: Halves, caplog: pytest.LogCaptureFixture):
    """It neither answers for the other shard's server nor takes it for one that was left."""
    caplog.set_level("INFO")
    task = halves.scene.api.create(IDS[1])
    async with halves.bot({0, 1}):
        await halves.track(1)
    async with halves.bot({0}, shard_count=2, shard_ids="0"):
        await halves.track(0)
        with pytest.raises(InteractionFailed):
            await halves.track(1)
        # Messages need no gateway: whichever process finds the task ended posts its result.
        task.fail("no")
        assert await halves.results(1)

    assert halves.departures() == []
    assert "no longer in server" not in caplog.text
    assert "in 1 servers, 1 of 2 shards" in caplog.text


async def test_server_left_while_away_is_noted_by_its_own_shard(halves: Halves):
    """The other shard's process comes first, and does not care."""
    for task_id in IDS:
        halves.scene.api.create(task_id)
    async with halves.bot({0, 1}):
        for half in (0, 1):
            await halves.track(half)
    await halves.guilds[1].remove_bot()
    async with halves.bot({0}, shard_count=2, shard_ids="0"):
        await halves.track(0)
        assert halves.departures() == []
    async with halves.bot({1}, shard_count=2, shard_ids="1"):
        await eventually(lambda: halves.departures() == [halves.guilds[1].id])


async def test_one_shard_that_reconnects_leaves_the_other_alone(halves: Halves):
    """Resumed where it was; what happened meanwhile is replayed."""
    async with halves.bot({0, 1}):
        await halves.scene.discord.disconnect_gateway(4000, shard=1)
        assert (await halves.track(0)).content
        await halves.scene.discord.until(lambda: halves.scene.discord.resumes == 1)
        assert (await halves.track(1)).content

    assert halves.scene.discord.identifies == 2


async def test_outage_ends_in_resumed_sessions(halves: Halves, monkeypatch: pytest.MonkeyPatch):
    """A day has few new ones: refused connections do not cost any."""
    monkeypatch.setattr(gateway, "retry_delay", lambda attempt, first, most: 0)
    async with halves.bot({0, 1}):
        halves.scene.discord.refuse_connections(6)
        await halves.scene.discord.disconnect_gateway(1006)
        await halves.scene.discord.until(lambda: halves.scene.discord.resumes == 2)
        for half in (0, 1):
            assert (await halves.track(half)).content

    assert halves.scene.discord.identifies == 2


async def test_session_that_cannot_be_resumed_gives_way_to_a_new_one(
    halves: Halves, monkeypatch: pytest.MonkeyPatch
):
    """Its address may be gone: after a while the one that everybody gets is tried."""
    monkeypatch.setattr(gateway, "retry_delay", lambda attempt, first, most: 0)
    async with halves.bot({0, 1}):
        halves.scene.discord.refuse_connections(8)
        await halves.scene.discord.disconnect_gateway(4000, shard=1)
        await halves.scene.discord.until(lambda: halves.scene.discord.identifies == 3)
        assert (await halves.track(1)).content

    assert halves.scene.discord.resumes == 0


async def test_server_left_between_two_sessions_is_no_longer_known(
    halves: Halves, caplog: pytest.LogCaptureFixture
):
    """Nobody tells of it: the new session's READY does not name it, and the other shard's servers stay."""
    for task_id in IDS:
        halves.scene.api.create(task_id)
    async with halves.bot({0, 1}):
        for half in (0, 1):
            await halves.track(half)
        halves.scene.discord.forget_sessions()
        await halves.guilds[1].remove_bot()
        await halves.scene.discord.disconnect_gateway(1006)
        await eventually(halves.departures)
        await halves.scene.discord.until(lambda: halves.scene.discord.connected_shards == {0, 1})
        assert (await halves.track(0)).content

    assert halves.departures() == [halves.guilds[1].id]
    assert f"no longer in server {halves.guilds[1].id}" in caplog.text


async def test_first_connection_that_is_refused_is_tried_again(
    halves: Halves, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    """No session is used up, and the log has a line each instead of a traceback."""
    monkeypatch.setattr(gateway, "retry_delay", lambda attempt, first, most: 0)
    halves.scene.discord.refuse_connections(3)
    async with halves.bot({0, 1}):
        assert halves.scene.discord.identifies == 2

    assert caplog.text.count("no connection to Discord's gateway") == 3
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("shard", [0, 1])
async def test_token_refused_on_any_shard_ends_the_start(halves: Halves, shard: int):
    """77, at once: the other's session is closed for good."""
    halves.scene.discord.refuse_shard(shard, 4004)
    with pytest.raises(TokenRefused, match="gateway refuses DISCORD_TOKEN"):
        async with halves.scene.bot() as running:
            await running
    await halves.scene.discord.until(lambda: not halves.scene.discord.sessions)


async def test_token_refused_later_on_one_shard_ends_the_process(halves: Halves):
    async def lose_the_token() -> None:
        async with halves.bot({0, 1}) as running:
            halves.scene.discord.refuse_shard(1, 4004)
            halves.scene.discord.forget_sessions()
            await halves.scene.discord.disconnect_gateway(1006)
            await asyncio.wait({running}, timeout=20)

    with pytest.raises(TokenRefused):
        await lose_the_token()


async def test_outgrown_recommendation_ends_the_start(halves: Halves):
    """69: the next start takes what Discord then recommends."""
    halves.scene.discord.required_shards = 4

    async def start() -> None:
        async with halves.scene.bot() as running:
            await running

    with pytest.raises(DependencyDown, match="more than 2 shards by now: the next start"):
        await start()
    halves.scene.discord.shards = 4
    async with halves.bot({0, 1, 2, 3}):
        assert (await halves.track(0)).content


async def test_outgrown_setting_is_named(halves: Halves):
    """2: no new start can help before somebody raises it."""
    halves.scene.discord.required_shards = 4
    with pytest.raises(SettingsWrong, match="SHARD_COUNT: Discord asks for more than 2 shards"):
        async with halves.scene.bot(shard_count=2) as running:
            await running


async def test_count_follows_the_servers_when_discord_does_not_tell(scene: Scene):
    """GET /gateway/bot has limits of hours; with too few shards each start would be refused."""
    for _ in range(2499):
        scene.discord.add_guild("One of many")
    scene.discord.faults.add(Fault("GET /gateway/bot", status=503, body="", times=None))
    point_at(scene.discord.api_url)
    counts = []
    for shard_count in (None, 2):
        client = CourierClient(shard_count=shard_count)
        await log_in(client, scene.discord.token, own_gateway=False)
        counts.append((client.shard_count, client.shard_ids, client.counts_by_itself))
        await client.close()

    assert counts == [(3, [0, 1, 2], True), (2, [0, 1], False)]


async def test_start_is_given_the_time_that_its_logins_take(scene: Scene):
    """Five seconds for each shard there is: processes that start together take turns."""
    scene.discord.shards = 16
    point_at(scene.discord.api_url)
    patience = []
    for at_once, count, ids in ((1, None, ()), (4, None, ()), (1, 32, (3,))):
        scene.discord.session_starts["max_concurrency"] = at_once
        client = CourierClient(shard_count=count, shard_ids=ids)
        await log_in(client, scene.discord.token, own_gateway=True)
        patience.append(client.logins_take)
        await client.close()

    assert patience == [75, 18.75, 155]
