"""SQLite: one file, one process, one connection.

Measured traps, each with its test in tests/storage/test_engine.py:
- the driver begins a transaction only at the first write, so read-then-write loses updates:
  BEGIN IMMEDIATE at the start of each;
- a cancelled BEGIN still gets its lock in the driver's thread, and the next one waits 5 s for it:
  one connection, and a transaction that has begun is always finished, cancelled caller or not.
"""

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from bot.storage.engine import Database


class SqliteDatabase(Database):
    """Connects to nothing yet."""

    def __init__(self, path: Path) -> None:
        super().__init__(_open_engine(path))

    async def _take_time(self, connection: AsyncConnection) -> None:
        """Nothing limits it."""

    async def _take_turn(self, connection: AsyncConnection, alone: bool) -> None:
        """BEGIN IMMEDIATE has waited already: every transaction is alone."""

    def _passes(self, error: sa.exc.DBAPIError) -> bool:
        if isinstance(error, (sa.exc.OperationalError, sa.exc.InterfaceError)):
            return True
        # The base class itself means a damaged file; its other subclasses are bugs of ours.
        return type(error) is sa.exc.DatabaseError


def _open_engine(path: Path) -> AsyncEngine:
    engine = create_async_engine(
        sa.URL.create("sqlite+aiosqlite", database=str(path)), pool_size=1, max_overflow=0
    )
    sa.event.listen(engine.sync_engine, "connect", _prepare)
    sa.event.listen(engine.sync_engine, "begin", _begin_immediate)
    return engine


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
