"""Migrations: what the steps build is what tables.py says, and a database is never half brought up."""

import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bot.core.errors import DependencyDown, StorageUnavailable
from bot.core.tracking import Limits
from bot.storage.engine import Database
from bot.storage.migrations import NEWEST, STEPS, Step, _apply, migrate, schema_version
from bot.storage.store import open_database, open_store
from bot.storage.tables import metadata


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bot.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    database = open_database(f"sqlite:///{path}")
    yield database
    await database.close()


def affinity(declared: str) -> str:
    """SQLite's own rules (Datatypes in SQLite, section 3.1)."""
    for part, kind in (("INT", "INTEGER"), ("CHAR", "TEXT"), ("CLOB", "TEXT"), ("TEXT", "TEXT")):
        if part in declared.upper():
            return kind
    return "REAL" if re.search("REAL|FLOA|DOUB", declared.upper()) else "OTHER"


def describe(path: Path) -> dict[str, Any]:
    """Columns, foreign keys and indexes by table, in a form that two spellings of one schema share."""
    with closing(sqlite3.connect(path)) as connection:
        tables = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'"))
        wheres = {
            name: " ".join(sql.partition("WHERE")[2].split()) if sql else ""
            for name, sql in connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index'")
        }

        def indexes(table: str) -> set[tuple[object, ...]]:
            found = connection.execute(f"PRAGMA index_list({table})").fetchall()
            return {
                (
                    name if origin == "c" else origin,
                    unique,
                    tuple(row[2] for row in connection.execute(f"PRAGMA index_info({name})")),
                    wheres[name],
                )
                for _, name, unique, origin, _ in found
            }

        return {
            table: {
                "columns": [
                    (name, affinity(declared), bool(not_null or key), default, key)
                    for _, name, declared, not_null, default, key in connection.execute(
                        f"PRAGMA table_info({table})"
                    )
                ],
                "foreign keys": {
                    (row[2], row[3], row[4])
                    for row in connection.execute(f"PRAGMA foreign_key_list({table})")
                },
                "indexes": indexes(table),
                "never gives an id twice": "AUTOINCREMENT" in sql,
            }
            for table, sql in tables.items()
            if table not in {"sqlite_sequence", "schema_version"}
        }


async def test_steps_on_an_empty_database_give_the_tables_of_today(database: Database, path: Path):
    """A change in tables.py without a step, or the other way round, fails here."""
    declared = path.with_name("declared.db")
    engine = sa.create_engine(f"sqlite:///{declared}")
    metadata.create_all(engine)
    engine.dispose()

    assert await migrate(database) == (0, NEWEST)

    assert describe(path) == describe(declared)


def test_description_of_a_schema_sees_every_kind_of_difference(tmp_path: Path):
    """The comparison above can fail."""
    base = "CREATE TABLE a (id INTEGER PRIMARY KEY, b TEXT UNIQUE, c TEXT REFERENCES a (b));"
    variants = [
        base,
        base.replace("b TEXT", "b BIGINT"),
        base.replace("b TEXT", "b TEXT NOT NULL"),
        base.replace(" UNIQUE", ""),
        base.replace(" REFERENCES a (b)", ""),
        base.replace("PRIMARY KEY", "PRIMARY KEY AUTOINCREMENT"),
        base + "CREATE INDEX i ON a (c);",
        base + "CREATE UNIQUE INDEX i ON a (c);",
        base + "CREATE INDEX i ON a (c) WHERE c IS NOT NULL;",
    ]
    seen = []
    for number, script in enumerate(variants):
        path = tmp_path / f"{number}.db"
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(script)
        seen.append(str(describe(path)))

    assert len(set(seen)) == len(variants)


async def test_migrating_twice_is_harmless(database: Database, path: Path):
    """Every start migrates."""
    await migrate(database)
    before = describe(path)

    assert await migrate(database) == (NEWEST, NEWEST)
    assert describe(path) == before


async def test_newer_database_is_refused_and_left_alone(database: Database, path: Path):
    """An older program would misread it."""
    await migrate(database)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO schema_version VALUES (?)", (NEWEST + 1,))
        connection.commit()
        before = list(connection.iterdump())

    with pytest.raises(DependencyDown, match=f"version {NEWEST + 1}.*only {NEWEST}"):
        await migrate(database)

    with closing(sqlite3.connect(path)) as connection:
        assert list(connection.iterdump()) == before


async def test_failing_step_leaves_the_version_before_it(database: Database, path: Path):
    """A step and its version row are one transaction, DDL included."""
    bad = Step(
        NEWEST + 1, "cannot work", ("CREATE TABLE extra (x INTEGER)", "CREATE TABLE tasks (x INTEGER)")
    )

    with pytest.raises(StorageUnavailable, match="already exists"):
        await migrate(database, (*STEPS, bad))

    assert await schema_version(database) == NEWEST
    assert "extra" not in describe(path)


async def test_later_step_runs_alone_on_an_older_database(database: Database, path: Path):
    """What is there stays there."""
    await migrate(database)
    step = Step(NEWEST + 1, "one more table", ("CREATE TABLE extra (id {row_id})",))

    assert await migrate(database, (*STEPS, step)) == (NEWEST, NEWEST + 1)
    assert describe(path)["extra"]["never gives an id twice"]


async def test_version_of_an_empty_database_is_zero_and_nothing_is_created(database: Database, path: Path):
    """`python -m bot check` looks without touching."""
    assert await schema_version(database) == 0
    assert describe(path) == {}


async def test_step_that_another_process_has_just_run_is_not_run_again(database: Database, path: Path):
    """The version is looked at again inside the transaction: both had seen an empty database."""
    assert await schema_version(database) == 0
    other = open_database(f"sqlite:///{path}")
    await migrate(other)
    await other.close()

    await _apply(database, STEPS[0])

    with closing(sqlite3.connect(path)) as connection:
        versions = connection.execute("SELECT version FROM schema_version ORDER BY version").fetchall()
    assert versions == [(step.number,) for step in STEPS]


def test_steps_are_numbered_by_one_and_say_why():
    """A gap would be a step that somebody lost."""
    assert [step.number for step in STEPS] == list(range(1, len(STEPS) + 1))
    assert all(step.why.strip() for step in STEPS)


async def test_open_store_brings_the_schema_up(database_url: str):
    """The program needs no separate command."""
    async with open_store(database_url, limits=Limits(1, 1, 1), interval=1) as store:
        assert await schema_version(store.database) == NEWEST
