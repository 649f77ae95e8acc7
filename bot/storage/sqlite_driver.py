"""The SQLite driver with one change of threads per statement; aiosqlite's cursor makes four.

Each change waits for the other thread to release the interpreter's lock, which under load takes longer than
the statement.
"""

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import aiosqlite

_Result = TypeVar("_Result")
_ROWS_AT_ONCE = 64


class _Cursor:
    """The part of a cursor that SQLAlchemy needs. A statement is executed, fetched and closed in one call."""

    arraysize = 1

    def __init__(self, connection: "_Connection") -> None:
        self._connection = connection
        self._rows: list[Any] = []
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Self:
        return await self._run(lambda cursor: cursor.execute(statement, parameters))

    async def executemany(self, statement: str, parameters: Sequence[Sequence[Any]]) -> Self:
        return await self._run(lambda cursor: cursor.executemany(statement, parameters))

    async def _run(self, statement: Callable[[sqlite3.Cursor], object]) -> Self:
        def work(connection: sqlite3.Connection) -> None:
            cursor = connection.cursor()
            try:
                statement(cursor)
                self._rows = cursor.fetchall()
                self.description, self.rowcount = cursor.description, cursor.rowcount
                self.lastrowid = cursor.lastrowid
            finally:
                cursor.close()

        await self._connection.run(work)
        return self

    async def fetchall(self) -> list[Any]:
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        """Do nothing: the cursor was closed when its rows had been fetched."""


class _Connection(aiosqlite.Connection):
    def cursor(self) -> _Cursor:  # type: ignore[override]
        return _Cursor(self)

    async def run(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Call `work` in the connection's thread."""
        result: _Result = await self._execute(work, self._conn)  # type: ignore[no-untyped-call]
        return result


async def connect(path: Path | str, *, uri: bool = False) -> aiosqlite.Connection:
    """Open a connection for `create_async_engine(async_creator=...)`. `uri`: `path` is a file: address."""
    connection = _Connection(lambda: sqlite3.connect(path, check_same_thread=False, uri=uri), _ROWS_AT_ONCE)
    # A daemon, as in SQLAlchemy, because a process may end without closing the connection.
    connection._thread.daemon = True  # noqa: SLF001 - has no public name
    return await connection
