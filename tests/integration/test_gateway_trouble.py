"""Failures of the gateway: the first connection, sessions that end at once, calls that never come back."""

import asyncio
import sqlite3
from contextlib import closing
from functools import partial

import pytest

from bot import supervisor
from bot.chat.gateway import connection, shards, state
from bot.chat.gateway.watchdog import watch
from bot.core.errors import ClientStalled
from sandbox.faults import Fault
from sandbox.patience import PATIENCE
from tests.integration.conftest import InProcessEnv
from tests.timing import eventually

ID = "vgen_abc123def456"


async def eventually_stored(env: InProcessEnv, prefix: str) -> list[str]:
    """The values of the names that begin so, once there are some: what the doctor reads."""

    def read() -> list[str]:
        with closing(sqlite3.connect(env.folder / "data" / "bot.db")) as database:
            found = database.execute("SELECT value FROM key_values WHERE name LIKE ?", [f"{prefix}%"])
            return [str(value) for (value,) in found if "not connected yet" not in value]

    await eventually(read)
    return read()


async def test_first_connection_that_fails_is_tried_again(env: InProcessEnv, monkeypatch: pytest.MonkeyPatch):
    """discord.py 2.7.1 dies of an AttributeError there."""
    monkeypatch.setattr(shards, "retry_delay", lambda attempt, base, cap: 0)
    env.discord.refuse_connections(2)
    env.api.create(ID).fail("no")
    async with env.bot():
        await env.track(ID)
        assert await env.results()

    assert env.discord.identifies == 1


@pytest.fixture
def tells_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The half minute before it is worth telling is measured elsewhere."""
    monkeypatch.setattr(state, "_WORTH_STORING", 0)


@pytest.mark.usefixtures("tells_at_once")
async def test_gateway_that_stays_closed_stops_nothing(env: InProcessEnv):
    """Polling and posting need REST alone: what was tracked before arrives, and the first poll is early."""
    task = env.api.create(ID)
    async with env.bot():
        await env.track(ID)
    task.fail("no")
    polled = len(env.api.polls_of(ID))
    env.discord.refuse_connections(1000)
    async with env.bot_without_gateway():
        await env.api.until(lambda: len(env.api.polls_of(ID)) > polled)
        await env.results()
        [problem] = await eventually_stored(env, "gateway:")
        assert env.discord.connected is False

    assert env.discord.identifies == 1
    assert "gateway" in problem


@pytest.mark.usefixtures("tells_at_once")
async def test_used_up_sessions_stop_nothing(env: InProcessEnv):
    """No session for six hours: results go on, and the reason is stored for the doctor."""
    env.api.create(ID).fail("no")
    async with env.bot():
        await env.track(ID)
        await env.results()
    env.discord.session_starts.update(remaining=0, reset_after=6 * 3_600_000)
    env.discord.forget_sessions()
    async with env.bot_without_gateway():
        [problem] = await eventually_stored(env, "gateway:")

    assert "session" in problem
    assert env.discord.identifies == 1


async def test_gateway_address_that_is_not_told_is_asked_again(
    env: InProcessEnv, monkeypatch: pytest.MonkeyPatch
):
    """With another API address the gateway's comes from there."""
    monkeypatch.setattr(connection, "retry_delay", lambda attempt, base, cap: 0)
    env.discord.faults.add(Fault("GET /gateway/bot", status=503))
    env.discord.faults.add(Fault("GET /gateway/bot", status=200, body=[]))
    env.discord.faults.add(Fault("GET /gateway/bot", status=200, body={"url": 5}))
    async with env.bot():
        card = await env.track(ID)

    assert ID in card.content
    assert len(env.discord.requests("GET", "/gateway/bot")) == 4


async def test_unlisted_close_code_is_tried_again(env: InProcessEnv, monkeypatch: pytest.MonkeyPatch):
    """4014 and the like: no gateway until it is mended, and all else goes on."""
    monkeypatch.setattr(shards, "retry_delay", lambda attempt, base, cap: 0)
    env.api.create(ID).fail("no")
    async with env.bot() as running:
        await env.track(ID)
        await env.results()
        env.discord.forget_sessions()
        await env.discord.disconnect_gateway(4014)
        await env.discord.until(lambda: env.discord.identifies == 2, within=30)
        assert not running.done()


async def test_token_that_only_the_gateway_refuses_ends_nothing(
    env: InProcessEnv, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """4004 while REST accepts the token: confirmed by nobody."""
    monkeypatch.setattr(connection, "retry_delay", lambda attempt, base, cap: 0)
    env.discord.refuse_shard(0, 4004)
    async with env.bot_without_gateway() as running:
        await eventually(lambda: caplog.text.count("its REST accepts it") >= 3, within=30)
        assert not running.done()


async def test_session_that_cannot_be_resumed_is_begun_anew(env: InProcessEnv):
    """And READY is compared again; what was tracked goes on."""
    task = env.api.create(ID)
    async with env.bot():
        await env.track(ID)
        env.discord.forget_sessions()
        await env.discord.disconnect_gateway(1006)
        await env.discord.until(lambda: env.discord.identifies == 2)
        task.fail("no")
        assert await env.results()


async def test_stalled_client_ends_the_process(env: InProcessEnv, monkeypatch: pytest.MonkeyPatch):
    """No call to Discord comes back: nothing would ever be posted again."""
    monkeypatch.setattr(supervisor, "watch", partial(watch, interval=0.05, timeout=0.2))

    async def stall() -> None:
        async with env.bot() as running:
            env.discord.hold("GET /users/@me")
            await asyncio.wait({running}, timeout=PATIENCE)

    with pytest.raises(ClientStalled):
        await stall()


async def test_failing_discord_is_not_a_stalled_client(env: InProcessEnv, monkeypatch: pytest.MonkeyPatch):
    """Any answer is a good one: 5xx is waited out, and the process goes on."""
    monkeypatch.setattr(supervisor, "watch", partial(watch, interval=0.05, timeout=PATIENCE))
    env.api.create(ID).fail("no")
    async with env.bot() as running:
        env.discord.faults.add(Fault("GET /users/@me", status=503, body="", times=None))
        asked = len(env.discord.requests("GET", "/users/@me"))
        await env.discord.until(lambda: len(env.discord.requests("GET", "/users/@me")) >= asked + 3)
        await env.track(ID)
        assert await env.results()
        assert not running.done()


async def test_few_sessions_left_are_stretched_over_the_time(
    env: InProcessEnv, caplog: pytest.LogCaptureFixture
):
    """A process that starts over and over must not use up the day's: then the token is reset."""
    env.discord.session_starts.update(remaining=3, reset_after=900)
    async with env.bot():
        assert env.discord.identifies == 1

    assert "only 3 of 1000 gateway sessions are left" in caplog.text
