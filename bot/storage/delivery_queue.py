"""The queue of result messages that are owed, and the outcomes of sending them."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.clock import DAY
from bot.core.problems import Problem
from bot.core.results import ReadRange, Sending, is_never_known
from bot.core.tasks import (
    Claim,
    Delivery,
    DeliveryState,
    DueDelivery,
    Form,
    Obstacle,
    TaskState,
    TrackedTask,
    may_become,
)
from bot.storage.card_queue import mark_cards_of_tasks_due
from bot.storage.engine import Database, transaction
from bot.storage.prepared import prepared
from bot.storage.queue import NOW, LeaseQueue, claim_statement
from bot.storage.shared_messages import lead_others, may_be_joined, with_followers
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

_CLAIM = claim_statement(
    deliveries,
    columns(Delivery),
    only=_CHANNEL_IS_FREE,
    order_by=_LAST_SERVED,
    served_at=NOW,
    is_preparing=False,
)

# Few are claimed in one transaction, because on SQLite every other transaction waits for it.
_MAX_CLAIMED = 8
# The API's link ends after a day; the file of an undeliverable result is kept longer.
UNDELIVERABLE_FILES_STAY = 3 * DAY


_MAY_BECOME = {
    state: deliveries.c.state.in_(may_become(state))
    for state in (DeliveryState.POSTED, DeliveryState.UNDELIVERABLE)
}


@dataclass(frozen=True, slots=True)
class Telling:
    """State of the direct message about a delivery: when it was first sent, and whether it is over."""

    since: int | None
    is_over: bool


class DeliveryQueue(LeaseQueue):
    """The due deliveries, by due time. `run` is the number of this process's run."""

    def __init__(self, database: Database, *, lease_time: int, run: int) -> None:
        super().__init__(database, deliveries, lease_time=lease_time)
        self._run = run

    @transaction
    async def claim(self, connection: AsyncConnection, limit: int, now: int) -> Claim[DueDelivery]:
        """Claim up to a few due deliveries whose channels have none being posted.

        One at a time per channel, because Discord serialises them anyway and a slow channel must not use all
        slots. The person who was served longest ago is next, so that fifty videos of one person do not delay
        the only one of another. (Two processes that claim at the same moment may take two of one channel:
        Discord then makes one wait.) Each delivery is claimed by a separate statement, which sees the claims
        before it. All statements share a transaction, because each commit costs a flush.
        """
        values = self._new_lease(1, now)
        due: list[DueDelivery] = []
        while len(due) < min(limit, _MAX_CLAIMED):
            row = (await connection.execute(_CLAIM, values)).one_or_none()
            if row is None:
                break
            due.append(await self._with_task(connection, read(Delivery, row)))
        return Claim(values["new_lease"], tuple(due))

    async def _with_task(self, connection: AsyncConnection, delivery: Delivery) -> DueDelivery:
        task = (await connection.execute(*_task(delivery.task_id))).one()
        others = await connection.execute(*_watchers(delivery.id))
        is_first_send = delivery.run == self._run and delivery.first_sent_at is None
        return DueDelivery(delivery, read(TrackedTask, task), tuple(others.scalars()), is_first_send)

    @transaction
    async def begin_preparing(
        self, connection: AsyncConnection, delivery_id: int, lease: int, now: int
    ) -> int | None:
        """Free the delivery's channel for others while its video is downloaded or made smaller.

        Returns when the video was first tried (UTC ms), or None when the lease was lost.
        """
        marked = await connection.execute(*_begin_preparing(delivery_id, lease, now))
        download_since: int | None = marked.scalar_one_or_none()
        return download_since

    @transaction
    async def show_link(self, connection: AsyncConnection, task_id: str, now: int) -> None:
        """Make due the cards that show this task, because its link is to be on them."""
        await mark_cards_of_tasks_due(connection, [task_id], now)

    @transaction
    async def begin_sending(
        self, connection: AsyncConnection, due: DueDelivery, lease: int, now: int
    ) -> Sending | None:
        """Store, before the call, that the delivery is sent to Discord. None: the lease was lost.

        At the first send, a delivery of an id that the API never knew becomes the leader of the others on its
        card: its message names their ids. The set is fixed before the nonce is used.
        """
        marked = await connection.execute(*_begin_sending(due.delivery.id, lease, now))
        if marked.rowcount == 0:
            return None
        if not is_never_known(due.task):
            return Sending(due.watchers)
        if due.delivery.first_sent_at is None and due.delivery.card_id is not None:
            await lead_others(connection, due)
        return await with_followers(connection, due)

    @transaction
    async def wait_for_card(
        self, connection: AsyncConnection, due: DueDelivery, lease: int, until: int
    ) -> bool:
        """Postpone to `until` an id that the API never knew, if others of its card may share its message.

        False when all of them are decided, when it has no card, or when the lease was lost.
        """
        if due.delivery.card_id is None or not await may_be_joined(connection, due.delivery.card_id):
            return False
        return await self._finish(connection, due.delivery.id, lease, due_at=until)

    @transaction
    async def set_form(
        self, connection: AsyncConnection, delivery_id: int, lease: int, form: Form, problem: Problem | None
    ) -> None:
        """Store the form to try next; those before it were refused. `problem`: why it has no video."""
        await self._update_ours(
            connection, delivery_id, lease, form=form, form_problem=problem and problem.to_text()
        )

    @transaction
    async def set_read(
        self, connection: AsyncConnection, delivery_id: int, lease: int, read: ReadRange
    ) -> None:
        """Store what a look-up has read, so that the next one continues from there."""
        await self._update_ours(
            connection, delivery_id, lease, read_newest=read.newest, read_oldest=read.oldest
        )

    @transaction
    async def begin_telling(
        self, connection: AsyncConnection, delivery_id: int, lease: int, now: int
    ) -> Telling | None:
        """Store, before the call, that the direct message is sent. None: the lease was lost."""
        theirs = deliveries.c.id == delivery_id, deliveries.c.lease == lease
        stored = sa.select(deliveries.c.told_since, deliveries.c.told_at).where(*theirs)
        row = (await connection.execute(stored)).one_or_none()
        if row is None:
            return None
        await self._update_ours(connection, delivery_id, lease, told_since=row.told_since or now)
        return Telling(since=row.told_since, is_over=row.told_at is not None)

    @transaction
    async def mark_told(self, connection: AsyncConnection, delivery_id: int, lease: int, now: int) -> None:
        """Record that the direct message was accepted, or refused for good."""
        await self._update_ours(connection, delivery_id, lease, told_at=now, tell_attempt=0)

    @transaction
    async def others_are_posted(self, connection: AsyncConnection, channel_id: int, since: int) -> bool:
        """Whether another channel has taken a message since that time."""
        posted = sa.select(deliveries.c.id).where(
            deliveries.c.state == DeliveryState.POSTED,
            deliveries.c.ended_at > since,
            deliveries.c.channel_id != channel_id,
        )
        return (await connection.execute(posted.limit(1))).first() is not None

    async def mark_posted(
        self, due: DueDelivery, lease: int, message_id: int | None, now: int, *, channel_id: int
    ) -> bool:
        """Record that the result message was posted. False when the lease was lost.

        `message_id` is None for a message that was deleted meanwhile. `channel_id` is where the message is.
        """
        elsewhere = None if channel_id == due.delivery.channel_id else channel_id
        return await self._end_delivery(
            due,
            lease,
            DeliveryState.POSTED,
            now,
            ended_at=now,
            message_id=message_id,
            posted_in=elsewhere,
            last_error=None,
            obstacle=None,
        )

    async def mark_undeliverable(
        self,
        due: DueDelivery,
        lease: int,
        problem: Problem,
        now: int,
        *,
        obstacle: Obstacle,
        rights: int | None = None,
    ) -> bool:
        """Record that Discord refuses the result for good. False when the lease was lost.

        `rights`: our rights in the channel as they are computed now; None when they are unknown. The time of
        the first refusal stays.
        """
        return await self._end_delivery(
            due,
            lease,
            DeliveryState.UNDELIVERABLE,
            now,
            ended_at=sa.func.coalesce(deliveries.c.ended_at, now),
            last_error=problem.to_text(),
            obstacle=obstacle,
            obstacle_rights=rights,
            obstacle_since=now,
            told_at=sa.func.coalesce(deliveries.c.told_at, now),
        )

    @transaction
    async def _end_delivery(
        self,
        connection: AsyncConnection,
        /,
        due: DueDelivery,
        lease: int,
        state: DeliveryState,
        now: int,
        **changes: object,
    ) -> bool:
        """End a delivery and its followers, whose ids are in its message."""
        changes |= {"state": state, "due_at": None}
        may_end = _MAY_BECOME[state]
        if not await self._finish(connection, due.delivery.id, lease, only=may_end, **changes):
            return False
        if is_never_known(due.task):
            follows = deliveries.c.leader_id == due.delivery.id
            await connection.execute(sa.update(deliveries).where(follows, may_end).values(**changes))
        await mark_cards_of_tasks_due(connection, [due.task.id], now)
        return True

    @transaction
    async def is_owed(self, connection: AsyncConnection, task_id: str, now: int) -> bool:
        """Whether a channel still waits for this task's result, or may take it soon."""
        owed = await connection.execute(*_owed(task_id, now - UNDELIVERABLE_FILES_STAY))
        return owed.first() is not None

    @transaction
    async def tasks_to_keep(self, connection: AsyncConnection, now: int) -> set[str]:
        """Return the ids of the completed tasks whose files are still needed."""
        found = await connection.execute(*_tasks_to_keep(now - UNDELIVERABLE_FILES_STAY))
        return set(found.scalars())


@prepared
def _task(task_id: str) -> sa.Select[Any]:
    return sa.select(*columns(TrackedTask)).where(tasks.c.id == task_id)


@prepared
def _watchers(delivery_id: int) -> sa.Select[Any]:
    return sa.select(watchers.c.user_id).where(watchers.c.delivery_id == delivery_id)


def _update_due(delivery_id: int, lease: int) -> sa.Update:
    is_ours = (deliveries.c.id == delivery_id) & (deliveries.c.lease == lease)
    return sa.update(deliveries).where(is_ours, deliveries.c.state == DeliveryState.DUE)


@prepared
def _begin_preparing(delivery_id: int, lease: int, now: int) -> sa.UpdateBase:
    since = sa.func.coalesce(deliveries.c.download_since, now)
    changed = _update_due(delivery_id, lease).values(is_preparing=True, download_since=since)
    return changed.returning(deliveries.c.download_since)


@prepared
def _begin_sending(delivery_id: int, lease: int, now: int) -> sa.Update:
    since = sa.func.coalesce(deliveries.c.first_sent_at, now)
    return _update_due(delivery_id, lease).values(first_sent_at=since, is_preparing=False)


def _may_return(ended_after: int) -> sa.ColumnElement[bool]:
    """Match undeliverable deliveries that ended so recently that their video is kept."""
    return (deliveries.c.state == DeliveryState.UNDELIVERABLE) & (deliveries.c.ended_at > ended_after)


@prepared
def _owed(task_id: str, ended_after: int) -> sa.Select[Any]:
    of_task = sa.select(deliveries.c.id).where(deliveries.c.task_id == task_id)
    return of_task.where(IS_LIVE | _may_return(ended_after)).limit(1)


@prepared
def _tasks_to_keep(ended_after: int) -> sa.Select[Any]:
    return (
        sa.select(deliveries.c.task_id)
        .join_from(deliveries, tasks, deliveries.c.task_id == tasks.c.id)
        .where((deliveries.c.state == DeliveryState.DUE) | _may_return(ended_after))
        .where(tasks.c.state == TaskState.COMPLETED)
    )
