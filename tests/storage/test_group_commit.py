"""Units of work that wait together are committed together, and fail separately unless the commit fails."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.errors import StorageUnavailable
from bot.storage.engine import Database
from bot.storage.sqlite import SqliteDatabase


class CountingDatabase(SqliteDatabase):
    """Counts the commits."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.commits = 0
        sa.event.listen(self._engine.sync_engine, "commit", self._count)

    def _count(self, _: sa.Connection) -> None:
        self.commits += 1


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[CountingDatabase]:
    database = CountingDatabase(tmp_path / "groups.db")
    await database.run(lambda c: c.execute(sa.text("CREATE TABLE word (text TEXT UNIQUE NOT NULL)")))
    database.commits = 0
    yield database
    await database.close()


async def write(connection: AsyncConnection, text: str) -> str:
    await connection.execute(sa.text("INSERT INTO word VALUES (:text)"), {"text": text})
    return text


async def words(database: Database) -> list[str]:
    found = await database.run(lambda c: c.execute(sa.text("SELECT text FROM word ORDER BY text")))
    return list(found.scalars())


async def test_units_that_wait_share_a_commit(database: CountingDatabase):
    texts = [f"{number:02}" for number in range(20)]

    written = await asyncio.gather(*(database.run(partial(write, text=text)) for text in texts))

    assert written == texts
    assert await words(database) == texts
    assert database.commits <= 3  # the first unit, all later ones, and the read above


async def test_unit_that_fails_undoes_only_its_own_changes(database: CountingDatabase):
    async def write_and_fail(connection: AsyncConnection) -> None:
        await write(connection, "never")
        raise ValueError("a bug")

    async def write_twice(connection: AsyncConnection) -> None:
        await write(connection, "twice")
        await write(connection, "twice")

    results = await asyncio.gather(
        database.run(lambda c: write(c, "first")),
        database.run(write_and_fail),
        database.run(lambda c: write(c, "between")),
        database.run(write_twice),
        database.run(lambda c: write(c, "last")),
        return_exceptions=True,
    )

    assert [result for result in results if isinstance(result, str)] == ["first", "between", "last"]
    assert isinstance(results[1], ValueError)
    assert isinstance(results[3], sa.exc.IntegrityError)
    assert await words(database) == ["between", "first", "last"]


async def test_full_disk_fails_the_group_and_stores_nothing(database: CountingDatabase):
    await database.run(lambda c: c.execute(sa.text("PRAGMA max_page_count = 1")))
    long = "x" * 100_000

    results = await asyncio.gather(
        *(database.run(partial(write, text=f"{number}{long}")) for number in range(4)),
        return_exceptions=True,
    )

    assert all(isinstance(result, StorageUnavailable) for result in results)
    assert await words(database) == []

    await database.run(lambda c: c.execute(sa.text("PRAGMA max_page_count = 100000")))
    await database.run(lambda c: write(c, "later"))
    assert await words(database) == ["later"]


async def test_cancelled_caller_does_not_undo_its_unit_or_the_others(database: CountingDatabase):
    first = asyncio.create_task(database.run(lambda c: write(c, "first")))
    second = asyncio.create_task(database.run(lambda c: write(c, "second")))
    await asyncio.sleep(0)

    first.cancel()

    assert await second == "second"
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await words(database) == ["first", "second"]


async def test_rows_and_counts_come_through_the_driver(database: CountingDatabase):
    async def work(connection: AsyncConnection) -> tuple[int, list[str]]:
        many = [{"text": text} for text in ("a", "b", "c")]
        await connection.execute(sa.text("INSERT INTO word VALUES (:text)"), many)
        changed = await connection.execute(sa.text("UPDATE word SET text = text || '!' WHERE text < 'c'"))
        rows = await connection.execute(sa.text("SELECT text FROM word ORDER BY text"))
        return changed.rowcount, list(rows.scalars())

    assert await database.run(work) == (2, ["a!", "b!", "c"])
