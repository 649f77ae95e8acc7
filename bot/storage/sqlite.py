"""SQLite: one file, one process, one connection; and the lock that keeps a second bot away.

Measured traps, each with its test in tests/storage/test_engine.py:
- the driver begins a transaction only at the first write, so read-then-write loses updates:
  BEGIN IMMEDIATE at the start of each;
- a cancelled BEGIN still gets its lock in the driver's thread, and the next one waits 5 s for it:
  one connection, and a transaction that has begun is always finished, cancelled caller or not.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from filelock import FileLock, Timeout
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from bot.core.errors import DependencyDown
from bot.storage.engine import SQLITE_PREFIX, Database, Result, Work
from bot.storage.group_commit import GroupCommit
from bot.storage.sqlite_driver import connect


class SqliteDatabase(Database):
    """Connects to nothing yet."""

    def __init__(self, path: Path) -> None:
        engine = _open_engine(path)
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
    engine = create_async_engine(
        sa.URL.create("sqlite+aiosqlite", database=str(path)),
        async_creator=lambda: connect(path),
        pool_size=1,
        max_overflow=0,
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


def sqlite_path(url: str) -> Path:
    """The file that a sqlite:/// address names."""
    return Path(url.removeprefix(SQLITE_PREFIX))


@contextmanager
def exclusive_file_lock(url: str) -> Iterator[None]:
    """Hold the lock file of a SQLite database, because only one bot may use it. Nothing for PostgreSQL.

    The operating system drops the lock when the process ends. Raises DependencyDown.
    """
    if not url.startswith(SQLITE_PREFIX):
        yield
        return
    path = sqlite_path(url)
    lock = FileLock(f"{path}.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise DependencyDown(f"another veo-courier already runs on {path}: stop it first") from None
    except OSError as error:
        raise DependencyDown(f"DATABASE_URL: {path} cannot be locked: {error.strerror}") from error
    try:
        yield
    finally:
        lock.release()
