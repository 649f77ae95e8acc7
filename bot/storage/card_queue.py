"""The queue of cards whose message shows an old state."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.api_pause import API_PAUSE_KEY, PauseState
from bot.core.generation_time import MAX_VIDEOS, UsualTime, usual_time
from bot.core.tasks import Card, CardView, Claim, Delivery, DeliveryState, ExistingDelivery, TrackedTask
from bot.core.tracking import PressedButton
from bot.storage.engine import Database, notify, transaction
from bot.storage.prepared import prepared
from bot.storage.queue import LeaseQueue, claim_statement
from bot.storage.tables import (
    HAS_TIME,
    IS_LIVE,
    cards,
    columns,
    deliveries,
    key_values,
    read,
    tasks,
    watchers,
)

_HAS_MESSAGE = cards.c.message_id.is_not(None)
# Without its message's id a card waits for as long as a lease, because the id may still be stored.
_UNANSWERED = cards.c.due_at <= sa.bindparam("unanswered_since", type_=sa.BigInteger)
_CLAIM = claim_statement(cards, [*columns(Card), cards.c.attempt], only=_HAS_MESSAGE | _UNANSWERED)
_HAS_LINES = sa.exists().where(deliveries.c.card_id == cards.c.id)


class CardQueue(LeaseQueue):
    """The cards to edit, by due time."""

    def __init__(self, database: Database, *, lease_time: int) -> None:
        ready_at = sa.case((_HAS_MESSAGE, cards.c.due_at), else_=cards.c.due_at + lease_time)
        super().__init__(database, cards, lease_time=lease_time, ready_at=ready_at)

    @transaction
    async def claim(self, connection: AsyncConnection, limit: int, now: int) -> Claim[CardView]:
        """Claim up to `limit` due cards with their lines."""
        values = self._new_lease(limit, now) | {"unanswered_since": now - self.lease_time}
        found = (await connection.execute(_CLAIM, values)).all()
        views = [await _with_rows(connection, read(Card, row), attempt=row.attempt) for row in found]
        return Claim(values["new_lease"], tuple(views))

    @transaction
    async def mark_edited(self, connection: AsyncConnection, card: Card, lease: int, now: int) -> bool:
        """Record that the card's message shows what was claimed.

        False when the lease was lost, or when the card changed meanwhile: then it is due again.
        """
        due_at = sa.case((cards.c.version == card.version, sa.null()), else_=sa.literal(now))
        if not await self._finish(connection, card.id, lease, due_at=due_at, attempt=0):
            await _edit_again(connection, card.id, now)
            return False
        finished = (await connection.execute(*_unchanged(card.id, card.version))).first() is not None
        if finished:
            # Its person was erased. The message shows no delivery now, so the card is deleted as well.
            await connection.execute(*_delete_without_lines(card.id))
        return finished

    @transaction
    async def edit_again(self, connection: AsyncConnection, card_id: int, now: int) -> None:
        """An edit was made without the card's lease: it may have overwritten a newer one."""
        await _edit_again(connection, card_id, now)

    @transaction
    async def view(self, connection: AsyncConnection, card_id: int) -> CardView | None:
        """Return what the card should show now; None when there is no such card."""
        return await view_card(connection, card_id)

    @transaction
    async def set_message(self, connection: AsyncConnection, card_id: int, message_id: int, now: int) -> None:
        """Store the card's message id. A card that has changed since it was posted is due."""
        await connection.execute(*_set_message(card_id, message_id, now))
        await notify(connection, cards)


async def _edit_again(connection: AsyncConnection, card_id: int, now: int) -> None:
    is_free = cards.c.lease.is_(None)
    await connection.execute(
        sa.update(cards)
        .where(cards.c.id == card_id)
        .values(due_at=sa.case((is_free, sa.literal(now)), else_=cards.c.due_at), version=cards.c.version + 1)
    )


async def view_card(connection: AsyncConnection, card_id: int) -> CardView | None:
    """Return a card and its lines, inside the caller's transaction."""
    row = (await connection.execute(*_card(card_id))).one_or_none()
    return None if row is None else await _with_rows(connection, read(Card, row))


async def _with_rows(connection: AsyncConnection, card: Card, *, attempt: int = 0) -> CardView:
    found = await connection.execute(*_lines(card.id))
    width = len(columns(Delivery))
    lines = tuple(ExistingDelivery(read(Delivery, row), read(TrackedTask, row, width)) for row in found)
    pause, watching = await _pause_and_watchers(connection, card.id)
    return CardView(card, lines, attempt, pause, watching, await _usual_time(connection, lines))


async def _pause_and_watchers(connection: AsyncConnection, card_id: int) -> tuple[PauseState | None, int]:
    """The API pause, and how many people are to be mentioned besides the requester. One query for both."""
    stored, watching = (await connection.execute(*_stored_pause_and_watchers(card_id))).one()
    return None if stored is None else PauseState.from_text(stored), watching


async def _usual_time(connection: AsyncConnection, lines: Sequence[ExistingDelivery]) -> UsualTime | None:
    """How long the latest videos of the first waiting task's model took, if the model is known."""
    waiting = (line.task for line in lines if line.delivery.state is DeliveryState.OPEN)
    first = next(waiting, None)
    if first is None or first.model is None:
        return None
    latest = await connection.execute(*_latest_times(first.model))
    return usual_time(latest.scalars().all())


async def mark_cards_due(connection: AsyncConnection, of: sa.ColumnElement[bool], due_at: int) -> None:
    """Make due, at `due_at` or earlier, every card with a delivery that matches `of`.

    A card that is being edited becomes due when that edit has ended, because two edits of one message could
    overtake each other.
    """
    await connection.execute(_make_cards_due(of, sa.literal(due_at)))
    await notify(connection, cards)


async def mark_cards_of_tasks_due(connection: AsyncConnection, task_ids: Sequence[str], due_at: int) -> None:
    """Do the same for every card with a delivery of these tasks."""
    await connection.execute(*_make_cards_of_tasks_due(task_ids, due_at))
    await notify(connection, cards)


def _make_cards_due(of: sa.ColumnElement[bool], due_at: sa.ColumnElement[int]) -> sa.Update:
    shown = (
        sa.select(deliveries.c.card_id)
        .join_from(deliveries, tasks, deliveries.c.task_id == tasks.c.id)
        .where(of, deliveries.c.card_id.is_not(None))
    )
    # In the same order everywhere, because two processes must not wait for each other's rows.
    in_order = sa.select(cards.c.id).where(cards.c.id.in_(shown)).order_by(cards.c.id).with_for_update()
    later = cards.c.due_at.is_(None) | (cards.c.due_at > due_at)
    return (
        sa.update(cards)
        .where(cards.c.id.in_(in_order))
        .values(
            due_at=sa.case((cards.c.lease.is_(None) & later, due_at), else_=cards.c.due_at),
            version=cards.c.version + 1,
            attempt=0,
        )
    )


@prepared
def _make_cards_of_tasks_due(task_ids: Sequence[str], due_at: int) -> sa.Update:
    return _make_cards_due(tasks.c.id.in_(task_ids), due_at)  # type: ignore[arg-type]


@prepared
def _card(card_id: int) -> sa.Select[Any]:
    return sa.select(*columns(Card)).where(cards.c.id == card_id)


@prepared
def _unchanged(card_id: int, version: int) -> sa.Select[Any]:
    return sa.select(cards.c.id).where(cards.c.id == card_id, cards.c.version == version)


@prepared
def _delete_without_lines(card_id: int) -> sa.Delete:
    return sa.delete(cards).where(cards.c.id == card_id, ~_HAS_LINES)


@prepared
def _set_message(card_id: int, message_id: int, now: int) -> sa.Update:
    # Not due if it has not changed, or if it changed and its message was looked for and not found.
    changed = sa.case((cards.c.version > 0, now), else_=sa.null())
    stored = {"message_id": message_id, "due_at": sa.func.coalesce(cards.c.due_at, changed)}
    return sa.update(cards).where(cards.c.id == card_id).values(stored)


@prepared
def _lines(card_id: int) -> sa.Select[Any]:
    return (
        sa.select(*columns(Delivery), *columns(TrackedTask))
        .join_from(deliveries, tasks, deliveries.c.task_id == tasks.c.id)
        .where(deliveries.c.card_id == card_id)
        .order_by(deliveries.c.id)
    )


@prepared
def _stored_pause_and_watchers(card_id: int) -> sa.Select[Any]:
    pause = sa.select(key_values.c.value).where(key_values.c.name == API_PAUSE_KEY)
    people = (
        sa.select(sa.func.count(watchers.c.user_id.distinct()))
        .join_from(deliveries, watchers, watchers.c.delivery_id == deliveries.c.id)
        .where(deliveries.c.card_id == card_id, IS_LIVE)
    )
    return sa.select(pause.scalar_subquery(), people.scalar_subquery())


@prepared
def _latest_times(model: str) -> sa.Select[Any]:
    """By the index `tasks_by_model`, so that it costs the same however many videos there were."""
    return (
        sa.select(tasks.c.took)
        .where(tasks.c.model == model, HAS_TIME)
        .order_by(tasks.c.finished_at.desc())
        .limit(MAX_VIDEOS)
    )


async def is_on_card(connection: AsyncConnection, card_id: int, pressed: PressedButton) -> bool:
    """Whether the button is on this card, and not on one that another database numbered alike."""
    first = (
        sa.select(cards.c.message_id, deliveries.c.nonce)
        .join_from(deliveries, cards, deliveries.c.card_id == cards.c.id)
        .where(cards.c.id == card_id)
        .order_by(deliveries.c.id)
        .limit(1)
    )
    row = (await connection.execute(first)).one_or_none()
    return row is not None and pressed.is_on(row.message_id, row.nonce)
