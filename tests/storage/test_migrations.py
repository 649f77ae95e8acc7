"""Migrations: the steps build the schema of tables.py, and a failed step leaves the schema before it."""

import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.api_pause import API_PAUSE_KEY
from bot.core.clock import DAY
from bot.core.errors import DependencyDown, StorageUnavailable
from bot.core.language import Language
from bot.core.results import living_link
from bot.core.tasks import Card, Delivery, Doubt, Obstacle, TrackedTask
from bot.core.tracking import Limits
from bot.core.verdicts import PollOutcome
from bot.storage.delivery_queue import DeliveryQueue
from bot.storage.engine import Database
from bot.storage.guilds import Guilds
from bot.storage.migrations import NEWEST, STEPS, Step, _apply, migrate, schema_version
from bot.storage.store import open_database, open_store
from bot.storage.tables import (
    Record,
    cards,
    columns,
    deliveries,
    key_values,
    left_guilds,
    metadata,
    rate_limits,
    read,
    tasks,
    watchers,
)
from bot.storage.task_queue import TaskQueue
from sandbox.postgres import Server
from tests.factories import make_task, make_waiting


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bot.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    database = open_database(f"sqlite:///{path}")
    yield database
    await database.close()


def affinity(declared: str) -> str:
    """SQLite's rules of type affinity (Datatypes in SQLite, section 3.1)."""
    for part, kind in (("INT", "INTEGER"), ("CHAR", "TEXT"), ("CLOB", "TEXT"), ("TEXT", "TEXT")):
        if part in declared.upper():
            return kind
    return "REAL" if re.search("REAL|FLOA|DOUB", declared.upper()) else "OTHER"


def plain(default: str | None) -> str | None:
    """SQLite has no booleans, so FALSE is 0."""
    return "0" if default in {"FALSE", "false"} else default


def describe(path: Path) -> dict[str, Any]:
    """Columns, foreign keys and indexes by table, independent of how the schema is spelled."""
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
                    (name, affinity(declared), bool(not_null or key), plain(default), key)
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


async def test_steps_on_an_empty_database_give_the_schema_of_tables(database: Database, path: Path):
    """A change in tables.py without a step fails here, and vice versa."""
    declared = path.with_name("declared.db")
    engine = sa.create_engine(f"sqlite:///{declared}")
    metadata.create_all(engine)
    engine.dispose()

    assert await migrate(database) == (0, NEWEST)

    assert describe(path) == describe(declared)


def test_description_of_a_schema_sees_every_kind_of_difference(tmp_path: Path):
    """So that the comparison above can fail."""
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


async def test_newer_database_is_refused_and_unchanged(database: Database, path: Path):
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
    """A step, its DDL and its version row are one transaction."""
    bad = Step(
        NEWEST + 1, "cannot work", ("CREATE TABLE extra (x INTEGER)", "CREATE TABLE tasks (x INTEGER)")
    )

    with pytest.raises(StorageUnavailable, match="already exists"):
        await migrate(database, (*STEPS, bad))

    assert await schema_version(database) == NEWEST
    assert "extra" not in describe(path)


async def test_only_the_later_step_runs_on_an_older_database(database: Database, path: Path):
    """Existing rows stay."""
    await migrate(database)
    step = Step(NEWEST + 1, "one more table", ("CREATE TABLE extra (id {row_id})",))

    assert await migrate(database, (*STEPS, step)) == (NEWEST, NEWEST + 1)
    assert describe(path)["extra"]["never gives an id twice"]


async def test_version_of_an_empty_database_is_zero_and_nothing_is_created(database: Database, path: Path):
    """`python -m bot check` reads without changing anything."""
    assert await schema_version(database) == 0
    assert describe(path) == {}


async def test_step_that_another_process_has_just_run_is_not_run_again(database: Database, path: Path):
    """The version is read again inside the transaction, because both processes saw an empty database."""
    assert await schema_version(database) == 0
    other = open_database(f"sqlite:///{path}")
    await migrate(other)
    await other.close()

    await _apply(database, STEPS[0])

    with closing(sqlite3.connect(path)) as connection:
        versions = connection.execute("SELECT version FROM schema_version ORDER BY version").fetchall()
    assert versions == [(step.number,) for step in STEPS]


def test_steps_are_numbered_without_gaps_and_have_a_reason():
    """A gap would be a lost step."""
    assert [step.number for step in STEPS] == list(range(1, len(STEPS) + 1))
    assert all(step.why.strip() for step in STEPS)


@pytest.mark.parametrize("is_shared", [False, True], ids=["sqlite", "postgresql"])
async def test_open_store_migrates(path: Path, server: Server, is_shared: bool):
    """No separate command is needed."""
    url = server.database() if is_shared else f"sqlite:///{path}"
    async with open_store(url, limits=Limits(1, 1, 1), interval=1) as store:
        assert await schema_version(store.database) == NEWEST


# -- from 0.1.0 ------------------------------------------------------------------------------------

NOW = 1_800_000_000_000
# One row of every kind, as version 0.1.0 wrote them.
OLD_TASKS: dict[str, dict[str, Any]] = {
    "new": {},
    "typo": {"word": "unknown id", "word_at": NOW, "asked_at": NOW, "doubts": 1},
    "empty": {"word": "completed, but without a video", "word_at": NOW, "asked_at": NOW, "doubts": 2},
    "known": {"word": "processing", "word_at": NOW - 9, "asked_at": NOW, "doubts": 3, "attempt": 2},
    "done": {
        "state": "completed",
        "word": "processing",
        "word_at": NOW - 9,
        "finished_at": NOW,
        "video_url": "https://cdn.example/1.mp4",
        "seconds": 8.0,
        "due_at": None,
        "asked_at": NOW,
    },
    "failed": {"state": "failed", "reason": "nudity", "finished_at": NOW, "due_at": None, "asked_at": NOW},
    "lost": {
        "state": "lost",
        "word": "unknown id",
        "word_at": NOW,
        "finished_at": NOW,
        "due_at": None,
        "reason": "The video API does not know this id. Is it complete?",
        "asked_at": NOW,
        "doubts": 2,
    },
    "bug": {"set_aside": "KeyError: 1", "lease": 7, "due_at": NOW + 300_000},
}


@pytest.fixture(params=["sqlite", "postgresql"])
async def old_database(request: pytest.FixtureRequest, path: Path) -> AsyncIterator[Database]:
    """A database of schema 3, as version 0.1.0 left it."""
    url = f"sqlite:///{path}"
    if request.param == "postgresql":
        server: Server = request.getfixturevalue("server")
        url = server.database()
    database = open_database(url)
    await migrate(database, STEPS[:3])
    await database.run(insert_old_rows)
    yield database
    await database.close()


async def insert_old_rows(connection: AsyncConnection) -> None:
    async def insert(table: str, **values: Any) -> None:
        names = ", ".join(values)
        places = ", ".join(f":{name}" for name in values)
        await connection.execute(sa.text(f"INSERT INTO {table} ({names}) VALUES ({places})"), values)

    for task_id, changes in OLD_TASKS.items():
        new = {"state": "waiting", "registered_at": NOW - 60_000, "due_at": NOW, "attempt": 0, "doubts": 0}
        await insert("tasks", id=task_id, **new | changes)
    await insert("cards", id=3, guild_id=1, channel_id=10, message_id=900, attempt=1, version=4, due_at=NOW)
    old_deliveries: list[tuple[str, str, dict[str, Any]]] = [
        ("known", "open", {"note": "mine"}),
        ("done", "due", {"due_at": NOW, "trouble": "Discord answered 503", "sending_at": NOW - 5}),
        ("failed", "posted", {"message_id": 5000, "ended_at": NOW, "posted_in": 11}),
        ("lost", "undeliverable", {"ended_at": NOW, "trouble": "the thread is locked"}),
        ("new", "cancelled", {"ended_at": NOW, "ended_by": 101}),
    ]
    for number, (task_id, state, more) in enumerate(old_deliveries):
        old = {"guild_id": 1, "channel_id": 10, "requester_id": 100, "created_at": NOW, "attempt": 0}
        await insert(
            "deliveries",
            id=20 + number,
            task_id=task_id,
            state=state,
            nonce=f"v{number}",
            card_id=3,
            **old | more,
        )
    await insert("watchers", delivery_id=20, user_id=7)
    await insert("facts", name="video_api.trouble", value='{"kind": "throttled", "since": 1, "until": 2}')
    await insert("departures", guild_id=9, since=NOW)
    await connection.execute(sa.text("UPDATE paces SET used_until = 5 WHERE name = 'discord'"))


async def all_rows(database: Database, record: type[Record], table: sa.Table) -> list[Record]:
    async def work(connection: AsyncConnection) -> list[Record]:
        found = await connection.execute(sa.select(*columns(record)).order_by(table.c.id))
        return [read(record, row) for row in found]

    return await database.run(work)


async def test_old_tasks_keep_their_doubts(old_database: Database):
    """Phrases of ours in the status column become doubts, and known ids stay known."""
    assert await migrate(old_database) == (3, NEWEST)

    found = {task.id: task for task in await all_rows(old_database, TrackedTask, tasks)}
    assert {i: (task.known, task.doubt, task.doubt_count, task.api_status) for i, task in found.items()} == {
        "new": (False, None, 0, None),
        "typo": (False, Doubt.UNKNOWN_ID, 1, None),
        "empty": (True, Doubt.NO_VIDEO, 2, None),
        "known": (True, None, 0, "processing"),
        "done": (True, None, 0, "processing"),
        "failed": (False, None, 0, None),
        "lost": (False, Doubt.UNKNOWN_ID, 2, None),
        "bug": (False, None, 0, None),
    }
    assert found["known"] == make_task(
        id="known",
        registered_at=NOW - 60_000,
        due_at=NOW,
        polled_at=NOW,
        attempt=2,
        known=True,
        api_status="processing",
        api_status_since=NOW - 9,
    )
    assert found["done"].link_ends_at == NOW + DAY
    assert (found["done"].video_url, found["done"].seconds) == ("https://cdn.example/1.mp4", 8.0)
    assert {task.link_ends_at for i, task in found.items() if i != "done"} == {None}


async def test_old_sentences_are_kept_as_they_are(old_database: Database):
    """They cannot be converted to codes, so users read them unchanged."""
    await migrate(old_database)

    lost = next(task for task in await all_rows(old_database, TrackedTask, tasks) if task.id == "lost")
    assert (lost.cause, lost.reason) == (None, "The video API does not know this id. Is it complete?")
    errors = [delivery.last_error for delivery in await all_rows(old_database, Delivery, deliveries)]
    assert errors == [None, "Discord answered 503", None, "the thread is locked", None]


async def test_old_rows_of_every_other_table_are_kept(old_database: Database):
    """Under today's names."""
    await migrate(old_database)

    found = await all_rows(old_database, Delivery, deliveries)
    assert [(each.id, each.task_id, each.state) for each in found] == [
        (20, "known", "open"),
        (21, "done", "due"),
        (22, "failed", "posted"),
        (23, "lost", "undeliverable"),
        (24, "new", "cancelled"),
    ]
    assert (found[0].note, found[1].first_sent_at, found[4].cancelled_by) == ("mine", NOW - 5, 101)
    assert (found[2].message_id, found[2].message_channel_id) == (5000, 11)
    assert await all_rows(old_database, Card, cards) == [Card(3, 1, 10, 900, 4)]

    async def others(connection: AsyncConnection) -> list[list[tuple[Any, ...]]]:
        kept = [
            sa.select(tasks.c.id, tasks.c.quarantine_reason, tasks.c.lease).where(tasks.c.id == "bug"),
            sa.select(watchers),
            sa.select(key_values),
            sa.select(left_guilds),
            sa.select(rate_limits).where(rate_limits.c.name == "discord"),
        ]
        return [[tuple(row) for row in await connection.execute(query)] for query in kept]

    assert await old_database.run(others) == [
        [("bug", "KeyError: 1", 7)],
        [(20, 7)],
        [(API_PAUSE_KEY, '{"kind": "throttled", "since": 1, "until": 2}')],
        [(9, NOW)],
        [("discord", 5)],
    ]


async def test_old_rows_are_processed(old_database: Database):
    """Claimed, recorded, posted by today's store."""
    await migrate(old_database)
    queue = TaskQueue(old_database, lease_time=30_000, interval=30_000)
    claim = await queue.claim(10, NOW)
    assert sorted(task.id for task in claim.work) == ["empty", "known", "new", "typo"]
    task = next(task for task in claim.work if task.id == "known")
    await queue.record([PollOutcome(task, claim.lease, NOW, make_waiting(task, doubt=Doubt.NOT_FOUND))], NOW)
    owed = await DeliveryQueue(old_database, lease_time=30_000, run=1).claim(10, NOW)

    found = {task.id: task for task in await all_rows(old_database, TrackedTask, tasks)}
    assert (found["known"].doubt, found["known"].known) == (Doubt.NOT_FOUND, True)
    assert [(due.task.id, living_link(due.task, NOW)) for due in owed.work] == [
        ("done", "https://cdn.example/1.mp4")
    ]


async def test_old_deliveries_have_no_download_tries(old_database: Database):
    """Step 5: open deliveries start with all their tries, and hold their channel as before."""
    await migrate(old_database)

    for each in await all_rows(old_database, Delivery, deliveries):
        assert (each.is_preparing, each.download_since) == (False, None)
        assert (each.download_attempt, each.download_tries, each.fresh_links) == (0, 0, 0)


async def test_deliveries_of_schema_4_can_be_prepared_after_step_5(old_database: Database):
    """The step finds rows of the earlier schema."""
    assert await migrate(old_database, STEPS[:4]) == (3, 4)
    assert await migrate(old_database, STEPS[:5]) == (4, 5)
    assert await migrate(old_database) == (5, NEWEST)
    queue = DeliveryQueue(old_database, lease_time=30_000, run=1)
    claim = await queue.claim(1, NOW)
    (due,) = claim.work

    assert await queue.begin_preparing(due.delivery.id, claim.lease, NOW + 1) == NOW + 1
    found = {each.id: each for each in await all_rows(old_database, Delivery, deliveries)}
    assert (found[21].is_preparing, found[21].download_since) == (True, NOW + 1)


async def test_columns_after_the_steps_are_those_of_tables_on_postgresql(server: Server):
    """Types and defaults as PostgreSQL reports them, after the steps on an old database."""

    async def described(database: Database) -> set[tuple[Any, ...]]:
        async def work(connection: AsyncConnection) -> set[tuple[Any, ...]]:
            found = await connection.execute(
                sa.text(
                    "SELECT table_name, column_name, replace(data_type, 'character varying', 'text'), "
                    "is_nullable, replace(column_default, 'character varying', 'text') "
                    "FROM information_schema.columns WHERE table_schema = 'public'"
                )
            )
            return {tuple(row) for row in found if row[0] != "schema_version" and row[1] != "id"}

        return await database.run(work)

    stepped, declared = open_database(server.database()), open_database(server.database())
    await migrate(stepped)
    await declared.run(lambda connection: connection.run_sync(metadata.create_all))

    found = [await described(database) for database in (stepped, declared)]
    await stepped.close()
    await declared.close()

    assert found[0] == found[1]


# -- step 6: refusals that version 0.1.0 recorded --------------------------------------------------

OBSTACLES_OF_OLD_SENTENCES = {
    "the server's AutoMod blocked the message": Obstacle.FORM,
    "Discord blocked a link in the message": Obstacle.FORM,
    "Discord did not accept the message's form": Obstacle.FORM,
    "the channel is gone": Obstacle.GONE,
    "a channel of this kind takes no messages": Obstacle.GONE,
    "the thread is locked": Obstacle.THREAD,
    "the server has as many threads as it may have active ones": Obstacle.THREAD,
    "I may not post or attach files in the channel any more": Obstacle.PERMISSION,
    "I have no access to the channel any more": Obstacle.PERMISSION,
}


async def test_old_refusals_get_an_obstacle_and_count_as_notified(old_database: Database):
    """Derived from their sentences. The permissions of that time are unknown."""
    await migrate(old_database, STEPS[:3])

    async def insert(connection: AsyncConnection) -> None:
        for number, sentence in enumerate(OBSTACLES_OF_OLD_SENTENCES):
            await connection.execute(
                sa.text(
                    "INSERT INTO deliveries (id, task_id, guild_id, channel_id, requester_id, state, nonce, "
                    "created_at, attempt, trouble, ended_at) VALUES (:id, 'done', 1, :channel, 100, "
                    "'undeliverable', :nonce, :now, 0, :sentence, :now)"
                ),
                {
                    "id": 100 + number,
                    "channel": 1000 + number,
                    "nonce": f"vold{number}",
                    "now": NOW,
                    "sentence": sentence,
                },
            )

    await old_database.run(insert)
    await migrate(old_database)

    found = {each.id: each for each in await all_rows(old_database, Delivery, deliveries)}
    refused = [each for each in found.values() if each.id >= 100]
    assert [each.obstacle for each in refused] == [*OBSTACLES_OF_OLD_SENTENCES.values()]
    assert {(each.told_since, each.told_at, each.ended_at) for each in refused} == {(NOW, NOW, NOW)}
    assert (found[21].obstacle, found[21].told_at, found[21].run) == (None, None, None)


async def test_old_refusals_that_a_permission_may_end_are_checked_once(old_database: Database):
    """After a day, because the permissions of that time are unknown."""
    await migrate(old_database)

    (refused,) = await Guilds(old_database).refused(1)

    assert (refused.delivery_id, refused.channel_id, refused.rights) == (23, 10, None)
    assert (refused.since, refused.retried_blindly) == (NOW, False)


# -- step 7: languages, deleted results, how long the API took -------------------------------------


async def test_deliveries_of_before_are_english_and_their_results_are_not_deleted(old_database: Database):
    """The bot knew no other language; nothing was written down about a deleted message."""
    assert await migrate(old_database, STEPS[:6]) == (3, 6)
    assert await migrate(old_database) == (6, NEWEST)

    found = await all_rows(old_database, Delivery, deliveries)
    assert {(each.language, each.deleted_at) for each in found} == {(Language.ENGLISH, None)}


async def test_tasks_of_before_count_for_no_usual_time(old_database: Database):
    """How long the API took for them is not known."""
    await migrate(old_database)

    assert {task.took for task in await all_rows(old_database, TrackedTask, tasks)} == {None}
