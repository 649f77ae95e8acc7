"""`python -m bot move sqlite:///… postgresql://…`: carries a bot that is stopped over to PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bot.core.errors import DependencyDown, SettingsWrong, StorageUnavailable
from bot.settings import Settings
from bot.storage.copying import copy_all
from bot.storage.engine import SQLITE_PREFIX, Database
from bot.storage.migrations import NEWEST, migrate, schema_version
from bot.storage.sqlite import exclusive_file_lock, sqlite_path
from bot.storage.store import open_database


async def run(settings: Settings, source: str, target: str) -> int:
    """All of it or nothing; may be repeated until a bot has run on the target.

    Raises SettingsWrong, DependencyDown.
    """
    if not source.startswith(SQLITE_PREFIX) or target.startswith("sqlite:"):
        raise SettingsWrong(["move: goes from sqlite:///… to postgresql://…"])
    path = sqlite_path(source)
    if not await asyncio.to_thread(path.exists):
        raise DependencyDown(f"move: there is no file {path}")
    with exclusive_file_lock(source):
        async with _opened(source) as old, _opened(target) as new:
            await _check_version(old)
            await migrate(new)
            counts = await copy_all(old, new)
    for table, rows in counts.items():
        print(f"{rows:9,} {table}")
    print(f"moved and counted. Set DATABASE_URL to the new address and start; {path} stays as it was")
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
