"""What the deliverer asks of the database: due deliveries, and what became of them."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.clock import DAY
from bot.core.tasks import (
    LIVE,
    Claim,
    Delivery,
    DeliveryState,
    DueDelivery,
    TaskState,
    TrackedTask,
    may_become,
)
from bot.storage import rows
from bot.storage.engine import Database
from bot.storage.queue import NOW, LeaseQueue
from bot.storage.tables import deliveries, tasks, watchers
from bot.storage.task_queue import mark_cards

_theirs = deliveries.alias()
_LAST_SERVED = (
    sa.select(sa.func.coalesce(sa.func.max(_theirs.c.served_at), 0))
    .where(_theirs.c.requester_id == deliveries.c.requester_id)
    .scalar_subquery()
)

_held = deliveries.alias()
_CHANNEL_IS_FREE = deliveries.c.channel_id.not_in(
    sa.select(_held.c.channel_id).where(_held.c.due_at > NOW, _held.c.lease.is_not(None))
)

# The API's link is dead after a day; what a channel did not take is kept here for longer than that.
UNDELIVERABLE_FILES_STAY = 3 * DAY


def _may_return(now: int) -> sa.ColumnElement[bool]:
    """Could not be delivered, and not so long ago that its video is given up."""
    ended_lately = deliveries.c.ended_at > now - UNDELIVERABLE_FILES_STAY
    return (deliveries.c.state == DeliveryState.UNDELIVERABLE) & ended_lately


class DeliveryQueue:
    """The result messages that are owed, by when to try."""

    def __init__(self, database: Database, *, lease_time: int) -> None:
        self._database = database
        self._queue = LeaseQueue(database, deliveries, lease_time=lease_time)
        self._claiming = self._queue.claiming(
            rows.columns(Delivery), only=_CHANNEL_IS_FREE, first=_LAST_SERVED, served_at=NOW
        )
        self.next_due = self._queue.next_due
        self.renew = self._queue.renew

    async def claim(self, now: int) -> Claim[DueDelivery]:
        """One due delivery whose channel has none under way, or nothing.

        One at a time per channel: Discord serialises them anyway, and a slow channel must not fill all
        the places that other channels wait for. People take turns: whoever was served longest ago is
        next, so that one person's fifty videos do not keep another's one waiting. (Two processes that claim
        at the same moment may take two of one channel: Discord then makes one wait.)
        """

        async def work(connection: AsyncConnection) -> Claim[DueDelivery]:
            lease, found = await self._queue.claim(connection, self._claiming, 1, now)
            due = [await self._with_task(connection, rows.read(Delivery, row)) for row in found]
            return Claim(lease, tuple(due))

        return await self._database.run(work)

    async def _with_task(self, connection: AsyncConnection, delivery: Delivery) -> DueDelivery:
        task = (
            await connection.execute(
                sa.select(*rows.columns(TrackedTask)).where(tasks.c.id == delivery.task_id)
            )
        ).one()
        others = await connection.execute(
            sa.select(watchers.c.user_id).where(watchers.c.delivery_id == delivery.id)
        )
        return DueDelivery(delivery, rows.read(TrackedTask, task), tuple(others.scalars()))

    async def begin_sending(self, delivery_id: int, lease: int, now: int) -> int | None:
        """Remember the first hand-over to Discord, before it happens: when it was. None: no longer ours."""

        async def work(connection: AsyncConnection) -> int | None:
            marked = await connection.execute(
                sa.update(deliveries)
                .where(deliveries.c.id == delivery_id, deliveries.c.lease == lease)
                .where(deliveries.c.state == DeliveryState.DUE)
                .values(sending_at=sa.func.coalesce(deliveries.c.sending_at, now))
                .returning(deliveries.c.sending_at)
            )
            began: int | None = marked.scalar_one_or_none()
            return began

        return await self._database.run(work)

    async def posted(
        self,
        due: DueDelivery,
        lease: int,
        message_id: int | None,
        now: int,
        *,
        channel_id: int | None = None,
    ) -> bool:
        """Discord has answered. `message_id` is None for a message that was deleted meanwhile.

        `channel_id` is where the message is, when not where it was asked for.
        """
        elsewhere = None if channel_id == due.delivery.channel_id else channel_id
        return await self._end(
            due,
            lease,
            DeliveryState.POSTED,
            now,
            message_id=message_id,
            posted_in=elsewhere,
            trouble=None,
        )

    async def undeliverable(self, due: DueDelivery, lease: int, why: str, now: int) -> bool:
        """Discord will not take it there."""
        return await self._end(due, lease, DeliveryState.UNDELIVERABLE, now, trouble=why)

    async def _end(
        self, due: DueDelivery, lease: int, state: DeliveryState, now: int, **changes: object
    ) -> bool:
        async def work(connection: AsyncConnection) -> bool:
            ended = await self._queue.finish(
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
                await mark_cards(connection, tasks.c.id == due.task.id, now)
            return ended

        return await self._database.run(work)

    async def postpone(
        self,
        delivery_id: int,
        lease: int,
        due_at: int,
        *,
        attempt: int,
        trouble: str,
        set_aside: str | None = None,
    ) -> bool:
        """An attempt failed; the next is at `due_at`."""
        return await self._queue.postpone(
            delivery_id, lease, due_at, attempt=attempt, trouble=trouble, set_aside=set_aside
        )

    async def give_back(self, delivery_id: int, lease: int, now: int) -> bool:
        """Nothing was tried: due again at once, for the next process."""
        return await self._queue.postpone(delivery_id, lease, now)

    async def is_owed(self, task_id: str, now: int) -> bool:
        """Whether some channel still waits for this task's result, or may take it soon."""

        async def work(connection: AsyncConnection) -> bool:
            live = deliveries.c.state.in_(LIVE)
            owed = sa.select(deliveries.c.id).where(deliveries.c.task_id == task_id, live | _may_return(now))
            return (await connection.execute(owed.limit(1))).first() is not None

        return await self._database.run(work)

    async def tasks_to_keep(self, now: int) -> set[str]:
        """The ids of completed tasks that some channel is still owed, or may take soon: their files stay."""

        async def work(connection: AsyncConnection) -> set[str]:
            found = await connection.execute(
                sa.select(deliveries.c.task_id)
                .join_from(deliveries, tasks, deliveries.c.task_id == tasks.c.id)
                .where((deliveries.c.state == DeliveryState.DUE) | _may_return(now))
                .where(tasks.c.state == TaskState.COMPLETED)
            )
            return set(found.scalars())

        return await self._database.run(work)

    async def release_orphans(self, now: int) -> int:
        """End the leases of a process that died."""
        return await self._queue.release_orphans(now)
