"""The bot's processes in a soak: one with SQLite, or several over one PostgreSQL."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa

from bench import LIFTED_LIMITS
from bot.storage.engine import Database
from bot.storage.store import open_database
from sandbox.bot_environment import BotEnvironment
from sandbox.bot_process import BotProcess
from sandbox.discord import Guild
from sandbox.postgres import postgres

_SETTINGS = {"POLL_INTERVAL": "0.3", "POLL_RATE": "1000", **LIFTED_LIMITS}
_LEASE = 2.0  # seconds; with the default of 30 the soak would mostly wait


class Bots(Protocol):
    """The processes of one bot: `SingleBot` or `SeveralBots`."""

    env: BotEnvironment
    guilds: list[Guild]

    async def start(self) -> None: ...

    async def interrupt_one(self, then: Callable[[], None] | None) -> str:
        """Kill or freeze one process, and call `then` while it is gone. Returns what was done."""
        ...

    async def stop(self) -> None: ...

    def log_lines(self) -> list[str]:
        """Every line that any of the processes logged."""
        ...


async def query(bots: Bots, statement: str) -> int:
    """Run a query on the bot's database, and return its single value."""
    async with _database(bots) as database:
        return int((await database.run(lambda c: c.execute(sa.text(statement)))).scalar_one())


async def change(bots: Bots, statement: str) -> None:
    """Run a statement that changes the bot's database."""
    async with _database(bots) as database:
        await database.run(lambda c: c.execute(sa.text(statement)), exclusive=True)


@asynccontextmanager
async def _database(bots: Bots) -> AsyncIterator[Database]:
    database = open_database(bots.env.settings()["DATABASE_URL"])
    try:
        yield database
    finally:
        await database.close()


class SingleBot:
    """One process with a SQLite file."""

    def __init__(self, folder: Path) -> None:
        url = f"sqlite:///{folder / 'data' / 'bot.db'}"
        self.env = BotEnvironment(folder, DATABASE_URL=url, **_SETTINGS)
        self.guilds: list[Guild] = []

    async def start(self) -> None:
        self.guilds = [self.env.guild]
        await self.env.start_bot()

    async def interrupt_one(self, then: Callable[[], None] | None) -> str:
        await self.env.bot.kill()
        if then is not None:
            then()
        await self.env.discord.until(lambda: not self.env.discord.connected)
        return "killed"

    async def restart(self) -> None:
        await self.env.start_bot()

    async def stop(self) -> None:
        await self.env.bot.stop()

    def log_lines(self) -> list[str]:
        return self.env.bot.output().splitlines()


class SeveralBots:
    """Processes of both roles over one PostgreSQL; the `chat` processes share the shards."""

    def __init__(self, folder: Path, exit_: AsyncExitStack, *, work: int, chat: int, chance: random.Random):
        url = exit_.enter_context(postgres()).database()
        self.env = BotEnvironment(folder, DATABASE_URL=url, LEASE_TIME=str(_LEASE), **_SETTINGS)
        self.guilds: list[Guild] = []
        self._chance = chance
        self._roles = ["work"] * work + ["chat"] * chat
        self._chats = chat
        self._processes: list[BotProcess] = []

    async def start(self) -> None:
        self.env.discord.shards = self._chats
        for shard in range(self._chats):
            guild = self.env.discord.add_guild(f"Shard {shard}", shard=(shard, self._chats))
            for person in (self.env.alice, self.env.bob):
                guild.join(person)
            self.guilds.append(guild)
        for number, role in enumerate(self._roles):
            self._processes.append(self._process(number, role))
            await self._start_process(number)
        ready = set(range(self._chats))
        await self.env.discord.until(
            lambda: self.env.discord.connected_shards == ready and bool(self.env.discord.commands),
            within=60,
        )

    def _process(self, number: int, role: str) -> BotProcess:
        settings = self.env.settings()
        if role == "chat":
            shard = number - self._roles.index("chat")
            settings |= {"SHARD_COUNT": str(self._chats), "SHARD_IDS": str(shard)}
        return BotProcess(settings, self.env.folder / f"{number}-{role}.log")

    async def _start_process(self, number: int) -> None:
        await self._processes[number].start("--role", self._roles[number])

    async def interrupt_one(self, then: Callable[[], None] | None) -> str:
        """Kill and restart a random process, or freeze it for about its lease, so that others take over."""
        number = self._chance.randrange(len(self._processes))
        process = self._processes[number]
        frozen = self._chance.random() < 0.25 and process.exit_code is None
        if frozen:
            process.freeze()
        elif process.exit_code is None:
            await process.kill()
        if then is not None:
            then()
        if frozen:
            await asyncio.sleep(_LEASE * self._chance.uniform(0.5, 2.5))
            process.thaw()
            return f"{self._roles[number]} frozen"
        await asyncio.sleep(self._chance.uniform(0, 2))
        await self._start_process(number)
        return f"{self._roles[number]} killed"

    async def stop(self) -> None:
        for process in self._processes:
            await process.stop()

    def log_lines(self) -> list[str]:
        return [line for process in self._processes for line in process.output().splitlines()]
