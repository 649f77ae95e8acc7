"""The real command line as a process, against both stand-ins; killed on what the stand-ins observe."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.storage.store import open_database
from sandbox.bot_environment import BotEnvironment
from sandbox.discord import Message
from sandbox.patience import PATIENCE
from tests.secrecy import leaked


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """Where the bot makes it by itself; the kills are tried on PostgreSQL as well."""
    return f"sqlite:///{tmp_path / 'data' / 'bot.db'}"


class CrashEnv(BotEnvironment):
    """What crash tests need again and again."""

    async def track(self, ids: str) -> Message:
        reply = await self.alice.slash(self.channel, "veo track", id=ids)
        assert reply.message is not None
        return reply.message

    def results(self) -> list[Message]:
        return [m for m in self.channel.messages if any(b.label == "Delete" for b in m.buttons)]

    async def settled(self, *ids: str) -> list[Message]:
        """The results, once every id has one and the card's lines all link to theirs."""

        def done() -> bool:
            said = [m.content for m in self.results()]
            return all(any(f"`{i}`" in text for text in said) for i in ids)

        await self.discord.until(done)
        return self.results()

    async def listed(self) -> str:
        reply = await self.alice.slash(self.channel, "veo list")
        assert reply.message is not None
        return reply.message.content

    async def more_requests_than(self, count: int) -> None:
        await self.discord.until(lambda: len(self.discord.record) > count)

    async def more_polls_than(self, count: int, task_id: str) -> None:
        await self.api.until(lambda: len(self.api.polls_of(task_id)) > count)

    async def change(self, statement: str) -> int:
        """In the database, beside the bot; returns how many rows it was about."""
        database = open_database(self.settings()["DATABASE_URL"])
        try:
            return (await database.run(lambda c: c.execute(sa.text(statement)), exclusive=True)).rowcount
        finally:
            await database.close()

    def expect_check_of_another_address(self) -> None:
        """`check` compares the reply with that of an address that does not exist; nothing else surprised."""
        assert self.api.surprises == ["GET /veo-courier-check/v1/result/veo-courier-check: no such route"]
        self.api.surprises.clear()

    async def restart(self) -> None:
        await self.bot.kill()
        await self.discord.until(lambda: not self.discord.connected)
        await self.start_bot()


@pytest.fixture
async def env(tmp_path: Path, database_url: str) -> AsyncIterator[CrashEnv]:
    # After a kill, work on PostgreSQL waits for the lease of the dead: longer than most pauses of a machine.
    settings = {"DATABASE_URL": database_url, "LEASE_TIME": "3"}
    async with CrashEnv(
        tmp_path, POLL_INTERVAL="0.3", POLL_RATE="1000", LOG_LEVEL="DEBUG", **settings
    ) as env:
        # Discord allows 3 s; how fast the bot answers is measured elsewhere, on a machine at rest.
        env.discord.interaction_deadline = PATIENCE
        yield env
        await env.bot.stop()
        said = env.bot.output() if env.bot.log.exists() else ""
        assert leaked(said) == []
        assert "Traceback" not in said, said
        env.check()
