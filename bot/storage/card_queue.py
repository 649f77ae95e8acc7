"""The queue of cards whose message shows an old state."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.api_pause import API_PAUSE_KEY, PauseState
from bot.core.tasks import Card, CardView, Claim, Delivery, ExistingDelivery, TrackedTask
from bot.storage.engine import Database, notify, transaction
from bot.storage.queue import LeaseQueue
from bot.storage.tables import cards, columns, deliveries, key_values, read, tasks


class CardQueue(LeaseQueue):
    """The cards to edit, by due time."""

    def __init__(self, database: Database, *, lease_time: int) -> None:
        # A card without a message id cannot be edited; it stays due until `set_message`.
        super().__init__(database, cards, lease_time=lease_time, only=cards.c.message_id.is_not(None))
        self._claim = self._claim_statement([*columns(Card), cards.c.attempt])

    @transaction
    async def claim(self, connection: AsyncConnection, limit: int, now: int) -> Claim[CardView]:
        """Up to `limit` due cards with their lines."""
        values = self._new_lease(limit, now)
        found = (await connection.execute(self._claim, values)).all()
        views = [await _with_rows(connection, read(Card, row), attempt=row.attempt) for row in found]
        return Claim(values["new_lease"], tuple(views))

    @transaction
    async def mark_edited(self, connection: AsyncConnection, card: Card, lease: int, now: int) -> bool:
        """The card's message shows what was claimed.

        False when another process has the card, or when something changed meanwhile: then it is due again.
        """
        unchanged = cards.c.version == card.version
        due_at = sa.case((unchanged, sa.null()), else_=sa.literal(now))
        if not await self._finish(connection, card.id, lease, due_at=due_at, attempt=0):
            return False
        still = sa.select(cards.c.id).where(cards.c.id == card.id, unchanged)
        finished = (await connection.execute(still)).first() is not None
        if finished:
            # The person who asked was erased: now that the message names nobody, the card goes as well.
            has_lines = sa.exists().where(deliveries.c.card_id == cards.c.id)
            await connection.execute(sa.delete(cards).where(cards.c.id == card.id, ~has_lines))
        return finished

    @transaction
    async def view(self, connection: AsyncConnection, card_id: int) -> CardView | None:
        """What the card should show now."""
        return await view_card(connection, card_id)

    @transaction
    async def set_message(self, connection: AsyncConnection, card_id: int, message_id: int) -> None:
        """Store the card's message id. What changed before Discord gave it is due already."""
        await connection.execute(sa.update(cards).where(cards.c.id == card_id).values(message_id=message_id))
        await notify(connection, cards)


async def view_card(connection: AsyncConnection, card_id: int) -> CardView | None:
    """A card and its lines, inside the caller's transaction."""
    found = await connection.execute(sa.select(*columns(Card)).where(cards.c.id == card_id))
    row = found.one_or_none()
    return None if row is None else await _with_rows(connection, read(Card, row))


async def _with_rows(connection: AsyncConnection, card: Card, *, attempt: int = 0) -> CardView:
    found = await connection.execute(
        sa.select(*columns(Delivery), *columns(TrackedTask))
        .join_from(deliveries, tasks, deliveries.c.task_id == tasks.c.id)
        .where(deliveries.c.card_id == card.id)
        .order_by(deliveries.c.id)
    )
    width = len(columns(Delivery))
    lines = tuple(ExistingDelivery(read(Delivery, row), read(TrackedTask, row, width)) for row in found)
    return CardView(card, lines, attempt, await _api_pause(connection))


async def _api_pause(connection: AsyncConnection) -> PauseState | None:
    text = sa.select(key_values.c.value).where(key_values.c.name == API_PAUSE_KEY)
    stored = (await connection.execute(text)).scalar()
    return None if stored is None else PauseState.from_text(stored)


async def mark_cards_due(connection: AsyncConnection, of: sa.ColumnElement[bool], due_at: int) -> None:
    """Make due by `due_at` every card that shows a delivery of a task matching `of`.

    A card that is being edited shows what was true before. It becomes due when that edit has ended, so that
    two edits of one message cannot overtake each other.
    """
    shown = (
        sa.select(deliveries.c.card_id)
        .join_from(deliveries, tasks, deliveries.c.task_id == tasks.c.id)
        .where(of, deliveries.c.card_id.is_not(None))
    )
    # In the same order everywhere, because two processes must not wait for each other's rows.
    in_order = sa.select(cards.c.id).where(cards.c.id.in_(shown)).order_by(cards.c.id).with_for_update()
    later = cards.c.due_at.is_(None) | (cards.c.due_at > due_at)
    await connection.execute(
        sa.update(cards)
        .where(cards.c.id.in_(in_order))
        .values(
            due_at=sa.case((cards.c.lease.is_(None) & later, sa.literal(due_at)), else_=cards.c.due_at),
            version=cards.c.version + 1,
            attempt=0,
        )
    )
    await notify(connection, cards)
