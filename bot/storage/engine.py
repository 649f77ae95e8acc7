"""Connections and transactions, and every difference between database dialects.

Measured traps, each with its test in tests/storage/test_engine.py:
- the SQLite driver begins a transaction only at the first write, so read-then-write loses updates:
  BEGIN IMMEDIATE at the start of each;
- a cancelled BEGIN still gets its lock in the driver's thread, and the next one waits 5 s for it:
  one connection, and a transaction that has begun is always finished, cancelled caller or not.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from bot.core.errors import SettingsWrong, StorageUnavailable

Result = TypeVar("Result")
Work = Callable[[AsyncConnection], Awaitable[Result]]


class Database:
    """Runs units of work, each in one transaction of its own.

    A unit awaits nothing but its connection: it holds the only one that SQLite has.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._running: set[asyncio.Task[Any]] = set()

    @property
    def dialect(self) -> str:
        return self._engine.dialect.name

    async def run(self, work: Work[Result]) -> Result:
        """Commit what `work` does, or nothing of it. Raises StorageUnavailable."""
        job = asyncio.create_task(self._transaction(work))
        self._running.add(job)
        job.add_done_callback(self._running.discard)
        try:
            return await asyncio.shield(job)
        except asyncio.CancelledError:
            # The caller may go only when its transaction has: whoever looks next sees the outcome.
            await asyncio.wait({job})
            raise

    async def _transaction(self, work: Work[Result]) -> Result:
        try:
            async with self._engine.begin() as connection:
                return await work(connection)
        except (
            sa.exc.OperationalError,
            sa.exc.InterfaceError,
            sa.exc.TimeoutError,
            OSError,
        ) as error:
            raise StorageUnavailable(f"the database did not answer: {_cause(error)}") from error
        except sa.exc.DatabaseError as error:
            # The base class itself means a damaged file; its other subclasses are bugs of ours.
            if type(error) is not sa.exc.DatabaseError:
                raise
            raise StorageUnavailable(f"the database cannot be read: {_cause(error)}") from error

    async def close(self) -> None:
        """Waits for the transactions that have begun."""
        if self._running:
            await asyncio.wait(set(self._running))
        await self._engine.dispose()


def _cause(error: BaseException) -> str:
    """The driver's own sentence, without the statement and its values."""
    return str(getattr(error, "orig", None) or error)


def open_database(url: str) -> Database:
    """Connects to nothing yet. Raises SettingsWrong for a URL of no known dialect."""
    if url.startswith("sqlite:///"):
        return Database(_sqlite_engine(Path(url.removeprefix("sqlite:///"))))
    raise SettingsWrong([f"DATABASE_URL: only sqlite:///… is supported so far, not {url.split(':')[0]}:…"])


def _sqlite_engine(path: Path) -> AsyncEngine:
    engine = create_async_engine(
        sa.URL.create("sqlite+aiosqlite", database=str(path)), pool_size=1, max_overflow=0
    )
    sa.event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    sa.event.listen(engine.sync_engine, "begin", _begin_immediate)
    return engine


def _prepare_sqlite(connection: DBAPIConnection, _record: object) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    # busy_timeout first: switching to WAL needs the lock that another process may hold.
    try:
        for pragma in (
            "busy_timeout=5000",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "temp_store=MEMORY",
            # What was removed for somebody is overwritten, not left in free pages.
            "secure_delete=ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
    except BaseException:
        # SQLAlchemy does not close what could not be prepared: its thread and file would stay.
        connection.close()
        raise
    cursor.close()


def _begin_immediate(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
