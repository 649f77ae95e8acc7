"""The real bot in the test's own loop, against both stand-ins: real HTTP, websocket and database."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bot import app
from bot.chat import outbound
from bot.core.clock import system_clock
from bot.settings import Settings, read_settings
from bot.work import card_updater, deliverer
from sandbox.discord import Channel, Guild, Message, Person, StandInDiscord
from sandbox.patience import PATIENCE
from sandbox.video_api import StandInVideoApi
from tests.results import is_result

POLL_INTERVAL = 0.2


class QuickClock:
    """The system's clock, and how many milliseconds a test has skipped."""

    def __init__(self) -> None:
        self.skipped = 0

    def __call__(self) -> int:
        return system_clock() + self.skipped


@dataclass
class InProcessEnv:
    """A server with two people, and the stand-in API."""

    discord: StandInDiscord
    api: StandInVideoApi
    guild: Guild
    channel: Channel
    alice: Person
    bob: Person
    folder: Path
    allowed: list[str] = field(default_factory=list)
    """Parts of surprises that a test provokes on purpose."""

    def settings(self, **changes: Any) -> Settings:
        values: dict[str, Any] = {
            "discord_token": self.discord.token,
            "discord_api_url": self.discord.api_url,
            "veo_api_key": self.api.key,
            "veo_api_url": self.api.url,
            "data_dir": self.folder / "data",
            "poll_interval": POLL_INTERVAL,
            "poll_rate": 1000,
        }
        return read_settings(_env_file=None, **(values | changes))

    async def hurry(self, clock: QuickClock, until: Callable[[], object], step: int) -> int:
        """Skip time in steps until something has happened; returns how many milliseconds in all.

        A command wakes the loops, which sleep by the real clock.
        """
        async with asyncio.timeout(PATIENCE):
            while not until():
                clock.skipped += step
                await self.bob.slash(self.channel, "veo untrack", id="vgen_nothing")
        return clock.skipped

    @asynccontextmanager
    async def bot(self, **changes: Any) -> AsyncIterator[asyncio.Task[None]]:
        """The bot, connected; stopped as by SIGTERM at the end."""
        stop = asyncio.Event()
        running = asyncio.create_task(app.run(self.settings(**changes), stop))
        try:
            connected = asyncio.create_task(
                self.discord.until(lambda: self.discord.connected and self.discord.commands)
            )
            await asyncio.wait({running, connected}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                connected.cancel()
                await running
            await connected
            yield running
        finally:
            stop.set()
            await running

    @asynccontextmanager
    async def bot_without_gateway(self, **changes: Any) -> AsyncIterator[asyncio.Task[None]]:
        """The bot once it is logged in, with or without its gateway."""
        stop = asyncio.Event()
        asked = len(self.discord.requests("GET", "/gateway/bot"))
        running = asyncio.create_task(app.run(self.settings(**changes), stop))
        try:
            await self.discord.until(lambda: len(self.discord.requests("GET", "/gateway/bot")) > asked, 20)
            yield running
        finally:
            stop.set()
            await running

    async def track(self, ids: str, **options: Any) -> Message:
        """As alice in the channel; the bot's answer."""
        reply = await self.alice.slash(self.channel, "veo track", id=ids, **options)
        assert reply.message is not None
        return reply.message

    async def confirm(self, person: Person, message: Message, button: str) -> Message:
        """Press a button that asks a question, then the button that says yes; returns the question."""
        asked = await person.press(message, button)
        assert asked.message is not None
        assert asked.ephemeral
        [yes] = asked.message.buttons
        await person.press(asked.message, str(yes.custom_id))
        return asked.message

    async def results(self, count: int = 1, channel: Channel | None = None) -> list[Message]:
        """The channel's result messages, once there are `count`."""
        where = channel or self.channel

        def enough() -> list[Message]:
            found = [m for m in where.messages if is_result(m)]
            return found if len(found) >= count else []

        return await self.discord.until(enough)

    def check(self) -> None:
        unexpected = [
            s for s in (*self.discord.surprises, *self.api.surprises) if not any(a in s for a in self.allowed)
        ]
        assert not unexpected, "\n".join(unexpected)


@pytest.fixture(autouse=True)
def quick_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Discord did not take is tried again after a moment, and the token is checked in one."""
    monkeypatch.setattr(deliverer, "_MIN_RETRY_DELAY", 100)
    monkeypatch.setattr(deliverer, "_MIN_ODD_DELAY", 20)
    monkeypatch.setattr(deliverer, "_MAX_ODD_DELAY", 100)
    monkeypatch.setattr(card_updater, "_MIN_RETRY_DELAY", 100)
    monkeypatch.setattr(outbound, "TOKEN_CHECK_PAUSE", 0.05)


@pytest.fixture
def quick_clock(monkeypatch: pytest.MonkeyPatch) -> QuickClock:
    """The bot's clock, which a test can move on."""
    clock = QuickClock()
    monkeypatch.setattr(app, "system_clock", clock)
    return clock


@pytest.fixture(autouse=True)
def addresses_are_put_back(discord_addresses: None) -> None:
    """In every test here, because each of them uses discord.py."""


@pytest.fixture
async def env(tmp_path: Path, brought_up_file: Path) -> AsyncIterator[InProcessEnv]:
    (tmp_path / "data").mkdir()
    shutil.copy(brought_up_file, tmp_path / "data")
    async with StandInDiscord() as discord, StandInVideoApi() as api:
        guild = discord.add_guild("Studio")
        alice, bob = discord.add_person("alice"), discord.add_person("bob")
        guild.join(alice)
        guild.join(bob)
        # Discord allows 3 s; how fast the bot answers is measured elsewhere, on a machine at rest.
        discord.interaction_deadline = PATIENCE
        env = InProcessEnv(discord, api, guild, guild.add_channel("renders"), alice, bob, tmp_path)
        yield env
        env.check()
