"""Checks whether a database can be written, by a write that is rolled back."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.database_url import SQLITE_PREFIX
from bot.core.errors import StorageUnavailable
from bot.storage.sqlite_files import sqlite_path, writable_address
from bot.storage.store import open_database
from bot.storage.tables import key_values

_NAME = "veo_courier_check"


class _RollBackError(Exception):
    """Ends the transaction without a commit."""


async def check_writable(url: str) -> None:
    """Raise StorageUnavailable when the database cannot be written. It must exist."""
    if url.startswith(SQLITE_PREFIX):
        await asyncio.to_thread(_write_sqlite, sqlite_path(url))
    else:
        await _write_postgresql(url)


def _write_sqlite(path: Path) -> None:
    """Write and roll back. Works beside a running bot, and leaves none of a bot's settings in the file."""
    try:
        with closing(sqlite3.connect(writable_address(path), uri=True, isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.execute(f"CREATE TABLE {_NAME} (number INTEGER)")
            database.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise StorageUnavailable(f"the database cannot be written: {error}") from error


async def _write_postgresql(url: str) -> None:
    database = open_database(url)
    try:
        await database.run(_write_and_roll_back)
    except _RollBackError:
        pass  # the write has succeeded: this error only rolls it back
    finally:
        await database.close()


async def _write_and_roll_back(connection: AsyncConnection) -> None:
    """Insert a row if there are tables, else create a table, as the first start would do."""
    if await connection.run_sync(lambda c: sa.inspect(c).has_table(key_values.name)):
        await connection.execute(sa.insert(key_values).values(name=_NAME, value=""))
    else:
        await connection.execute(sa.text(f"CREATE TABLE {_NAME} (number INTEGER)"))
    raise _RollBackError
