"""What is kept about one person, and forgetting it."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.registration import Forgotten, Held
from bot.core.tasks import LIVE
from bot.storage.engine import Database
from bot.storage.guilds import delete_deliveries
from bot.storage.tables import cards, deliveries, tasks, watchers
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

        async def work(connection: AsyncConnection) -> Held:
            live = sa.func.count().filter(_IS_LIVE)
            mine = sa.select(live, sa.func.count().filter(~_IS_LIVE))
            counted = await connection.execute(mine.where(deliveries.c.requester_id == user_id))
            others = sa.select(sa.func.count()).select_from(watchers).where(watchers.c.user_id == user_id)
            return Held(*counted.one(), (await connection.execute(others)).scalar_one())

        return await self._database.run(work)

    async def forget(self, user_id: int, now: int) -> Forgotten:
        """All of it in one transaction, except for what is being posted at this moment."""
        theirs = deliveries.c.requester_id == user_id

        async def work(connection: AsyncConnection) -> Forgotten:
            await connection.execute(sa.delete(watchers).where(watchers.c.user_id == user_id))
            await connection.execute(
                sa.update(deliveries).where(deliveries.c.ended_by == user_id).values(ended_by=None)
            )
            rows = sa.select(deliveries.c.id, deliveries.c.task_id, deliveries.c.card_id)
            gone = (await connection.execute(rows.where(theirs, ~_IS_BEING_POSTED))).all()
            for row in gone:
                await mark_cards(connection, tasks.c.id == row.task_id, now)
            await delete_deliveries(connection, [row.id for row in gone], {row.task_id for row in gone})
            await _drop_empty_cards(connection, {row.card_id for row in gone if row.card_id is not None})
            left = sa.select(sa.func.count()).select_from(deliveries).where(theirs)
            return Forgotten(len(gone), (await connection.execute(left)).scalar_one())

        return await self._database.run(work)


async def _drop_empty_cards(connection: AsyncConnection, card_ids: set[int]) -> None:
    """A card that Discord shows is redrawn without a name first; the keeper drops it then."""
    has_lines = sa.exists().where(deliveries.c.card_id == cards.c.id)
    nowhere = cards.c.message_id.is_(None)
    await connection.execute(sa.delete(cards).where(cards.c.id.in_(card_ids), ~has_lines, nowhere))
