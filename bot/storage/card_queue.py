"""What the card keeper asks of the database: cards that show an old state."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.tasks import Card, CardRow, CardView, Claim, Delivery, TrackedTask
from bot.storage import rows
from bot.storage.engine import Database, announce
from bot.storage.queue import LeaseQueue
from bot.storage.tables import cards, deliveries, tasks


class CardQueue:
    """The cards to redraw, by when."""

    def __init__(self, database: Database, *, lease_time: int) -> None:
        self._database = database
        # A card that Discord has not named yet cannot be edited; it stays due until `named`.
        self._queue = LeaseQueue(database, cards, lease_time=lease_time, only=cards.c.message_id.is_not(None))
        self._claiming = self._queue.claiming([*rows.columns(Card), cards.c.attempt])
        self.next_due = self._queue.next_due
        self.renew = self._queue.renew

    async def claim(self, limit: int, now: int) -> Claim[CardView]:
        """Cards whose message shows an old state."""

        async def work(connection: AsyncConnection) -> Claim[CardView]:
            lease, found = await self._queue.claim(connection, self._claiming, limit, now)
            views = [await _with_rows(connection, rows.read(Card, row), attempt=row.attempt) for row in found]
            return Claim(lease, tuple(views))

        return await self._database.run(work)

    async def drawn(self, card: Card, lease: int, now: int) -> bool:
        """The card shows what was claimed. False when somebody else has it, or something changed meanwhile.

        Then it is due again.
        """
        unchanged = cards.c.version == card.version
        due_at = sa.case((unchanged, sa.null()), else_=sa.literal(now))

        async def work(connection: AsyncConnection) -> bool:
            if not await self._queue.finish(connection, card.id, lease, due_at=due_at, attempt=0):
                return False
            still = sa.select(cards.c.id).where(cards.c.id == card.id, unchanged)
            finished = (await connection.execute(still)).first() is not None
            if finished:
                # Whoever asked was forgotten: now that its message is without a name, so is the card.
                has_lines = sa.exists().where(deliveries.c.card_id == cards.c.id)
                await connection.execute(sa.delete(cards).where(cards.c.id == card.id, ~has_lines))
            return finished

        return await self._database.run(work)

    async def postpone(
        self, card_id: int, lease: int, due_at: int, *, attempt: int, set_aside: str | None = None
    ) -> bool:
        """Drawing failed; the next attempt is at `due_at`."""
        return await self._queue.postpone(card_id, lease, due_at, attempt=attempt, set_aside=set_aside)

    async def view(self, card_id: int) -> CardView | None:
        """What the card should show now."""

        async def work(connection: AsyncConnection) -> CardView | None:
            return await view_card(connection, card_id)

        return await self._database.run(work)

    async def named(self, card_id: int, message_id: int) -> None:
        """Discord has told the card's message id. What changed before it did is due already."""

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(
                sa.update(cards).where(cards.c.id == card_id).values(message_id=message_id)
            )
            await announce(connection, cards)

        await self._database.run(work)

    async def release_orphans(self, now: int) -> int:
        """End the leases of a process that died."""
        return await self._queue.release_orphans(now)


async def view_card(connection: AsyncConnection, card_id: int) -> CardView | None:
    """A card and its lines, inside somebody's transaction."""
    found = await connection.execute(sa.select(*rows.columns(Card)).where(cards.c.id == card_id))
    row = found.one_or_none()
    return None if row is None else await _with_rows(connection, rows.read(Card, row))


async def _with_rows(connection: AsyncConnection, card: Card, *, attempt: int = 0) -> CardView:
    found = await connection.execute(
        sa.select(*rows.columns(Delivery), *rows.columns(TrackedTask))
        .join_from(deliveries, tasks, deliveries.c.task_id == tasks.c.id)
        .where(deliveries.c.card_id == card.id)
        .order_by(deliveries.c.id)
    )
    width = len(rows.columns(Delivery))
    return CardView(
        card,
        tuple(CardRow(rows.read(Delivery, row), rows.read(TrackedTask, row, width)) for row in found),
        attempt,
    )
