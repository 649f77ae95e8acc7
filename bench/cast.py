"""The bot's processes in a soak: who plays, who is killed, and how it comes back."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa

from bench.limits import LIFTED
from bot.storage.engine import Database
from bot.storage.opening import open_database
from sandbox.bot_process import BotProcess
from sandbox.discord import Guild
from sandbox.postgres import postgres
from sandbox.stage import Stage

_SETTINGS = {"POLL_INTERVAL": "0.3", "POLL_RATE": "1000", **LIFTED}
_LEASE = 2.0  # seconds; the default is 30, which would make most of the time a wait


class Cast(Protocol):
    """The processes of one bot."""

    stage: Stage
    guilds: list[Guild]

    async def begin(self) -> None: ...

    async def lose_one(self, then: Callable[[], None] | None) -> str:
        """Kills or freezes one; `then` is called while it is gone. Returns what was done."""
        ...

    async def end(self) -> None: ...

    def said(self) -> list[str]:
        """Every line that any of them logged."""
        ...


async def ask(cast: Cast, statement: str) -> int:
    """The single value of a question to the bot's database."""
    async with _database(cast) as database:
        return int((await database.run(lambda c: c.execute(sa.text(statement)))).scalar_one())


async def tell(cast: Cast, statement: str) -> None:
    """A change in the bot's database."""
    async with _database(cast) as database:
        await database.run(lambda c: c.execute(sa.text(statement)), alone=True)


@asynccontextmanager
async def _database(cast: Cast) -> AsyncIterator[Database]:
    database = open_database(cast.stage.settings()["DATABASE_URL"])
    try:
        yield database
    finally:
        await database.close()


class Soloist:
    """One process with a SQLite file."""

    def __init__(self, folder: Path, _exit: AsyncExitStack) -> None:
        url = f"sqlite:///{folder / 'data' / 'bot.db'}"
        self.stage = Stage(folder, DATABASE_URL=url, **_SETTINGS)
        self.guilds: list[Guild] = []

    async def begin(self) -> None:
        self.guilds = [self.stage.guild]
        await self.stage.start_bot()

    async def lose_one(self, then: Callable[[], None] | None) -> str:
        await self.stage.bot.kill()
        if then is not None:
            then()
        await self.stage.discord.until(lambda: not self.stage.discord.connected)
        return "killed"

    async def come_back(self) -> None:
        await self.stage.start_bot()

    async def end(self) -> None:
        await self.stage.bot.stop()

    def said(self) -> list[str]:
        return self.stage.bot.output().splitlines()


class Ensemble:
    """Processes of both roles over one PostgreSQL: `chat` of them share the shards."""

    def __init__(self, folder: Path, exit_: AsyncExitStack, *, work: int, chat: int, chance: random.Random):
        url = exit_.enter_context(postgres()).database()
        self.stage = Stage(folder, DATABASE_URL=url, LEASE_TIME=str(_LEASE), **_SETTINGS)
        self.guilds: list[Guild] = []
        self._chance = chance
        self._roles = ["work"] * work + ["chat"] * chat
        self._chats = chat
        self._players: list[BotProcess] = []

    async def begin(self) -> None:
        self.stage.discord.shards = self._chats
        for shard in range(self._chats):
            guild = self.stage.discord.add_guild(f"Shard {shard}", shard=(shard, self._chats))
            for person in (self.stage.alice, self.stage.bob):
                guild.join(person)
            self.guilds.append(guild)
        for number, role in enumerate(self._roles):
            self._players.append(self._player(number, role))
            await self._start(number)
        ready = set(range(self._chats))
        await self.stage.discord.until(
            lambda: self.stage.discord.connected_shards == ready and bool(self.stage.discord.commands),
            within=60,
        )

    def _player(self, number: int, role: str) -> BotProcess:
        settings = self.stage.settings()
        if role == "chat":
            shard = number - self._roles.index("chat")
            settings |= {"SHARD_COUNT": str(self._chats), "SHARD_IDS": str(shard)}
        return BotProcess(settings, self.stage.folder / f"{number}-{role}.log")

    async def _start(self, number: int) -> None:
        await self._players[number].start("--role", self._roles[number])

    async def lose_one(self, then: Callable[[], None] | None) -> str:
        """Killed, or cut off for longer than its lease: others take over, and it comes back to find so."""
        number = self._chance.randrange(len(self._players))
        player = self._players[number]
        frozen = self._chance.random() < 0.25 and player.exit_code is None
        if frozen:
            player.freeze()
        elif player.exit_code is None:
            await player.kill()
        if then is not None:
            then()
        if frozen:
            await asyncio.sleep(_LEASE * self._chance.uniform(0.5, 2.5))
            player.thaw()
            return f"{self._roles[number]} frozen"
        await asyncio.sleep(self._chance.uniform(0, 2))
        await self._start(number)
        return f"{self._roles[number]} killed"

    async def end(self) -> None:
        for player in self._players:
            await player.stop()

    def said(self) -> list[str]:
        return [line for player in self._players for line in player.output().splitlines()]
