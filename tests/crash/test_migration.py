"""SIGKILL during a migration leaves the old schema or the new one, with every row."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest

from bot.core.clock import system_clock
from bot.storage.migrations import NEWEST, STEPS, migrate
from bot.storage.store import open_database
from tests.crash.conftest import CrashEnv
from tests.timing import eventually

ID = "vgen_abc123def456"
NOT_KNOWN = "The video API does not know this id. Is it complete?"
_PROCESSES = Path("/proc")
# So many rows that the index of step 2 exceeds SQLite's cache and reaches the disk before the commit.
_MANY = 200_000


async def database_of_version_1(env: CrashEnv, history: int) -> Path:
    """A database of schema 1 with one waiting task and many ended ones."""
    path = env.folder / "data" / "bot.db"
    path.parent.mkdir()
    database = open_database(f"sqlite:///{path}")
    assert await migrate(database, STEPS[:1]) == (0, 1)
    await database.close()
    now, place = system_clock(), (env.guild.id, env.channel.id, env.alice.id)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            "INSERT INTO tasks (id, state, registered_at, due_at, attempt, doubts) VALUES (?, ?, ?, ?, 0, 0)",
            [(ID, "waiting", now, now), ("old", "failed", now, None)],
        )
        connection.executemany(
            "INSERT INTO deliveries (task_id, state, nonce, guild_id, channel_id, requester_id, created_at,"
            " attempt) VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
            [(ID, "open", "v-the-one", *place, now)]
            + [("old", "cancelled", f"v{number}", *place, now) for number in range(history)],
        )
    return path


async def database_of_the_first_release(env: CrashEnv) -> Path:
    """Schema 3 of version 0.1.0, which stored sentences where there are codes today."""
    path = env.folder / "data" / "bot.db"
    path.parent.mkdir()
    database = open_database(f"sqlite:///{path}")
    assert await migrate(database, STEPS[:3]) == (0, 3)
    await database.close()
    now, place = system_clock(), (env.guild.id, env.channel.id, env.alice.id)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            "INSERT INTO tasks (id, state, word, word_at, reason, registered_at, asked_at, finished_at,"
            " due_at, attempt, doubts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?)",
            [
                (ID, "waiting", "processing", now, None, now, now, None, now, 0),
                ("vgen_doubted", "waiting", "unknown id", now, None, now, now, None, now, 1),
                ("vgen_lost", "lost", None, None, NOT_KNOWN, now, now, now, None, 2),
                ("vgen_blocked", "failed", None, None, "unsafe", now, now, now, None, 0),
            ],
        )
        connection.executemany(
            "INSERT INTO deliveries (task_id, state, due_at, trouble, nonce, guild_id, channel_id,"
            " requester_id, created_at, attempt) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
            [
                (ID, "open", None, None, "v1", *place, now),
                ("vgen_doubted", "open", None, None, "v2", *place, now),
                ("vgen_lost", "due", now, None, "v3", *place, now),
                ("vgen_blocked", "undeliverable", None, "the thread is locked", "v4", *place, now),
            ],
        )
        connection.execute(
            "INSERT INTO facts VALUES ('video_api.trouble', ?)",
            (f'{{"kind": "key refused", "since": {now}, "until": {now + 300_000}}}',),
        )
    return path


def version_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return int(connection.execute("SELECT max(version) FROM schema_version").fetchone()[0])


def schema_of(path: Path) -> set[tuple[str, str]]:
    """Every table with its columns, and every index."""
    with closing(sqlite3.connect(path)) as connection:
        names = connection.execute("SELECT type, name FROM sqlite_master").fetchall()
        tables = [name for kind, name in names if kind == "table"]
        columns = [
            (table, row[1]) for table in tables for row in connection.execute(f"PRAGMA table_info({table})")
        ]
        return {*names, *columns}


async def schema_of_version(number: int, folder: Path) -> set[tuple[str, str]]:
    """The schema that the steps build without a failure."""
    path = folder / f"version_{number}.db"
    database = open_database(f"sqlite:///{path}")
    await migrate(database, STEPS[:number])
    await database.close()
    return schema_of(path)


def rows_of(path: Path) -> list[tuple[int]]:
    """The numbers of tasks and deliveries."""
    with closing(sqlite3.connect(path)) as connection:
        return [connection.execute(f"SELECT count(*) FROM {t}").fetchone() for t in ("tasks", "deliveries")]


def opened_by(pid: int) -> set[Path]:
    """The files that a process has open."""
    found = set()
    for entry in (_PROCESSES / str(pid) / "fd").iterdir():
        with suppress(OSError):  # closed after it was listed
            found.add(entry.readlink())
    return found


async def delivered_once_by_the_newest(env: CrashEnv, path: Path, history: int) -> None:
    """After a restart the schema is complete, no row is missing, and the waiting result is posted."""
    env.api.create(ID).complete()
    await env.start_bot()
    [result] = await env.settled(ID)

    assert version_of(path) == NEWEST
    assert schema_of(path) == await schema_of_version(NEWEST, env.folder)
    assert rows_of(path) == [(2,), (1 + history,)]
    assert result.nonce == "v-the-one"
    assert len(result.attachments) == 1


async def test_database_of_the_first_release_goes_on(env: CrashEnv):
    """Waiting results are posted, due ones with their old sentence, and the old pause has ended."""
    path = await database_of_the_first_release(env)
    env.api.create(ID).complete()
    env.api.create("vgen_doubted").complete()
    await env.start_bot()
    results = await env.settled(ID, "vgen_doubted", "vgen_lost")
    listed = await env.listed()

    assert version_of(path) == NEWEST
    assert schema_of(path) == await schema_of_version(NEWEST, env.folder)
    assert rows_of(path) == [(4,), (4,)]
    assert {result.nonce: bool(result.attachments) for result in results} == {
        "v1": True,
        "v2": True,
        "v3": False,
    }
    assert NOT_KNOWN in next(result.content for result in results if result.nonce == "v3")
    assert "but the thread was locked" in listed


async def test_kill_during_a_migration(env: CrashEnv):
    """Half of the step's pages are on the disk, uncommitted."""
    path = await database_of_version_1(env, _MANY)
    wal = path.with_name("bot.db-wal")
    await env.bot.start()
    await eventually(lambda: wal.exists() and wal.stat().st_size > 0)
    await env.bot.kill()

    assert version_of(path) == 1
    assert schema_of(path) == await schema_of_version(1, env.folder)
    await delivered_once_by_the_newest(env, path, _MANY)


@pytest.mark.skipif(not _PROCESSES.exists(), reason="only Linux tells which files a process has open")
async def test_kill_while_a_migration_waits_for_the_database(env: CrashEnv):
    """A backup holds the write lock; the bot has opened the file and waits."""
    path = await database_of_version_1(env, 3)
    with closing(sqlite3.connect(path, isolation_level=None)) as backup:
        backup.execute("BEGIN IMMEDIATE")
        await env.bot.start()
        await eventually(lambda: path in opened_by(env.bot.pid))
        assert env.bot.exit_code is None
        await env.bot.kill()
        backup.execute("ROLLBACK")

    assert version_of(path) == 1
    await delivered_once_by_the_newest(env, path, 3)
