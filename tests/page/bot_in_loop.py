"""The bot in the test's event loop, for tests of the page alone: a process takes a second to start."""

import asyncio
from pathlib import Path
from typing import Any

from bot import app
from bot.settings import read_settings
from sandbox.bot_process import BotProcess


class BotInLoop(BotProcess):
    """In place of a process that nobody kills. It logs to the test's log, and ends with 0 or an exception."""

    def __init__(self, settings: dict[str, str], log: Path) -> None:
        super().__init__(settings, log)
        self._stop = asyncio.Event()
        self._job: asyncio.Task[None] | None = None

    async def start(self, *arguments: str) -> None:
        assert not arguments
        values: dict[str, Any] = {name.lower(): value for name, value in self._settings.items()}
        self._job = asyncio.create_task(app.run(read_settings(_env_file=None, **values), self._stop))

    @property
    def exit_code(self) -> int | None:
        if self._job is None or not self._job.done():
            return None
        self._job.result()
        return 0

    async def ended(self) -> int:
        assert self._job is not None
        await asyncio.wait({self._job})
        return self.exit_code or 0

    async def stop(self) -> int:
        self._stop.set()
        return await self.ended() if self._job else 0

    async def kill(self) -> None:
        raise AssertionError("a test that kills the bot needs the fixture `bot_process`")
