"""Ending deliveries before they are posted: which of a card, and what follows for their tasks."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.tasks import DeliveryState, may_become
from bot.core.tracking import PressedButton, StopRefusal
from bot.storage.card_queue import is_on_card, mark_cards_of_tasks_due
from bot.storage.tables import IS_BEING_SENT, IS_LIVE, MAY_BE_NAMED, deliveries, tasks


async def live_to_stop(
    connection: AsyncConnection, card_id: int, requester_id: int | None, pressed: PressedButton
) -> tuple[StopRefusal | None, Sequence[int]]:
    """The live deliveries of a card, of one requester or (None) of all; or why there are none to stop."""
    if not await is_on_card(connection, card_id, pressed):
        return StopRefusal.UNKNOWN_CARD, ()
    on_card = sa.select(deliveries.c.id, deliveries.c.requester_id).where(deliveries.c.card_id == card_id)
    live = (await connection.execute(on_card.where(IS_LIVE))).all()
    if not live:
        return StopRefusal.ENDED, ()
    theirs = [row.id for row in live if requester_id in (None, row.requester_id)]
    return (None, theirs) if theirs else (StopRefusal.NOT_YOURS, ())


async def cancel_deliveries(
    connection: AsyncConnection, delivery_ids: Sequence[int], by: int, now: int
) -> int:
    """Cancel those of these deliveries that are not being posted right now; returns how many."""
    cancelled = await connection.execute(
        sa.update(deliveries)
        .where(deliveries.c.id.in_(delivery_ids), ~IS_BEING_SENT, ~MAY_BE_NAMED)
        .where(deliveries.c.state.in_(may_become(DeliveryState.CANCELLED)))
        .values(state=DeliveryState.CANCELLED, due_at=None, lease=None, ended_at=now, cancelled_by=by)
        .returning(deliveries.c.task_id)
    )
    task_ids = cancelled.scalars().all()
    await _stop_polling_if_unwanted(connection, task_ids)
    await mark_cards_of_tasks_due(connection, task_ids, now)
    return len(task_ids)


async def _stop_polling_if_unwanted(connection: AsyncConnection, task_ids: Sequence[str]) -> None:
    wanted = sa.exists().where(deliveries.c.task_id == tasks.c.id, IS_LIVE)
    await connection.execute(
        sa.update(tasks).where(tasks.c.id.in_(task_ids), ~wanted).values(due_at=None, lease=None)
    )
