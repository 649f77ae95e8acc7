"""Removing deliveries with all that is there only because of them."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.clock import MINUTE
from bot.core.tasks import LIVE
from bot.storage.rows import AnyRow
from bot.storage.tables import deliveries, tasks, watchers

# One list in a statement: SQLite takes 32,766 values, and the ids of many rows are looked up at once.
AT_ONCE = 500


# Whoever tracks, is forgotten and tracks again must not have the API asked sooner than it allows.
_ASKED_LATELY = 5 * MINUTE


async def delete_deliveries(connection: AsyncConnection, gone: Sequence[AnyRow], now: int) -> None:
    """These rows (`id` and `task_id`, at most AT_ONCE) and who watches them.

    A task that is then nobody's goes as well, and one that nobody waits for is not asked about.
    """
    ids = [row.id for row in gone]
    await connection.execute(sa.delete(watchers).where(watchers.c.delivery_id.in_(ids)))
    await connection.execute(sa.delete(deliveries).where(deliveries.c.id.in_(ids)))
    waiting = sa.exists().where(deliveries.c.task_id == tasks.c.id, deliveries.c.state.in_(LIVE))
    of_these = tasks.c.id.in_({row.task_id for row in gone})
    await delete_orphans(connection, now, of_these)
    await connection.execute(sa.update(tasks).where(of_these, ~waiting).values(due_at=None, lease=None))


async def delete_orphans(connection: AsyncConnection, now: int, which: sa.ColumnElement[bool]) -> int:
    """Tasks that no channel has any more; what was asked about lately stays for an hour's housekeeping."""
    anybody = sa.exists().where(deliveries.c.task_id == tasks.c.id)
    rested = tasks.c.asked_at.is_(None) | (tasks.c.asked_at < now - _ASKED_LATELY)
    return (await connection.execute(sa.delete(tasks).where(which, ~anybody, rested))).rowcount
