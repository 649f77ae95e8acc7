"""What commands read: one task in one channel, a channel's deliveries, ids to suggest."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.registration import Earlier, Overview
from bot.core.tasks import LIVE, Delivery, TrackedTask
from bot.storage import rows
from bot.storage.engine import Database
from bot.storage.tables import cards, deliveries, tasks

_IS_LIVE = deliveries.c.state.in_(LIVE)
_WITH_TASK = (
    sa.select(*rows.columns(Delivery), *rows.columns(TrackedTask), cards.c.message_id)
    .join_from(deliveries, tasks, deliveries.c.task_id == tasks.c.id)
    .outerjoin(cards, deliveries.c.card_id == cards.c.id)
)


class Lookups:
    """Reads for people. Nothing of another channel is ever in an answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, channel_id: int, task_id: str) -> Earlier | None:
        """The channel's latest delivery of the task."""

        async def work(connection: AsyncConnection) -> Earlier | None:
            return await find_earlier(connection, channel_id, task_id)

        return await self._database.run(work)

    async def delivery(self, delivery_id: int) -> Earlier | None:
        """One delivery, for the buttons on its result message."""

        async def work(connection: AsyncConnection) -> Earlier | None:
            found = await connection.execute(_WITH_TASK.where(deliveries.c.id == delivery_id))
            row = found.one_or_none()
            return None if row is None else _earlier(row)

        return await self._database.run(work)

    async def overview(self, channel_id: int, *, ended: int) -> Overview:
        """All live deliveries, oldest first, and the latest `ended` others, newest first."""
        here = _WITH_TASK.where(deliveries.c.channel_id == channel_id)

        async def work(connection: AsyncConnection) -> Overview:
            live = await connection.execute(here.where(_IS_LIVE).order_by(deliveries.c.id))
            past = await connection.execute(
                here.where(~_IS_LIVE).order_by(deliveries.c.id.desc()).limit(ended)
            )
            return Overview(_all(live.all()), _all(past.all()))

        return await self._database.run(work)

    async def suggest(self, channel_id: int, part: str, *, limit: int) -> tuple[Earlier, ...]:
        """The latest deliveries here whose id or note contains `part`, each task once."""
        latest = (
            sa.select(sa.func.max(deliveries.c.id))
            .where(deliveries.c.channel_id == channel_id)
            .where(
                deliveries.c.task_id.icontains(part, autoescape=True)
                | deliveries.c.note.icontains(part, autoescape=True)
            )
            .group_by(deliveries.c.task_id)
        )

        async def work(connection: AsyncConnection) -> tuple[Earlier, ...]:
            found = await connection.execute(
                _WITH_TASK.where(deliveries.c.id.in_(latest)).order_by(deliveries.c.id.desc()).limit(limit)
            )
            return _all(found.all())

        return await self._database.run(work)


async def find_earlier(connection: AsyncConnection, channel_id: int, task_id: str) -> Earlier | None:
    """The channel's latest delivery of the task, inside somebody's transaction."""
    found = await connection.execute(
        _WITH_TASK.where(deliveries.c.channel_id == channel_id, deliveries.c.task_id == task_id)
        .order_by(deliveries.c.id.desc())
        .limit(1)
    )
    row = found.one_or_none()
    return None if row is None else _earlier(row)


def _all(found: Sequence[rows.AnyRow]) -> tuple[Earlier, ...]:
    return tuple(_earlier(row) for row in found)


def _earlier(row: rows.AnyRow) -> Earlier:
    width = len(rows.columns(Delivery))
    return Earlier(rows.read(Delivery, row), rows.read(TrackedTask, row, width), row[-1])
