"""Known traps of connections and transactions, each with a test of what happens without its remedy."""

import asyncio
import contextlib
import random
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.errors import SettingsWrong, StorageUnavailable
from bot.storage.engine import Database
from bot.storage.store import open_database
from tests.timing import eventually


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database file with one counter at 0 and an empty table of pairs."""
    path = tmp_path / "trap.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE counter (value INTEGER NOT NULL)")
        connection.execute("CREATE TABLE pair (number INTEGER NOT NULL, half TEXT NOT NULL)")
        connection.execute("INSERT INTO counter VALUES (0)")
        connection.commit()
    return path


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    database = open_database(f"sqlite:///{path}")
    yield database
    await database.close()


def ask(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


async def increment(connection: AsyncConnection) -> None:
    """Read, then write, in one transaction."""
    value = (await connection.execute(sa.text("SELECT value FROM counter"))).scalar_one()
    await connection.execute(sa.text("UPDATE counter SET value = :value"), {"value": value + 1})


async def test_read_then_write_over_several_connections_loses_no_update(path: Path):
    """Without BEGIN IMMEDIATE the driver starts the transaction at the first write, after the read."""
    databases = [open_database(f"sqlite:///{path}") for _ in range(4)]

    async def work(database: Database) -> None:
        done = 0
        while done < 25:
            # SQLite's lock is not fair: on a busy machine one of them may wait for the whole 5 s.
            with contextlib.suppress(StorageUnavailable):
                await database.run(increment)
                done += 1

    await asyncio.gather(*map(work, databases))
    for database in databases:
        await database.close()

    assert ask(path, "SELECT value FROM counter") == [(100,)]


async def test_read_then_write_over_one_connection_loses_no_update(database: Database, path: Path):
    """Units of work of one process wait for each other."""
    await asyncio.gather(*(database.run(increment) for _ in range(100)))

    assert ask(path, "SELECT value FROM counter") == [(100,)]


async def test_cancelled_callers_lock_nothing_and_leave_no_half_transaction(database: Database, path: Path):
    """Each unit that has begun is committed as a whole, whenever its caller is cancelled."""
    chance = random.Random(7)
    begun: set[int] = set()

    def write_pair(number: int):
        async def work(connection: AsyncConnection) -> None:
            for half in ("left", "right"):
                await connection.execute(
                    sa.text("INSERT INTO pair VALUES (:number, :half)"), {"number": number, "half": half}
                )

        return work

    async def call(number: int) -> None:
        begun.add(number)
        await database.run(write_pair(number))

    callers = [asyncio.create_task(call(number)) for number in range(200)]
    for caller in chance.sample(callers, 120):
        for _ in range(chance.randrange(12)):
            await asyncio.sleep(0)
        caller.cancel()
    ended = await asyncio.gather(*callers, return_exceptions=True)

    assert {type(end) for end in ended} == {type(None), asyncio.CancelledError}
    halves = ask(path, "SELECT number, count(*) FROM pair GROUP BY number")
    assert halves == [(number, 2) for number in sorted(begun)]


async def test_cancellation_is_raised_only_after_the_commit(database: Database, path: Path):
    """So that the next reader sees the result."""
    inside = asyncio.Event()

    async def work(connection: AsyncConnection) -> None:
        await connection.execute(sa.text("UPDATE counter SET value = 1"))
        inside.set()
        await connection.execute(sa.text("UPDATE counter SET value = 2"))

    caller = asyncio.create_task(database.run(work))
    await inside.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller

    assert ask(path, "SELECT value FROM counter") == [(2,)]


@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        ("journal_mode", "wal"),
        ("synchronous", 2),
        ("foreign_keys", 1),
        ("busy_timeout", 5000),
        ("temp_store", 2),
    ],
)
async def test_connection_has_its_pragmas(database: Database, pragma: str, value: object):
    """FULL survives a power failure, foreign keys are off by default, and other writers get 5 s."""

    async def work(connection: AsyncConnection) -> object:
        return (await connection.execute(sa.text(f"PRAGMA {pragma}"))).scalar_one()

    assert await database.run(work) == value


async def test_database_that_another_process_locks_is_unavailable(database: Database, path: Path):
    """The error is a TryLater, so that the loops retry, and not a driver's error."""

    async def hurry(connection: AsyncConnection) -> None:
        await connection.execute(sa.text("PRAGMA busy_timeout=20"))

    await database.run(hurry)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageUnavailable, match="database is locked"):
            await database.run(increment)
        other.execute("ROLLBACK")
    await database.run(increment)

    assert ask(path, "SELECT value FROM counter") == [(1,)]


async def test_database_in_a_missing_folder_is_unavailable(tmp_path: Path):
    """With the driver's message, without the statement."""
    database = open_database(f"sqlite:///{tmp_path}/missing/bot.db")
    before = set(threading.enumerate())

    with pytest.raises(StorageUnavailable, match=r"unable to open database file$"):
        await database.run(increment)
    await database.close()

    # The driver's thread ends a moment later.
    await eventually(lambda: not set(threading.enumerate()) - before)
    assert set(threading.enumerate()) <= before


async def test_damaged_database_is_unavailable(tmp_path: Path):
    """A file that is no database is reported as such, and the loops retry."""
    path = tmp_path / "bot.db"
    path.write_bytes(b"this is no database " * 500)
    database = open_database(f"sqlite:///{path}")

    before = threading.active_count()

    with pytest.raises(StorageUnavailable, match="file is not a database"):
        await database.run(increment)
    await database.close()

    # The loops retry every few seconds, so each attempt must end its connection's thread.
    await eventually(lambda: threading.active_count() <= before)
    assert threading.active_count() <= before


async def test_broken_constraint_is_a_bug_and_not_unavailable(database: Database):
    """A retry would not help; the transaction is rolled back."""

    async def work(connection: AsyncConnection) -> None:
        await connection.execute(sa.text("INSERT INTO counter VALUES (NULL)"))

    with pytest.raises(sa.exc.IntegrityError):
        await database.run(work)


async def test_unit_that_raises_is_rolled_back(database: Database, path: Path):
    """The error itself reaches the caller."""

    async def work(connection: AsyncConnection) -> None:
        await increment(connection)
        raise LookupError("changed my mind")

    with pytest.raises(LookupError):
        await database.run(work)

    assert ask(path, "SELECT value FROM counter") == [(0,)]


async def test_close_waits_for_a_transaction_that_has_begun(database: Database, path: Path):
    """Its result may already be promised to a user."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def work(connection: AsyncConnection) -> None:
        await increment(connection)
        begun.set()
        await go_on.wait()
        await increment(connection)

    caller = asyncio.create_task(database.run(work))
    await begun.wait()
    closing_down = asyncio.create_task(database.close())
    await asyncio.sleep(0)
    assert not closing_down.done()
    go_on.set()
    await closing_down
    await caller

    assert ask(path, "SELECT value FROM counter") == [(2,)]


@pytest.mark.parametrize("url", ["mysql://u:secret@h/db", "postgresqlx://h/db", "bot.db", "sqlite:relative"])
def test_url_of_an_unknown_dialect_is_a_wrong_setting(url: str):
    """Reported at the start, without the password."""
    with pytest.raises(SettingsWrong, match="DATABASE_URL") as raised:
        open_database(url)

    assert "secret" not in str(raised.value)


async def test_postgresql_without_its_driver_is_a_wrong_setting(monkeypatch: pytest.MonkeyPatch):
    """The message says what to install."""
    monkeypatch.setitem(sys.modules, "bot.storage.postgresql", None)

    with pytest.raises(SettingsWrong, match=r"pip install 'veo-courier\[postgres\]'") as raised:
        open_database("postgresql://u:secret@h/db")

    assert "secret" not in str(raised.value)


def test_database_names_its_dialect(database: Database):
    """Migrations choose a type by it."""
    assert database.dialect == "sqlite"
