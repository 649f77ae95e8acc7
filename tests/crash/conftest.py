"""The real command line as a process, against both stand-ins, killed at moments that they observe."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bot.settings import Settings, read_settings
from bot.storage.store import open_database
from sandbox.bot_environment import BotEnvironment
from sandbox.discord import Message
from sandbox.patience import PATIENCE
from tests.secrecy import leaked


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """A file that does not exist yet. The kill tests run on PostgreSQL as well."""
    return f"sqlite:///{tmp_path / 'data' / 'bot.db'}"


class CrashEnv(BotEnvironment):
    """BotEnvironment with the steps that crash tests share."""

    def read_settings(self) -> Settings:
        """The bot's settings, for a command that a test runs in its own process."""
        values: dict[str, Any] = {name.lower(): value for name, value in self.settings().items()}
        return read_settings(_env_file=None, **values)

    async def track(self, ids: str) -> Message:
        reply = await self.alice.slash(self.channel, "veo track", id=ids)
        assert reply.message is not None
        return reply.message

    def results(self) -> list[Message]:
        return [m for m in self.channel.messages if any(b.label == "Delete" for b in m.buttons)]

    async def settled(self, *ids: str) -> list[Message]:
        """The results, once there is one for every id."""

        def done() -> bool:
            said = [m.content for m in self.results()]
            return all(any(f"`{i}`" in text for text in said) for i in ids)

        await self.discord.until(done)
        return self.results()

    async def assert_only_video(self, task_id: str) -> bytes:
        """The video of the one result, once it is recorded. The bot is stopped, and no file may be left."""
        [result] = await self.settled(task_id)
        # Once the end is recorded, nothing is tried again.
        async with asyncio.timeout(PATIENCE):
            while f"/{result.id}" not in (listed := await self.listed()):
                assert "I post it now" in listed
        await self.bot.stop()
        assert self.results() == [result]
        assert self.video_files() == []
        assert result.mentions == {self.alice.id}
        [file] = result.attachments
        return file.content

    def video_files(self) -> list[Path]:
        return sorted((self.folder / "data" / "videos").iterdir())

    async def listed(self) -> str:
        reply = await self.alice.slash(self.channel, "veo list")
        assert reply.message is not None
        return reply.message.content

    async def more_requests_than(self, count: int) -> None:
        await self.discord.until(lambda: len(self.discord.record) > count)

    async def more_polls_than(self, count: int, task_id: str) -> None:
        await self.api.until(lambda: len(self.api.polls_of(task_id)) > count)

    async def change(self, statement: str) -> int:
        """Run a statement in the database, beside the bot; returns the number of rows."""
        database = open_database(self.settings()["DATABASE_URL"])
        try:
            return (await database.run(lambda c: c.execute(sa.text(statement)), exclusive=True)).rowcount
        finally:
            await database.close()

    def expect_check_of_another_address(self) -> None:
        """`check` requests an address that does not exist, for comparison; no other surprise is allowed."""
        assert self.api.surprises == ["GET /veo-courier-check/v1/result/veo-courier-check: no such route"]
        self.api.surprises.clear()

    async def restart(self) -> None:
        await self.bot.kill()
        await self.discord.until(lambda: not self.discord.connected)
        await self.start_bot()


@pytest.fixture
async def env(tmp_path: Path, database_url: str) -> AsyncIterator[CrashEnv]:
    # After a kill on PostgreSQL, work waits for the old leases to end. Machines rarely pause for 3 s.
    settings = {"DATABASE_URL": database_url, "LEASE_TIME": "3"}
    async with CrashEnv(
        tmp_path, POLL_INTERVAL="0.3", POLL_RATE="1000", LOG_LEVEL="DEBUG", **settings
    ) as env:
        # Discord allows 3 s. These tests do not measure how fast the bot answers.
        env.discord.interaction_deadline = PATIENCE
        yield env
        await env.bot.stop()
        said = env.bot.output() if env.bot.log.exists() else ""
        assert leaked(said) == []
        assert "Traceback" not in said, said
        env.check()
