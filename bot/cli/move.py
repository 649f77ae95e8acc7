"""`python -m bot move`: moves a stopped bot from SQLite to the PostgreSQL of DATABASE_URL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from bot.core.database_url import SQLITE_PREFIX
from bot.core.errors import DependencyDown, SettingsWrong, StorageUnavailable
from bot.settings import Settings
from bot.storage.copying import copy_all, forget_move, moved_to
from bot.storage.engine import Database
from bot.storage.migrations import NEWEST, migrate, schema_version
from bot.storage.sqlite_files import exclusive_file_lock, sqlite_path
from bot.storage.store import open_database

_IN_AN_ARGUMENT = (
    "move: the target is DATABASE_URL, from the environment or .env, because all users of this machine can "
    "read a password in an argument. Set it there, and run: python -m bot move sqlite:///data/bot.db"
)


async def run(
    settings: Settings, source: str | None, target: str | None = None, *, undo: bool = False
) -> int:
    """Move all rows or none; returns the exit code. May be repeated until a bot has run on the target.

    `undo` removes the mark from the old file instead. Raises SettingsWrong, DependencyDown.
    """
    if target is not None or (source is not None and not source.startswith("sqlite:")):
        raise SettingsWrong([_IN_AN_ARGUMENT])
    url = _source(settings, source)
    path = sqlite_path(url)
    if not await asyncio.to_thread(path.exists):
        raise DependencyDown(f"move: there is no file {path}")
    with exclusive_file_lock(url):
        return await (_undo_move(url, path) if undo else _move_rows(url, path, settings))


def _source(settings: Settings, source: str | None) -> str:
    """Return the address of the file that was named, else of the one in DATA_DIR."""
    if source is None:
        return settings.sqlite_database
    if not source.startswith(SQLITE_PREFIX):
        raise SettingsWrong([f"move: {source!r} must begin with sqlite:///, such as sqlite:///data/bot.db"])
    return source


async def _move_rows(url: str, path: Path, settings: Settings) -> int:
    if not settings.on_postgresql:
        raise SettingsWrong(
            ["move: DATABASE_URL must be the address to move to, postgresql://user:password@host/name"]
        )
    async with _opened(url) as old, _opened(settings.database) as new:
        await _check_version(old)
        await migrate(new)
        counts = await copy_all(old, new, _described(settings.database))
    for table, rows in counts.items():
        print(f"{rows:9,} {table}")
    print(f"moved and counted. No bot starts on {path} now; python -m bot move --undo permits it again")
    return 0


def _described(url: str) -> str:
    """Return where the rows went and when, without user and password."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2] or "this machine"
    return f"{parts.path.strip('/')} on {host} ({datetime.now(UTC):%Y-%m-%d %H:%M} UTC)"


async def _undo_move(url: str, path: Path) -> int:
    async with _opened(url) as old:
        await _check_version(old)
        place = await moved_to(old)
        await forget_move(old)
    print(f"{path}: was moved to {place}, and can be used again" if place else f"{path}: was not moved")
    return 0


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[Database]:
    database = open_database(url)
    try:
        yield database
    except StorageUnavailable as error:
        raise DependencyDown(f"move: {error}") from error
    finally:
        await database.close()


async def _check_version(database: Database) -> None:
    version = await schema_version(database)
    if version != NEWEST:
        raise DependencyDown(
            f"move: the file has schema version {version}, this program {NEWEST}: "
            "run `python -m bot migrate` on it first"
        )
