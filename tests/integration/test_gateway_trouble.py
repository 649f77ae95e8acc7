"""The gateway in trouble: the first connection, sessions that end at once, calls that never come back."""

import asyncio
from functools import partial

import pytest

from bot import serving
from bot.chat import gateway
from bot.chat.watchdog import watch
from bot.core.errors import ClientStalled, DependencyDown
from sandbox.faults import Fault
from tests.integration.conftest import Scene

ID = "vgen_abc123def456"


async def test_first_connection_that_fails_is_tried_again(scene: Scene, monkeypatch: pytest.MonkeyPatch):
    """discord.py 2.7.1 dies of an AttributeError there."""
    monkeypatch.setattr(gateway, "retry_delay", lambda attempt, first, most: 0)
    scene.discord.refuse_connections(2)
    scene.api.create(ID).fail("no")
    async with scene.bot():
        await scene.track(ID)
        assert await scene.results()

    assert scene.discord.identifies == 1


async def test_gateway_that_stays_closed_ends_the_start(scene: Scene, monkeypatch: pytest.MonkeyPatch):
    """69, without a single session used up."""
    monkeypatch.setattr(gateway, "retry_delay", lambda attempt, first, most: 0)
    scene.discord.refuse_connections(1000)
    with pytest.raises(DependencyDown, match="gateway cannot be reached"):
        async with scene.bot():
            pass

    assert scene.discord.identifies == 0


async def test_session_that_cannot_be_resumed_is_begun_anew(scene: Scene):
    """And READY is compared again; what was tracked goes on."""
    task = scene.api.create(ID)
    async with scene.bot():
        await scene.track(ID)
        scene.discord.forget_sessions()
        await scene.discord.disconnect_gateway(1006)
        await scene.discord.until(lambda: scene.discord.identifies == 2, within=30)
        task.fail("no")
        assert await scene.results()


async def test_stalled_client_ends_the_process(scene: Scene, monkeypatch: pytest.MonkeyPatch):
    """Nothing that Discord is asked comes back: nothing would ever be posted again."""
    monkeypatch.setattr(serving, "watch", partial(watch, every=0.05, patience=0.2))

    async def stall() -> None:
        async with scene.bot() as running:
            scene.discord.hold("GET /users/@me")
            await asyncio.wait({running}, timeout=20)

    with pytest.raises(ClientStalled):
        await stall()


async def test_discord_in_trouble_is_not_a_stalled_client(scene: Scene, monkeypatch: pytest.MonkeyPatch):
    """Any answer is a good one: 5xx is waited out, not left from."""
    monkeypatch.setattr(serving, "watch", partial(watch, every=0.05, patience=5))
    scene.api.create(ID).fail("no")
    async with scene.bot() as running:
        scene.discord.faults.add(Fault("GET /users/@me", status=503, body="", times=None))
        asked = len(scene.discord.requests("GET", "/users/@me"))
        await scene.discord.until(lambda: len(scene.discord.requests("GET", "/users/@me")) >= asked + 3)
        await scene.track(ID)
        assert await scene.results()
        assert not running.done()


async def test_few_sessions_left_are_stretched_over_the_time(scene: Scene, caplog: pytest.LogCaptureFixture):
    """A process that starts over and over must not use up the day's: then the token is reset."""
    scene.discord.session_starts.update(remaining=3, reset_after=900)
    async with scene.bot():
        assert scene.discord.identifies == 1

    assert "only 3 of 1000 gateway sessions are left" in caplog.text
