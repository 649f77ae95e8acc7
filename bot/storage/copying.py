"""Copies a whole database into another, every row or none, and marks the old one as moved."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.errors import DependencyDown
from bot.storage.engine import Database
from bot.storage.key_values import KeyValues
from bot.storage.tables import cards, deliveries, key_values, metadata, rate_limits

# Set after a copy and removed when a bot first starts: while it is set, the copy may be repeated.
_COPIED_UNUSED = "moved.untouched"
# In a database that was moved: where its rows are now. No bot starts on it.
_MOVED_TO = "moved.to"
_MAX_ROWS_AT_ONCE = 1_000
# Rate limits are not copied: a migration creates them, and their values are outdated within a second.
_TABLES = [table for table in metadata.sorted_tables if table is not rate_limits]


async def copy_all(source: Database, target: Database, place: str) -> dict[str, int]:
    """Copy every table; returns the rows of each, after counting them on both sides.

    `source` is a SQLite database that no bot uses at the moment; both have today's schema. Afterwards it is
    marked as moved to `place`, which must hold no password. Raises StorageUnavailable, and DependencyDown
    when a bot has used the target.
    """

    async def copy_from(read: AsyncConnection) -> dict[str, int]:
        await _put(read, _MOVED_TO, None)
        counts = await target.run(lambda write: _copy(read, write), exclusive=True, no_timeout=True)
        # Committed after the copy: when the process is stopped in between, the copy is repeated.
        await _put(read, _MOVED_TO, place)
        return counts

    return await source.run(copy_from)


async def moved_to(database: Database) -> str | None:
    """Return where the rows were moved to; None for a database that is in use."""
    return await KeyValues(database).get(_MOVED_TO)


async def forget_move(database: Database) -> None:
    """Remove the mark that the database was moved, because the bot goes on with it."""
    await KeyValues(database).put(_MOVED_TO, None)


async def mark_used(database: Database) -> None:
    """Forbid to repeat the copy into this database, because a bot runs on it from now on."""
    await KeyValues(database).put(_COPIED_UNUSED, None)


async def _copy(read: AsyncConnection, write: AsyncConnection) -> dict[str, int]:
    await _check_unused(write)
    for table in reversed(_TABLES):
        await write.execute(sa.delete(table))
    for table in _TABLES:
        await _copy_table(read, write, table)
    await _copy_sequences(read, write)
    counts = {table.name: await _count(read, table) for table in _TABLES}
    arrived = {table.name: await _count(write, table) for table in _TABLES}
    if arrived != counts:
        raise DependencyDown(f"of {counts} only {arrived} arrived: nothing is moved")
    await _put(write, _COPIED_UNUSED, "yes")
    return counts


async def _put(connection: AsyncConnection, name: str, value: str | None) -> None:
    await connection.execute(sa.delete(key_values).where(key_values.c.name == name))
    if value is not None:
        await connection.execute(sa.insert(key_values).values(name=name, value=value))


async def _check_unused(write: AsyncConnection) -> None:
    untouched = sa.select(key_values.c.value).where(key_values.c.name == _COPIED_UNUSED)
    if (await write.execute(untouched)).first() is not None:
        return
    for table in _TABLES:
        if rows := await _count(write, table):
            raise DependencyDown(
                f"the target is in use: it has {rows} rows in {table.name}. Move into an empty database"
            )


async def _copy_table(read: AsyncConnection, write: AsyncConnection, table: sa.Table) -> None:
    rows = await read.execute(sa.select(table).order_by(*table.primary_key.columns))
    for part in rows.mappings().partitions(_MAX_ROWS_AT_ONCE):
        copies = [{column.key: _clean(row[column]) for column in table.columns} for row in part]
        await write.execute(sa.insert(table), copies)


def _clean(value: object) -> object:
    """Remove NUL, which SQLite accepts in a text and PostgreSQL does not."""
    return value.replace("\0", "") if isinstance(value, str) else value


async def _copy_sequences(read: AsyncConnection, write: AsyncConnection) -> None:
    """Copy the last id given: the id of a deleted row must not be given again, because buttons carry ids."""
    given = sa.text("SELECT name, seq FROM sqlite_sequence")
    for name, last in (await read.execute(given)).all():
        if name in (cards.name, deliveries.name):
            sequence = sa.func.pg_get_serial_sequence(name, "id")
            await write.execute(sa.select(sa.func.setval(sequence, last)))


async def _count(connection: AsyncConnection, table: sa.Table) -> int:
    return int((await connection.execute(sa.select(sa.func.count()).select_from(table))).scalar_one())
