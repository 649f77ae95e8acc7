"""What is kept about one person, and forgetting it."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.registration import Forgotten, Held
from bot.core.tasks import LIVE
from bot.storage.engine import Database
from bot.storage.removal import AT_ONCE, delete_deliveries
from bot.storage.tables import cards, deliveries, watchers
from bot.storage.task_queue import mark_cards

_IS_LIVE = deliveries.c.state.in_(LIVE)
# Being handed to Discord right now: its outcome must find its row.
_IS_BEING_POSTED = deliveries.c.lease.is_not(None) & deliveries.c.sending_at.is_not(None)


class People:
    """Everything that names a person, in all servers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def held_about(self, user_id: int) -> Held:
        """What forgetting would remove."""
        theirs = deliveries.c.requester_id == user_id

        async def work(connection: AsyncConnection) -> Held:
            asked_for = sa.select(sa.func.count().filter(_IS_LIVE), sa.func.count().filter(~_IS_LIVE)).where(
                theirs
            )
            live, ended = (await connection.execute(asked_for)).one()
            watched = sa.select(sa.func.count()).select_from(watchers).where(watchers.c.user_id == user_id)
            stopped = sa.select(sa.func.count()).where(deliveries.c.ended_by == user_id, ~theirs)
            return Held(
                live,
                ended,
                watched=(await connection.execute(watched)).scalar_one(),
                stopped=(await connection.execute(stopped)).scalar_one(),
            )

        return await self._database.run(work)

    async def forget(self, user_id: int, now: int) -> Forgotten:
        """All of it in one transaction, except for what is being posted at this moment."""
        theirs = deliveries.c.requester_id == user_id
        goes = theirs & ~_IS_BEING_POSTED
        named = deliveries.c.ended_by == user_id

        async def work(connection: AsyncConnection) -> Forgotten:
            await mark_cards(connection, goes | named, now)
            await connection.execute(sa.delete(watchers).where(watchers.c.user_id == user_id))
            await connection.execute(sa.update(deliveries).where(named).values(ended_by=None))
            await _forget_copied_notes(connection, user_id)
            removed = await _remove(connection, goes, now)
            await _drop_unseen_cards(connection)
            left = sa.select(sa.func.count()).select_from(deliveries).where(theirs)
            return Forgotten(removed, (await connection.execute(left)).scalar_one())

        return await self._database.run(work, alone=True)


async def _forget_copied_notes(connection: AsyncConnection, user_id: int) -> None:
    """Whoever has a result delivered again has its note as well, in the words of who wrote it."""
    mine, copy = deliveries.alias(), deliveries.alias()
    # The sum keeps SQLite from the index by channel: in a busy one it would read all for each of theirs.
    same_place = (copy.c.task_id == mine.c.task_id) & (copy.c.channel_id + 0 == mine.c.channel_id)
    copies = (
        sa.select(copy.c.id)
        .join_from(mine, copy, same_place)
        .where(mine.c.requester_id == user_id, mine.c.note.is_not(None), copy.c.requester_id != user_id)
        .where(copy.c.note == mine.c.note, copy.c.id > mine.c.id)
    )
    await connection.execute(sa.update(deliveries).where(deliveries.c.id.in_(copies)).values(note=None))


async def _remove(connection: AsyncConnection, which: sa.ColumnElement[bool], now: int) -> int:
    found = await connection.execute(sa.select(deliveries.c.id, deliveries.c.task_id).where(which))
    gone = found.all()
    for start in range(0, len(gone), AT_ONCE):
        await delete_deliveries(connection, gone[start : start + AT_ONCE], now)
    return len(gone)


async def _drop_unseen_cards(connection: AsyncConnection) -> None:
    """A card that Discord shows is redrawn without a name first; the keeper drops it then."""
    has_lines = sa.exists().where(deliveries.c.card_id == cards.c.id)
    await connection.execute(sa.delete(cards).where(cards.c.message_id.is_(None), ~has_lines))
