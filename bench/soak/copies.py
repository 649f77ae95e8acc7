"""Copies of the bot's database, made while it runs and put back by hand while it is stopped."""

import asyncio
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from bot.storage.sqlite_files import sqlite_path
from sandbox.bot_environment import BotEnvironment
from sandbox.bot_process import BotProcess

_KEPT = 3
# The files of a SQLite database in WAL mode; docs/operating.md removes all three before a copy is put back.
_ENDINGS = ("", "-wal", "-shm")


class Copies:
    """The latest copies, as `python -m bot backup` makes them."""

    def __init__(self, env: BotEnvironment, chance: random.Random) -> None:
        self._env = env
        self._chance = chance
        self._paths: list[Path] = []
        self._made = 0

    async def make(self) -> int:
        """Copy the database of the running bot. Returns the exit code."""
        self._made += 1
        path = self._env.folder / f"copy-{self._made}.db"
        backup = BotProcess(self._env.settings(), self._env.folder / "backup.log")
        await backup.start("backup", str(path))
        code = await backup.ended()
        if code == 0:
            self._paths = [*self._paths, path][-_KEPT:]
        return code

    async def put_back(self) -> set[str] | None:
        """Replace the stopped bot's database by a random copy. Returns its tasks; None without a copy."""
        if not self._paths:
            return None
        copy = self._chance.choice(self._paths)
        return await asyncio.to_thread(self._replace, copy)

    def _replace(self, copy: Path) -> set[str]:
        path = sqlite_path(self._env.settings()["DATABASE_URL"])
        for ending in _ENDINGS:
            path.with_name(path.name + ending).unlink(missing_ok=True)
        shutil.copyfile(copy, path)
        with closing(sqlite3.connect(f"file:{copy}?mode=ro", uri=True)) as database:
            return {task_id for (task_id,) in database.execute("SELECT task_id FROM deliveries")}
