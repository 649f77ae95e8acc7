"""Reads for commands: one task in one channel, a channel's deliveries, ids to suggest."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.tasks import Delivery, ExistingDelivery, TrackedTask
from bot.core.tracking import Overview
from bot.storage.engine import Queries, transaction
from bot.storage.prepared import prepared
from bot.storage.tables import IS_LIVE, AnyRow, cards, columns, deliveries, read, tasks

# Discord shows no more suggestions.
_MAX_SUGGESTIONS = 25
_MAX_ENDED = 10
_WITH_TASK = (
    sa.select(*columns(Delivery), *columns(TrackedTask), cards.c.message_id)
    .join_from(deliveries, tasks, deliveries.c.task_id == tasks.c.id)
    .outerjoin(cards, deliveries.c.card_id == cards.c.id)
)
_later = deliveries.alias("later")
# The sum keeps SQLite from the index by channel: in a busy one it would read all rows for each delivery.
_HAS_LATER = (
    sa.exists()
    .where(_later.c.task_id == deliveries.c.task_id, _later.c.channel_id + 0 == deliveries.c.channel_id)
    .where(_later.c.id > deliveries.c.id)
    .correlate(deliveries)
)


class Lookups(Queries):
    """Reads for users. An answer never holds anything of another channel."""

    @transaction
    async def find(
        self, connection: AsyncConnection, channel_id: int, task_id: str
    ) -> ExistingDelivery | None:
        """Return the channel's latest delivery of the task."""
        return await find_existing(connection, channel_id, task_id)

    @transaction
    async def delivery(self, connection: AsyncConnection, delivery_id: int) -> ExistingDelivery | None:
        """Return one delivery, for the buttons on its result message."""
        found = await connection.execute(_WITH_TASK.where(deliveries.c.id == delivery_id))
        row = found.one_or_none()
        return None if row is None else _existing(row)

    @transaction
    async def overview(
        self, connection: AsyncConnection, channel_id: int, *, max_ended: int = _MAX_ENDED
    ) -> Overview:
        """Return all live deliveries, oldest first, and the latest `max_ended` others, newest first.

        Each task once, by its latest delivery here: a live one is always the latest.
        """
        here = _WITH_TASK.where(deliveries.c.channel_id == channel_id)
        live = await connection.execute(here.where(IS_LIVE).order_by(deliveries.c.id))
        ended = await connection.execute(
            here.where(~IS_LIVE, ~_HAS_LATER).order_by(deliveries.c.id.desc()).limit(max_ended)
        )
        return Overview(_all(live.all()), _all(ended.all()))

    @transaction
    async def suggest(
        self, connection: AsyncConnection, channel_id: int, part: str, *, limit: int = _MAX_SUGGESTIONS
    ) -> tuple[ExistingDelivery, ...]:
        """Return the latest deliveries here whose id or note contains `part`, each task once."""
        latest = (
            sa.select(sa.func.max(deliveries.c.id))
            .where(deliveries.c.channel_id == channel_id)
            .where(
                deliveries.c.task_id.icontains(part, autoescape=True)
                | deliveries.c.note.icontains(part, autoescape=True)
            )
            .group_by(deliveries.c.task_id)
        )
        found = await connection.execute(
            _WITH_TASK.where(deliveries.c.id.in_(latest)).order_by(deliveries.c.id.desc()).limit(limit)
        )
        return _all(found.all())


async def find_existing(
    connection: AsyncConnection, channel_id: int, task_id: str
) -> ExistingDelivery | None:
    """Return the channel's latest delivery of the task, inside the caller's transaction."""
    row = (await connection.execute(*_latest(channel_id, task_id))).one_or_none()
    return None if row is None else _existing(row)


@prepared
def _latest(channel_id: int, task_id: str) -> sa.Select[Any]:
    is_it = (deliveries.c.channel_id == channel_id) & (deliveries.c.task_id == task_id)
    return _WITH_TASK.where(is_it).order_by(deliveries.c.id.desc()).limit(1)


def _all(found: Sequence[AnyRow]) -> tuple[ExistingDelivery, ...]:
    return tuple(_existing(row) for row in found)


def _existing(row: AnyRow) -> ExistingDelivery:
    width = len(columns(Delivery))
    return ExistingDelivery(read(Delivery, row), read(TrackedTask, row, width), row[-1])
