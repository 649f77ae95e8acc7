"""Copies a whole database into another: every row or none, counted."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.errors import DependencyDown
from bot.storage.engine import Database
from bot.storage.facts import Facts
from bot.storage.tables import cards, deliveries, facts, metadata, paces

# A fact of a database that was copied there and that no bot has run on since: it may be copied there again.
_UNTOUCHED = "moved.untouched"
_AT_ONCE = 1_000
# Made by a migration, and of no worth from one second to the next.
_TABLES = [table for table in metadata.sorted_tables if table is not paces]


async def copy_all(source: Database, target: Database) -> dict[str, int]:
    """The rows of each table, after counting them on both sides.

    `source` is a SQLite database that nobody else uses at the moment; both have today's schema. Raises
    DependencyDown when the target has been used, StorageUnavailable.
    """

    async def work(read: AsyncConnection) -> dict[str, int]:
        return await target.run(lambda write: _copy(read, write), alone=True, unhurried=True)

    return await source.run(work)


async def note_use(database: Database) -> None:
    """A bot runs on it from here on: what was copied there is not to be copied over it again."""
    await Facts(database).put(_UNTOUCHED, None)


async def _copy(read: AsyncConnection, write: AsyncConnection) -> dict[str, int]:
    await _check_unused(write)
    for table in reversed(_TABLES):
        await write.execute(sa.delete(table))
    for table in _TABLES:
        await _copy_table(read, write, table)
    await _never_give_an_id_twice(read, write)
    counts = {table.name: await _count(read, table) for table in _TABLES}
    arrived = {table.name: await _count(write, table) for table in _TABLES}
    if arrived != counts:
        raise DependencyDown(f"of {counts} only {arrived} arrived: nothing is moved")
    await write.execute(sa.insert(facts).values(name=_UNTOUCHED, value="yes"))
    return counts


async def _check_unused(write: AsyncConnection) -> None:
    untouched = sa.select(facts.c.value).where(facts.c.name == _UNTOUCHED)
    if (await write.execute(untouched)).first() is not None:
        return
    for table in _TABLES:
        if rows := await _count(write, table):
            raise DependencyDown(
                f"the target is in use: it has {rows} rows in {table.name}. Move into an empty database"
            )


async def _copy_table(read: AsyncConnection, write: AsyncConnection, table: sa.Table) -> None:
    rows = await read.execute(sa.select(table).order_by(*table.primary_key.columns))
    for part in rows.mappings().partitions(_AT_ONCE):
        await write.execute(sa.insert(table), [{name: _clean(row[name]) for name in row} for row in part])


def _clean(value: object) -> object:
    """PostgreSQL takes no NUL in a text, and SQLite does."""
    return value.replace("\0", "") if isinstance(value, str) else value


async def _never_give_an_id_twice(read: AsyncConnection, write: AsyncConnection) -> None:
    """Also not those of rows that are gone: buttons carry them."""
    given = sa.text("SELECT name, seq FROM sqlite_sequence")
    for name, last in (await read.execute(given)).all():
        if name in (cards.name, deliveries.name):
            sequence = sa.func.pg_get_serial_sequence(name, "id")
            await write.execute(sa.select(sa.func.setval(sequence, last)))


async def _count(connection: AsyncConnection, table: sa.Table) -> int:
    return int((await connection.execute(sa.select(sa.func.count()).select_from(table))).scalar_one())
