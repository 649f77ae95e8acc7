"""The store's database as the explorer has it: a real SQLite file, and commits that are steps.

SQLAlchemy's ordinary engine takes the place of its asynchronous one, because no other thread may run.
"""

import shutil
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa

from bot.storage import sqlite

# Commits a transaction that changed something, and is told what it changed.
Commit = Callable[[str, "Driver"], Awaitable[None]]


class Driver:
    """A connection of sqlite3, which a branch of the run exchanges for one to its copy of the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.is_closed = False
        self.reopen()

    def reopen(self) -> None:
        """Open the file of this name in the folder of today; what was not committed is not in it."""
        self._connection = sqlite3.connect(self._path)
        sqlite._configure(self._connection, None)  # type: ignore[arg-type]
        self._connection.execute("PRAGMA synchronous=OFF")  # the machine itself never stops here
        self._connection.execute("PRAGMA wal_autocheckpoint=32")  # every branch copies the log

    def close(self) -> None:
        self.is_closed = True
        self._connection.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class Connection:
    """What the store needs of an `AsyncConnection`."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self.dialect = connection.dialect
        self.writes: dict[str, None] = {}

    @property
    def driver(self) -> Driver:
        driver: Any = self._connection.connection.driver_connection
        return driver  # type: ignore[no-any-return]

    async def execute(self, statement: Any, parameters: Any = None) -> Any:
        if statement.is_dml:
            self.writes[f"{statement.__visit_name__} {statement.table.name}"] = None
        elif statement.is_text:
            self.writes["schema"] = None
        return self._connection.execute(statement, parameters)

    @asynccontextmanager
    async def begin_nested(self) -> AsyncIterator[None]:
        with self._connection.begin_nested():
            yield

    async def run_sync(self, work: Callable[[sa.Connection], Any]) -> Any:
        return work(self._connection)

    async def get_raw_connection(self) -> Any:
        return SimpleNamespace(driver_connection=self.driver)


class ProcessEngine:
    """What the store needs of an `AsyncEngine`: the one connection of one process."""

    def __init__(self, connection: sa.Connection, commit: Commit) -> None:
        self._connection = connection
        self._commit = commit
        self.dialect = connection.dialect

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Connection]:
        with self._connection.begin() as transaction:
            connection = Connection(self._connection)
            changes = connection.driver.total_changes
            yield connection
            if connection.driver.total_changes > changes:
                await self._commit_step(connection)
            transaction.commit()

    async def _commit_step(self, connection: Connection) -> None:
        try:
            await self._commit(", ".join(connection.writes), connection.driver)
        except sqlite3.Error as error:
            raise sa.exc.OperationalError("COMMIT", None, error) from error

    async def dispose(self) -> None:
        self.kill()

    def kill(self) -> None:
        """As a killed process ends: what was not committed is gone."""
        if not self._connection.closed:
            self._connection.invalidate()
            self._connection.close()


class Engines:
    """One engine for each process of a run. All runs share the statements that are compiled."""

    def __init__(self) -> None:
        self.opened: list[ProcessEngine] = []
        self._drivers: list[Driver] = []
        self.path = Path()
        self.commit: Commit | None = None
        self._engine = sa.create_engine("sqlite://", creator=self._connect, poolclass=sa.NullPool)
        sa.event.listen(self._engine, "begin", sqlite._begin_immediate)

    def open(self, _path: Path) -> Any:
        """In place of `bot.storage.sqlite._open_engine`."""
        assert self.commit is not None
        self.opened.append(ProcessEngine(self._engine.connect(), self.commit))
        return self.opened[-1]

    def reopen(self) -> None:
        """Go on with the files in today's folder, for which nothing may be in a transaction."""
        for driver in self._drivers:
            if not driver.is_closed:
                driver.reopen()

    def release(self) -> None:
        """Close every connection, as the end of their processes does."""
        for engine in self.opened:
            engine.kill()
        self.opened, self._drivers = [], []

    def _connect(self) -> Any:
        self._drivers.append(Driver(self.path))
        return self._drivers[-1]


def copy(source: Path, target: Path) -> None:
    """A SQLite file with its write-ahead log."""
    for ending in ("-wal", "-shm"):
        target.with_name(target.name + ending).unlink(missing_ok=True)
    log = source.with_name(source.name + "-wal")
    if log.exists():
        shutil.copyfile(log, target.with_name(log.name.replace(source.name, target.name)))
    shutil.copyfile(source, target)
