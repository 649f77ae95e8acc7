"""Failures of the gateway: the first connection, sessions that end at once, calls that never come back."""

import asyncio
from functools import partial

import pytest

from bot import supervisor
from bot.chat.gateway import shards
from bot.chat.gateway.watchdog import watch
from bot.core.errors import ClientStalled, DependencyDown
from sandbox.faults import Fault
from sandbox.patience import PATIENCE
from tests.integration.conftest import InProcessEnv

ID = "vgen_abc123def456"


async def test_first_connection_that_fails_is_tried_again(env: InProcessEnv, monkeypatch: pytest.MonkeyPatch):
    """discord.py 2.7.1 dies of an AttributeError there."""
    monkeypatch.setattr(shards, "retry_delay", lambda attempt, base, cap: 0)
    env.discord.refuse_connections(2)
    env.api.create(ID).fail("no")
    async with env.bot():
        await env.track(ID)
        assert await env.results()

    assert env.discord.identifies == 1


async def test_gateway_that_stays_closed_ends_the_start(env: InProcessEnv, monkeypatch: pytest.MonkeyPatch):
    """69, without a single session used up."""
    monkeypatch.setattr(shards, "retry_delay", lambda attempt, base, cap: 0)
    env.discord.refuse_connections(1000)
    with pytest.raises(DependencyDown, match="gateway cannot be reached"):
        async with env.bot():
            pass

    assert env.discord.identifies == 0


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
