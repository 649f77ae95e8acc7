"""SIGKILL while the schema is brought up: the old schema or the new one, and every row."""

import sqlite3
from contextlib import closing
from pathlib import Path

from bot.core.clock import system_clock
from bot.storage.engine import open_database
from bot.storage.migrations import NEWEST, STEPS, migrate
from tests.crash.conftest import Theatre
from tests.timing import eventually

ID = "vgen_abc123def456"
# Enough that the index of step 2 outgrows SQLite's cache, and is seen on the disk before it is committed.
_MANY = 200_000


async def database_of_version_1(theatre: Theatre) -> Path:
    """As an older bot left it: one task that is waited for, and a long history."""
    path = theatre.folder / "data" / "bot.db"
    path.parent.mkdir()
    database = open_database(f"sqlite:///{path}")
    assert await migrate(database, STEPS[:1]) == (0, 1)
    await database.close()
    now, place = system_clock(), (theatre.guild.id, theatre.channel.id, theatre.alice.id)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            "INSERT INTO tasks (id, state, registered_at, due_at, attempt, doubts) VALUES (?, ?, ?, ?, 0, 0)",
            [(ID, "waiting", now, now), ("old", "failed", now, None)],
        )
        connection.executemany(
            "INSERT INTO deliveries (task_id, state, nonce, guild_id, channel_id, requester_id, created_at,"
            " attempt) VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
            [(ID, "open", "v-the-one", *place, now)]
            + [("old", "cancelled", f"v{number}", *place, now) for number in range(_MANY)],
        )
    return path


def version_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return int(connection.execute("SELECT max(version) FROM schema_version").fetchone()[0])


async def test_kill_during_a_migration(theatre: Theatre):
    path = await database_of_version_1(theatre)
    wal = path.with_name("bot.db-wal")
    await theatre.bot.start()
    await eventually(lambda: wal.exists() and wal.stat().st_size > 0)
    await theatre.bot.kill()

    assert version_of(path) == 1

    theatre.api.create(ID).complete()
    await theatre.start_bot()
    [result] = await theatre.settled(ID)

    assert version_of(path) == NEWEST
    assert result.nonce == "v-the-one"
    assert len(result.attachments) == 1
