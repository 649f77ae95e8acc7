"""SQLite: one file, one process, one connection. What else belongs to the file is in sqlite_files.py.

Measured traps, each with its test in tests/storage/test_engine.py:
- the driver begins a transaction only at the first write, so read-then-write loses updates:
  BEGIN IMMEDIATE at the start of each;
- a cancelled BEGIN still gets its lock in the driver's thread, and the next one waits 5 s for it:
  one connection, and a transaction that has begun is always finished, cancelled caller or not.
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
    """Connects to nothing yet. `read_only`: no statement can change the file, and no file is made."""

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
    sa.event.listen(engine.sync_engine, "connect", _prepare)
    sa.event.listen(engine.sync_engine, "begin", _begin_immediate)
    return engine


def _open_read_only(path: Path) -> AsyncEngine:
    """Plain BEGIN, because IMMEDIATE wants to write; none of the settings, because some of them write."""
    engine = _engine(path, lambda: connect(read_only_address(path), uri=True))
    sa.event.listen(engine.sync_engine, "connect", _begin_by_hand)
    sa.event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _engine(path: Path, creator: Callable[[], Awaitable[aiosqlite.Connection]]) -> AsyncEngine:
    """One connection; an error's text does not hold the values of its statement: links and notes."""
    return create_async_engine(
        # The path chooses the pool: one of a database in memory would know no size.
        sa.URL.create("sqlite+aiosqlite", database=str(path)),
        async_creator=creator,
        pool_size=1,
        max_overflow=0,
        hide_parameters=True,
    )


def _begin_by_hand(connection: DBAPIConnection, _record: object) -> None:
    connection.isolation_level = None


def _prepare(connection: DBAPIConnection, _record: object) -> None:
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
            # What was erased for a person is overwritten, not left in free pages.
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


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN")
