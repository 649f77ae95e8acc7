"""Several shards: every server is served, each shard judges its own, and one may fail without the others."""

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from bot.chat import outbound
from bot.chat.client import CourierClient
from bot.chat.gateway import identify, shards
from bot.chat.gateway.connection import connect, log_in, point_at
from bot.chat.gateway.shards import shard_of
from bot.core.errors import DependencyDown, SettingsWrong, TokenRefused
from sandbox.discord import Channel, Guild, InteractionFailed, Message
from sandbox.faults import Fault
from sandbox.patience import PATIENCE
from tests.integration.conftest import InProcessEnv
from tests.timing import eventually

IDS = ("vgen_on_the_first", "vgen_on_the_second")


@dataclass
class ShardedEnv:
    """Two shards with a server each, both with alice."""

    env: InProcessEnv
    guilds: list[Guild]
    channels: list[Channel]

    @asynccontextmanager
    async def bot(self, shards: set[int], **changes: Any) -> AsyncIterator[asyncio.Task[None]]:
        """The bot, with all of these shards connected."""
        async with self.env.bot(**changes) as running:
            await self.env.discord.until(lambda: self.env.discord.connected_shards == shards)
            yield running

    async def track(self, shard: int) -> Message:
        reply = await self.env.alice.slash(self.channels[shard], "veo track", id=IDS[shard])
        assert reply.message is not None
        return reply.message

    async def results(self, shard: int) -> list[Message]:
        return await self.env.results(channel=self.channels[shard])

    def left_guilds(self) -> list[int]:
        database = sqlite3.connect(self.env.folder / "data" / "bot.db")
        try:
            return [row[0] for row in database.execute("SELECT guild_id FROM left_guilds")]
        finally:
            database.close()


@pytest.fixture
def sharded_env(env: InProcessEnv, monkeypatch: pytest.MonkeyPatch) -> ShardedEnv:
    """The five seconds between two logins are measured elsewhere."""
    monkeypatch.setattr(outbound, "TOKEN_CHECK_PAUSE", 0.01)
    monkeypatch.setattr(identify, "APART", 0)
    env.discord.shards = 2
    here = shard_of(env.guild.id, 2)
    other = env.discord.add_guild("Elsewhere", shard=(1 - here, 2))
    other.join(env.alice)
    guilds = sorted((env.guild, other), key=lambda guild: shard_of(guild.id, 2))
    return ShardedEnv(env, guilds, [g.channels[0] if g.channels else g.add_channel("clips") for g in guilds])


async def test_servers_of_both_shards_are_served(sharded_env: ShardedEnv, caplog: pytest.LogCaptureFixture):
    """By one process, which takes the number of shards that Discord recommends, and says so once."""
    caplog.set_level("INFO")
    tasks = [sharded_env.env.api.create(task_id) for task_id in IDS]
    async with sharded_env.bot({0, 1}):
        for shard in (0, 1):
            await sharded_env.track(shard)
        for task in tasks:
            task.complete()
        for shard in (0, 1):
            [result] = await sharded_env.results(shard)
            assert result.attachments
        assert sharded_env.env.discord.sessions == 2

    await sharded_env.env.discord.until(lambda: not sharded_env.env.discord.sessions)
    assert sorted((shard.id, shard.count) for shard in sharded_env.env.discord.identified) == [(0, 2), (1, 2)]
    assert re.findall("ready as .*", caplog.text) == ["ready as veo-courier in 2 servers, 2 of 2 shards"]


async def test_single_shard_is_not_logged(env: InProcessEnv, caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO")
    async with env.bot():
        await env.track("ä")

    assert re.findall("ready as .*", caplog.text) == ["ready as veo-courier in 1 servers"]


async def test_shards_log_in_one_after_the_other(sharded_env: ShardedEnv, monkeypatch: pytest.MonkeyPatch):
    """A shard that comes within five seconds is refused, unless Discord lets in several at once."""
    apart = 1.5
    monkeypatch.setattr(identify, "APART", apart)
    began: list[float] = []

    def look() -> None:
        if sharded_env.env.discord.identifies > len(began):
            began.append(asyncio.get_running_loop().time())

    sharded_env.env.discord.watch(look)
    # Before the first login; when that one arrives is up to the machine.
    started = asyncio.get_running_loop().time()
    async with sharded_env.bot({0, 1}):
        assert sharded_env.env.discord.identifies == 2

    assert began[1] - started >= apart


async def test_process_with_one_shard_keeps_to_it(sharded_env: ShardedEnv, caplog: pytest.LogCaptureFixture):
    """It neither answers for the other shard's server nor takes it for one that was left."""
    caplog.set_level("INFO")
    task = sharded_env.env.api.create(IDS[1])
    async with sharded_env.bot({0, 1}):
        await sharded_env.track(1)
    async with sharded_env.bot({0}, shard_count=2, shard_ids="0"):
        await sharded_env.track(0)
        with pytest.raises(InteractionFailed):
            await sharded_env.track(1)
        # Messages need no gateway: whichever process finds the task ended posts its result.
        task.fail("no")
        assert await sharded_env.results(1)

    assert sharded_env.left_guilds() == []
    assert "no longer in server" not in caplog.text
    assert "in 1 servers, 1 of 2 shards" in caplog.text


async def test_server_left_while_away_is_noted_by_its_own_shard(sharded_env: ShardedEnv):
    """The other shard's process comes first, and stores nothing."""
    for task_id in IDS:
        sharded_env.env.api.create(task_id)
    async with sharded_env.bot({0, 1}):
        for shard in (0, 1):
            await sharded_env.track(shard)
    await sharded_env.guilds[1].remove_bot()
    async with sharded_env.bot({0}, shard_count=2, shard_ids="0"):
        await sharded_env.track(0)
        assert sharded_env.left_guilds() == []
    async with sharded_env.bot({1}, shard_count=2, shard_ids="1"):
        await eventually(lambda: sharded_env.left_guilds() == [sharded_env.guilds[1].id])


async def test_one_shard_that_reconnects_leaves_the_other_alone(sharded_env: ShardedEnv):
    """Resumed where it was; what happened meanwhile is replayed."""
    async with sharded_env.bot({0, 1}):
        await sharded_env.env.discord.disconnect_gateway(4000, shard=1)
        assert (await sharded_env.track(0)).content
        await sharded_env.env.discord.until(lambda: sharded_env.env.discord.resumes == 1)
        assert (await sharded_env.track(1)).content

    assert sharded_env.env.discord.identifies == 2


async def test_outage_ends_in_resumed_sessions(sharded_env: ShardedEnv, monkeypatch: pytest.MonkeyPatch):
    """A day has few new ones: refused connections do not cost any."""
    monkeypatch.setattr(shards, "retry_delay", lambda attempt, base, cap: 0)
    async with sharded_env.bot({0, 1}):
        sharded_env.env.discord.refuse_connections(6)
        await sharded_env.env.discord.disconnect_gateway(1006)
        await sharded_env.env.discord.until(lambda: sharded_env.env.discord.resumes == 2)
        for shard in (0, 1):
            assert (await sharded_env.track(shard)).content

    assert sharded_env.env.discord.identifies == 2


async def test_session_that_cannot_be_resumed_gives_way_to_a_new_one(
    sharded_env: ShardedEnv, monkeypatch: pytest.MonkeyPatch
):
    """Its address may be gone: after a while the one that everybody gets is tried."""
    monkeypatch.setattr(shards, "retry_delay", lambda attempt, base, cap: 0)
    async with sharded_env.bot({0, 1}):
        sharded_env.env.discord.refuse_connections(8)
        await sharded_env.env.discord.disconnect_gateway(4000, shard=1)
        await sharded_env.env.discord.until(lambda: sharded_env.env.discord.identifies == 3)
        assert (await sharded_env.track(1)).content

    assert sharded_env.env.discord.resumes == 0


async def test_server_left_between_two_sessions_is_no_longer_known(
    sharded_env: ShardedEnv, caplog: pytest.LogCaptureFixture
):
    """There is no event: the new session's READY does not name it, and the other shard's servers stay."""
    for task_id in IDS:
        sharded_env.env.api.create(task_id)
    async with sharded_env.bot({0, 1}):
        for shard in (0, 1):
            await sharded_env.track(shard)
        sharded_env.env.discord.forget_sessions()
        await sharded_env.guilds[1].remove_bot()
        await sharded_env.env.discord.disconnect_gateway(1006)
        await eventually(sharded_env.left_guilds)
        await sharded_env.env.discord.until(lambda: sharded_env.env.discord.connected_shards == {0, 1})
        assert (await sharded_env.track(0)).content

    assert sharded_env.left_guilds() == [sharded_env.guilds[1].id]
    assert f"no longer in server {sharded_env.guilds[1].id}" in caplog.text


async def test_first_connection_that_is_refused_is_tried_again(
    sharded_env: ShardedEnv, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    """No session is used up, and the log has a line each instead of a traceback."""
    monkeypatch.setattr(shards, "retry_delay", lambda attempt, base, cap: 0)
    sharded_env.env.discord.refuse_connections(3)
    async with sharded_env.bot({0, 1}):
        assert sharded_env.env.discord.identifies == 2

    assert caplog.text.count("no connection to Discord's gateway") == 3
    assert "Traceback" not in caplog.text


async def _revoke_token(env: InProcessEnv) -> None:
    """Once the bot has logged in, REST refuses its token as well."""
    await env.discord.until(lambda: env.discord.requests("GET", "/gateway/bot"))
    refusal = {"message": "401: Unauthorized", "code": 0}
    env.discord.faults.add(Fault("GET /users/@me", status=401, body=refusal, times=None))


@pytest.mark.parametrize("shard", [0, 1])
async def test_token_refused_on_any_shard_ends_the_start(sharded_env: ShardedEnv, shard: int):
    """77, at once: the other's session is closed for good."""
    sharded_env.env.discord.refuse_shard(shard, 4004)
    revoking = asyncio.create_task(_revoke_token(sharded_env.env))
    with pytest.raises(TokenRefused, match="gateway refuses DISCORD_TOKEN"):
        async with sharded_env.env.bot() as running:
            await running
    await revoking
    await sharded_env.env.discord.until(lambda: not sharded_env.env.discord.sessions)


async def test_token_refused_later_on_one_shard_ends_the_process(sharded_env: ShardedEnv):
    async def lose_the_token() -> None:
        async with sharded_env.bot({0, 1}) as running:
            sharded_env.env.discord.refuse_shard(1, 4004)
            await _revoke_token(sharded_env.env)
            sharded_env.env.discord.forget_sessions()
            await sharded_env.env.discord.disconnect_gateway(1006)
            await asyncio.wait({running}, timeout=PATIENCE)

    with pytest.raises(TokenRefused):
        await lose_the_token()


async def test_outgrown_recommendation_ends_the_start(sharded_env: ShardedEnv):
    """69: the next start takes what Discord then recommends."""
    sharded_env.env.discord.required_shards = 4

    async def start() -> None:
        async with sharded_env.env.bot() as running:
            await running

    with pytest.raises(DependencyDown, match="more than 2 shards by now: the next start"):
        await start()
    sharded_env.env.discord.shards = 4
    async with sharded_env.bot({0, 1, 2, 3}):
        assert (await sharded_env.track(0)).content


async def test_outgrown_setting_is_named(sharded_env: ShardedEnv):
    """2: no new start can help before somebody raises it."""
    sharded_env.env.discord.required_shards = 4
    with pytest.raises(SettingsWrong, match="SHARD_COUNT: Discord asks for more than 2 shards"):
        async with sharded_env.env.bot(shard_count=2) as running:
            await running


async def test_count_follows_the_servers_when_discord_does_not_tell(env: InProcessEnv):
    """GET /gateway/bot has limits of hours; with too few shards each start would be refused."""
    for _ in range(2499):
        env.discord.add_guild("One of many")
    env.discord.faults.add(Fault("GET /gateway/bot", status=503, body="", times=None))
    point_at(env.discord.api_url)
    counts = []
    for shard_count in (None, 2):
        client = CourierClient(shard_count=shard_count)
        await log_in(client, env.discord.token)
        connecting = asyncio.create_task(connect(client, own_gateway=False))
        await eventually(partial(getattr, client, "shard_ids"))
        connecting.cancel()
        await asyncio.wait({connecting})
        counts.append((client.shard_count, client.shard_ids, client.counts_by_itself))
        await client.close()

    assert counts == [(3, [0, 1, 2], True), (2, [0, 1], False)]
