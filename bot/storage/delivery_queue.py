"""The queue of result messages that are owed, and what became of them."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.clock import DAY
from bot.core.problems import Problem
from bot.core.tasks import Claim, Delivery, DeliveryState, DueDelivery, TaskState, TrackedTask, may_become
from bot.storage.card_queue import mark_cards_due
from bot.storage.engine import Database, transaction
from bot.storage.queue import NOW, LeaseQueue
from bot.storage.tables import IS_LIVE, columns, deliveries, read, tasks, watchers

_theirs = deliveries.alias()
_LAST_SERVED = (
    sa.select(sa.func.coalesce(sa.func.max(_theirs.c.served_at), 0))
    .where(_theirs.c.requester_id == deliveries.c.requester_id)
    .scalar_subquery()
)

_held = deliveries.alias()
_CHANNEL_IS_FREE = deliveries.c.channel_id.not_in(
    sa.select(_held.c.channel_id)
    .where(_held.c.due_at > NOW, _held.c.lease.is_not(None))
    .where(~_held.c.is_preparing)
)

# The API's link ends after a day; the file of an undeliverable result is kept longer.
UNDELIVERABLE_FILES_STAY = 3 * DAY


def _may_return(now: int) -> sa.ColumnElement[bool]:
    """Undeliverable, but so recently that its video is kept."""
    ended_recently = deliveries.c.ended_at > now - UNDELIVERABLE_FILES_STAY
    return (deliveries.c.state == DeliveryState.UNDELIVERABLE) & ended_recently


class DeliveryQueue(LeaseQueue):
    """The due deliveries, by due time."""

    def __init__(self, database: Database, *, lease_time: int) -> None:
        super().__init__(database, deliveries, lease_time=lease_time)
        self._claim = self._claim_statement(
            columns(Delivery),
            only=_CHANNEL_IS_FREE,
            order_by=_LAST_SERVED,
            served_at=NOW,
            is_preparing=False,
        )

    @transaction
    async def claim(self, connection: AsyncConnection, limit: int, now: int) -> Claim[DueDelivery]:
        """One due delivery (even if `limit` is higher) whose channel has none being posted, or nothing.

        One at a time per channel: Discord serialises them anyway, and a slow channel must not use all slots.
        People take turns: the person who was served longest ago is next, so that fifty videos of one person
        do not delay the only one of another. (Two processes that claim at the same moment may take two of
        one channel: Discord then makes one wait.)
        """
        values = self._new_lease(min(limit, 1), now)
        found = (await connection.execute(self._claim, values)).all()
        due = [await self._with_task(connection, read(Delivery, row)) for row in found]
        return Claim(values["new_lease"], tuple(due))

    async def _with_task(self, connection: AsyncConnection, delivery: Delivery) -> DueDelivery:
        task = (
            await connection.execute(sa.select(*columns(TrackedTask)).where(tasks.c.id == delivery.task_id))
        ).one()
        others = await connection.execute(
            sa.select(watchers.c.user_id).where(watchers.c.delivery_id == delivery.id)
        )
        return DueDelivery(delivery, read(TrackedTask, task), tuple(others.scalars()))

    @transaction
    async def begin_preparing(
        self, connection: AsyncConnection, delivery_id: int, lease: int, now: int
    ) -> int | None:
        """Free the delivery's channel for others while its video is downloaded or made smaller.

        Returns when the video was first tried (UTC ms), or None when the lease was lost.
        """
        marked = await connection.execute(
            sa.update(deliveries)
            .where(deliveries.c.id == delivery_id, deliveries.c.lease == lease)
            .where(deliveries.c.state == DeliveryState.DUE)
            .values(is_preparing=True, download_since=sa.func.coalesce(deliveries.c.download_since, now))
            .returning(deliveries.c.download_since)
        )
        download_since: int | None = marked.scalar_one_or_none()
        return download_since

    @transaction
    async def show_link(self, connection: AsyncConnection, task_id: str, now: int) -> None:
        """Have the cards edited that show this task, because its link is to be on them."""
        await mark_cards_due(connection, tasks.c.id == task_id, now)

    @transaction
    async def begin_sending(
        self, connection: AsyncConnection, delivery_id: int, lease: int, now: int
    ) -> int | None:
        """Store, before it happens, that the delivery is handed to Discord.

        Returns when that happened first (UTC ms), or None when the lease was lost.
        """
        marked = await connection.execute(
            sa.update(deliveries)
            .where(deliveries.c.id == delivery_id, deliveries.c.lease == lease)
            .where(deliveries.c.state == DeliveryState.DUE)
            .values(first_sent_at=sa.func.coalesce(deliveries.c.first_sent_at, now), is_preparing=False)
            .returning(deliveries.c.first_sent_at)
        )
        first_sent_at: int | None = marked.scalar_one_or_none()
        return first_sent_at

    async def mark_posted(
        self, due: DueDelivery, lease: int, message_id: int | None, now: int, *, channel_id: int
    ) -> bool:
        """Discord has answered. False when the lease was lost.

        `message_id` is None for a message that was deleted meanwhile. `channel_id` is where the message is.
        """
        elsewhere = None if channel_id == due.delivery.channel_id else channel_id
        return await self._end(
            due,
            lease,
            DeliveryState.POSTED,
            now,
            message_id=message_id,
            posted_in=elsewhere,
            last_error=None,
        )

    async def mark_undeliverable(self, due: DueDelivery, lease: int, problem: Problem, now: int) -> bool:
        """Discord refuses it for good. False when the lease was lost."""
        return await self._end(due, lease, DeliveryState.UNDELIVERABLE, now, last_error=problem.to_text())

    @transaction
    async def _end(
        self,
        connection: AsyncConnection,
        /,
        due: DueDelivery,
        lease: int,
        state: DeliveryState,
        now: int,
        **changes: object,
    ) -> bool:
        ended = await self._finish(
            connection,
            due.delivery.id,
            lease,
            only=deliveries.c.state.in_(may_become(state)),
            state=state,
            due_at=None,
            ended_at=now,
            **changes,
        )
        if ended:
            await mark_cards_due(connection, tasks.c.id == due.task.id, now)
        return ended

    @transaction
    async def is_owed(self, connection: AsyncConnection, task_id: str, now: int) -> bool:
        """Whether some channel still waits for this task's result, or may take it soon."""
        owed = sa.select(deliveries.c.id).where(deliveries.c.task_id == task_id, IS_LIVE | _may_return(now))
        return (await connection.execute(owed.limit(1))).first() is not None

    @transaction
    async def tasks_to_keep(self, connection: AsyncConnection, now: int) -> set[str]:
        """The ids of the completed tasks whose files are still needed."""
        found = await connection.execute(
            sa.select(deliveries.c.task_id)
            .join_from(deliveries, tasks, deliveries.c.task_id == tasks.c.id)
            .where((deliveries.c.state == DeliveryState.DUE) | _may_return(now))
            .where(tasks.c.state == TaskState.COMPLETED)
        )
        return set(found.scalars())
