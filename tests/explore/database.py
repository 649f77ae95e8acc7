"""The real store over a real SQLite file, in the loop's own thread; commits that change something are steps.

An engine is used for many schedules, because compiling its statements takes longer than running them.
"""

import re
import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.storage import sqlite
from bot.storage.sqlite_driver import _Cursor

# Called around the commit of a transaction that changed something, with what it did.
Commit = Callable[[str, sqlite3.Connection], Awaitable[None]]
_WRITES = re.compile(
    r"(?:^|\)\s*)(INSERT INTO|UPDATE|DELETE FROM|ALTER TABLE|CREATE TABLE) (?:IF NOT EXISTS )?(\w+)"
)


class Connection:
    """What SQLAlchemy needs of an aiosqlite connection, without its thread."""

    def __init__(self, path: Path, commit: Commit) -> None:
        self._connection: sqlite3.Connection | None = sqlite3.connect(path, check_same_thread=False)
        self._commit = commit
        self._changes = 0
        self._writes: dict[str, None] = {}
        self._tx = SimpleNamespace(put_nowait=_call_now)

    @property
    def _conn(self) -> sqlite3.Connection:
        if self._connection is None:
            raise ValueError("no active connection")
        return self._connection

    def cursor(self, **_: Any) -> Any:
        return _StepCursor(self)  # type: ignore[arg-type]

    async def run(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        return work(self._conn)

    def note(self, statement: str) -> None:
        if statement.startswith("BEGIN"):
            self._changes, self._writes = self._conn.total_changes, {}
        elif found := _WRITES.search(statement):
            self._writes[f"{found[1].split()[0].lower()} {found[2]}"] = None

    async def commit(self) -> None:
        if self._connection is None:
            return
        if not self._conn.in_transaction or self._conn.total_changes == self._changes:
            self._conn.commit()
        else:
            await self._commit(", ".join(self._writes), self._conn)

    async def rollback(self) -> None:
        if self._connection is not None:
            self._connection.rollback()

    async def create_function(self, *arguments: Any, **named: Any) -> None:
        self._conn.create_function(*arguments, **named)

    async def close(self) -> None:
        self.stop()

    def stop(self) -> None:
        """As a killed process ends: what was not committed is gone."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class _StepCursor(_Cursor):
    async def execute(self, statement: str, parameters: Any = ()) -> Any:
        self._connection.note(statement)  # type: ignore[attr-defined]
        return await super().execute(statement, parameters)

    async def executemany(self, statement: str, parameters: Any) -> Any:
        self._connection.note(statement)  # type: ignore[attr-defined]
        return await super().executemany(statement, parameters)


def _call_now(item: tuple[Any, Callable[[], Any]]) -> None:
    future, function = item
    future.set_result(function())


class Engines:
    """One engine for each process that lives at the same time, given to the next one when that has ended."""

    def __init__(self) -> None:
        self._free: list[_Engine] = []
        self.opened: list[_Engine] = []
        self.path = Path()
        self.commit: Commit | None = None

    def open(self, _path: Path) -> AsyncEngine:
        """In place of `bot.storage.sqlite._open_engine`."""
        assert self.commit is not None
        engine = self._free.pop() if self._free else _Engine()
        engine.begin(self.path, self.commit)
        self.opened.append(engine)
        return engine.engine

    def release(self) -> None:
        """Close every connection, as the end of their processes does."""
        for engine in self.opened:
            engine.end()
        self._free += reversed(self.opened)
        self.opened = []


class _Engine:
    def __init__(self) -> None:
        self._connections: list[Connection] = []
        self._records: list[Any] = []
        self._path = Path()
        self._commit: Commit | None = None
        self.engine = sqlite._engine(Path("explored.db"), self._connect)  # type: ignore[arg-type]
        dialect = self.engine.sync_engine.dialect
        dialect.do_terminate = dialect.do_close  # type: ignore[method-assign]  # at once, in no job of its own
        sa.event.listen(self.engine.sync_engine, "connect", self._prepare)
        sa.event.listen(self.engine.sync_engine, "begin", sqlite._begin_immediate)

    async def _connect(self) -> Connection:
        assert self._commit is not None
        self._connections.append(Connection(self._path, self._commit))
        return self._connections[-1]

    def begin(self, path: Path, commit: Commit) -> None:
        self._path, self._commit = path, commit
        self.engine.sync_engine.pool = self.engine.sync_engine.pool.recreate()

    def end(self) -> None:
        for connection in self._connections:
            connection.stop()
        for record in self._records:
            record.fairy_ref = None  # what a killed process held is nobody's to give back
        self._connections, self._records = [], []

    def _prepare(self, connection: Any, record: Any) -> None:
        self._records.append(record)
        sqlite._configure(connection, record)
        cursor = connection.cursor()
        cursor.execute("PRAGMA synchronous=OFF")  # the machine itself never stops here
        cursor.close()


def copy(source: Path, target: Path) -> None:
    """A SQLite file with its write-ahead log."""
    for ending in ("-wal", "-shm"):
        target.with_name(target.name + ending).unlink(missing_ok=True)
    log = source.with_name(source.name + "-wal")
    if log.exists():
        shutil.copyfile(log, target.with_name(log.name.replace(source.name, target.name)))
    shutil.copyfile(source, target)
