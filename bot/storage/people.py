"""What is stored about one person and how it is erased; how deliveries are deleted with dependent rows."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.clock import MINUTE
from bot.core.tracking import ErasureResult, StoredData
from bot.storage.card_queue import mark_cards_due
from bot.storage.engine import Queries, transaction
from bot.storage.tables import IS_BEING_SENT, IS_LIVE, AnyRow, cards, deliveries, tasks, watchers

# Rows deleted in one statement: SQLite takes 32,766 values, and the ids of many rows are looked up at once.
MAX_DELETED_AT_ONCE = 500
# A person who tracks, is erased and tracks again must not have the API polled sooner than it allows.
_RECENTLY_POLLED = 5 * MINUTE


class People(Queries):
    """Queries about one person, in all servers."""

    @transaction
    async def stored_about(self, connection: AsyncConnection, user_id: int) -> StoredData:
        """Count what `erase` would remove. A task that they asked for again in one channel counts once."""
        theirs = deliveries.c.requester_id == user_id
        is_live = sa.func.max(sa.case((IS_LIVE, 1), else_=0)).label("is_live")
        tracked = sa.select(is_live).where(theirs).group_by(deliveries.c.channel_id, deliveries.c.task_id)
        each = tracked.subquery().c.is_live
        counts = sa.select(sa.func.count().filter(each == 1), sa.func.count().filter(each == 0))
        live, ended = (await connection.execute(counts)).one()
        watched = sa.select(sa.func.count()).select_from(watchers).where(watchers.c.user_id == user_id)
        stopped = sa.select(sa.func.count()).where(deliveries.c.cancelled_by == user_id, ~theirs)
        return StoredData(
            live,
            ended,
            watched=(await connection.execute(watched)).scalar_one(),
            stopped=(await connection.execute(stopped)).scalar_one(),
        )

    @transaction(exclusive=True)
    async def erase(self, connection: AsyncConnection, user_id: int, now: int) -> ErasureResult:
        """Erase everything about a person in one transaction, except what is being posted at this moment."""
        theirs = deliveries.c.requester_id == user_id
        erased = theirs & ~IS_BEING_SENT
        named = deliveries.c.cancelled_by == user_id
        await mark_cards_due(connection, erased | named | (_is_watched_by(user_id) & IS_LIVE), now)
        await connection.execute(sa.delete(watchers).where(watchers.c.user_id == user_id))
        await connection.execute(sa.update(deliveries).where(named).values(cancelled_by=None))
        await _erase_copied_notes(connection, user_id)
        removed = await _delete(connection, erased, now)
        await _delete_unseen_cards(connection)
        left = sa.select(sa.func.count()).select_from(deliveries).where(theirs)
        return ErasureResult(removed, (await connection.execute(left)).scalar_one())


def _is_watched_by(user_id: int) -> sa.ColumnElement[bool]:
    return deliveries.c.id.in_(sa.select(watchers.c.delivery_id).where(watchers.c.user_id == user_id))


async def _erase_copied_notes(connection: AsyncConnection, user_id: int) -> None:
    """Erase the notes of `user_id` in other people's redeliveries, which copy the note."""
    mine, copy = deliveries.alias(), deliveries.alias()
    # The sum keeps SQLite from the index by channel: in a busy one it would read all rows for each delivery.
    same_place = (copy.c.task_id == mine.c.task_id) & (copy.c.channel_id + 0 == mine.c.channel_id)
    copies = (
        sa.select(copy.c.id)
        .join_from(mine, copy, same_place)
        .where(mine.c.requester_id == user_id, mine.c.note.is_not(None), copy.c.requester_id != user_id)
        .where(copy.c.note == mine.c.note, copy.c.id > mine.c.id)
    )
    await connection.execute(sa.update(deliveries).where(deliveries.c.id.in_(copies)).values(note=None))


async def _delete(connection: AsyncConnection, which: sa.ColumnElement[bool], now: int) -> int:
    found = await connection.execute(sa.select(deliveries.c.id, deliveries.c.task_id).where(which))
    rows = found.all()
    for start in range(0, len(rows), MAX_DELETED_AT_ONCE):
        await delete_deliveries(connection, rows[start : start + MAX_DELETED_AT_ONCE], now)
    return len(rows)


async def _delete_unseen_cards(connection: AsyncConnection) -> None:
    """Delete empty cards that Discord does not show. The card updater edits the others, then deletes them."""
    has_lines = sa.exists().where(deliveries.c.card_id == cards.c.id)
    await connection.execute(sa.delete(cards).where(cards.c.message_id.is_(None), ~has_lines))


async def delete_deliveries(connection: AsyncConnection, rows: Sequence[AnyRow], now: int) -> None:
    """Delete these rows (`id` and `task_id`, at most MAX_DELETED_AT_ONCE) and their watchers.

    A task without deliveries is deleted as well; one without a live delivery is no longer polled.
    """
    ids = [row.id for row in rows]
    await connection.execute(sa.delete(watchers).where(watchers.c.delivery_id.in_(ids)))
    await connection.execute(sa.delete(deliveries).where(deliveries.c.id.in_(ids)))
    waiting = sa.exists().where(deliveries.c.task_id == tasks.c.id, IS_LIVE)
    of_these = tasks.c.id.in_({row.task_id for row in rows})
    await delete_orphans(connection, now, of_these)
    await connection.execute(sa.update(tasks).where(of_these, ~waiting).values(due_at=None, lease=None))


async def delete_orphans(connection: AsyncConnection, now: int, which: sa.ColumnElement[bool]) -> int:
    """Delete tasks without deliveries, except those polled in the last 5 minutes.

    The next housekeeping deletes those.
    """
    wanted = sa.exists().where(deliveries.c.task_id == tasks.c.id)
    rested = tasks.c.polled_at.is_(None) | (tasks.c.polled_at < now - _RECENTLY_POLLED)
    return (await connection.execute(sa.delete(tasks).where(which, ~wanted, rested))).rowcount
