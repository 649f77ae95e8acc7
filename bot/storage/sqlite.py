"""SQLite: one file, one process, one connection. The lock and the rights are in sqlite_files.py.

Two measured traps; tests/storage/test_engine.py has a test for each:

- The driver begins a transaction only at the first write, so read-then-write loses updates. Therefore each
transaction starts with BEGIN IMMEDIATE.
- A cancelled BEGIN still gets its lock in the driver's thread, and the next one waits 5 s for it. Therefore
there is one connection, and a transaction that has begun is always finished, even for a cancelled caller.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path

import aiosqlite
import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from bot.storage.engine import Database, Result, Work
from bot.storage.group_commit import GroupCommit
from bot.storage.sqlite_driver import connect
from bot.storage.sqlite_files import read_only_address


class SqliteDatabase(Database):
    """A SQLite database; it connects at the first use.

    `read_only`: no statement can change the file, and no file is made.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        engine = _open_read_only(path) if read_only else _open_engine(path)
        super().__init__(engine)
        self._groups = GroupCommit(engine)

    async def _commit(self, work: Work[Result], exclusive: bool, no_timeout: bool) -> Result:
        return await self._groups.run(work)

    async def _lift_timeout(self, connection: AsyncConnection) -> None:
        """Nothing to do: SQLite has no transaction timeout."""

    async def _lock(self, connection: AsyncConnection, exclusive: bool) -> None:
        """Nothing to do: BEGIN IMMEDIATE has waited already."""

    def _is_transient(self, error: sa.exc.DBAPIError) -> bool:
        if isinstance(error, (sa.exc.OperationalError, sa.exc.InterfaceError)):
            return True
        # The base class itself means a damaged file; its other subclasses are bugs of ours.
        return type(error) is sa.exc.DatabaseError


def _open_engine(path: Path) -> AsyncEngine:
    engine = _engine(path, lambda: connect(path))
    sa.event.listen(engine.sync_engine, "connect", _configure)
    sa.event.listen(engine.sync_engine, "begin", _begin_immediate)
    return engine


def _open_read_only(path: Path) -> AsyncEngine:
    """Make an engine that only reads. BEGIN IMMEDIATE and some settings would write, so neither is used."""
    engine = _engine(path, lambda: connect(read_only_address(path), uri=True))
    sa.event.listen(engine.sync_engine, "connect", _disable_autobegin)
    sa.event.listen(engine.sync_engine, "begin", _begin_deferred)
    return engine


def _engine(path: Path, creator: Callable[[], Awaitable[aiosqlite.Connection]]) -> AsyncEngine:
    """Make an engine with one connection. Its errors do not show a statement's values: links and notes."""
    return create_async_engine(
        # With a path SQLAlchemy chooses a pool that has a size; for a database in memory it has none.
        sa.URL.create("sqlite+aiosqlite", database=str(path)),
        async_creator=creator,
        pool_size=1,
        max_overflow=0,
        hide_parameters=True,
    )


def _disable_autobegin(connection: DBAPIConnection, _record: object) -> None:
    connection.isolation_level = None


def _configure(connection: DBAPIConnection, _record: object) -> None:
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
            # Erased data is overwritten, and does not stay in free pages.
            "secure_delete=ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
    except BaseException:
        # SQLAlchemy does not close a connection at this point: its thread and file would stay.
        connection.close()
        raise
    cursor.close()


def _begin_immediate(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin_deferred(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN")
