"""One message for the ids of one command that the API never knew: a leader names the ids of its followers."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.results import UNKNOWN_ID, Sending, ids_that_fit
from bot.core.tasks import DeliveryState, Doubt, DueDelivery, TaskState
from bot.core.tracking import MAX_WATCHERS
from bot.storage.tables import deliveries, tasks, watchers

_IS_NEVER_KNOWN = (tasks.c.state == TaskState.LOST) & ~tasks.c.known & (tasks.c.cause == UNKNOWN_ID)


async def may_be_joined(connection: AsyncConnection, card_id: int) -> bool:
    """Whether an id of this card is still polled that may turn out to be unknown as well."""
    others = (
        sa.select(deliveries.c.id)
        .join_from(deliveries, tasks, deliveries.c.task_id == tasks.c.id)
        .where(deliveries.c.card_id == card_id, deliveries.c.state == DeliveryState.OPEN)
        .where(tasks.c.state == TaskState.WAITING, ~tasks.c.known)
        .where(tasks.c.doubt.in_((Doubt.UNKNOWN_ID, Doubt.NOT_FOUND)) | tasks.c.polled_at.is_(None))
    )
    return (await connection.execute(others.limit(1))).first() is not None


async def lead_others(connection: AsyncConnection, leader: DueDelivery) -> None:
    """Make the card's other due deliveries followers, as many as fit the leader's message."""
    chosen = (
        sa.select(deliveries.c.id, deliveries.c.task_id)
        .join_from(deliveries, tasks, deliveries.c.task_id == tasks.c.id)
        .where(deliveries.c.card_id == leader.delivery.card_id, deliveries.c.id != leader.delivery.id)
        .where(deliveries.c.state == DeliveryState.DUE, deliveries.c.lease.is_(None))
        .where(deliveries.c.first_sent_at.is_(None), deliveries.c.leader_id.is_(None))
        .where(_IS_NEVER_KNOWN)
        .order_by(deliveries.c.id)
        .with_for_update(skip_locked=True, of=deliveries)
    )
    rows = (await connection.execute(chosen)).all()
    mentions = 1 + MAX_WATCHERS if leader.watchers else 1
    count = ids_that_fit([leader.task.id, *(row.task_id for row in rows)], mentions) - 1
    led = [row.id for row in rows[: max(count, 0)]]
    follow = sa.update(deliveries).where(deliveries.c.id.in_(led))
    await connection.execute(follow.values(leader_id=leader.delivery.id, due_at=None))


async def with_followers(connection: AsyncConnection, leader: DueDelivery) -> Sending:
    """Return what a leader's message holds of its followers: their ids, and the people to mention."""
    led = (deliveries.c.leader_id == leader.delivery.id) & (deliveries.c.state == DeliveryState.DUE)
    named = await connection.execute(
        sa.select(deliveries.c.id, deliveries.c.task_id).where(led).order_by(deliveries.c.id)
    )
    rows = named.all()
    theirs = sa.select(watchers.c.user_id).where(watchers.c.delivery_id.in_([row.id for row in rows]))
    others = (await connection.execute(theirs)).scalars()
    return Sending(
        tuple(dict.fromkeys((*leader.watchers, *others)))[:MAX_WATCHERS], tuple(row.task_id for row in rows)
    )
