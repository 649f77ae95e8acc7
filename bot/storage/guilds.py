"""What is kept about servers: which are known, which were left, and what waits for a way to be free."""

from collections.abc import Callable, Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.clock import DAY
from bot.core.tasks import DeliveryState, TaskState
from bot.storage import removal
from bot.storage.engine import Database, announce
from bot.storage.tables import cards, deliveries, departures, tasks
from bot.storage.task_queue import mark_cards

# Longer ago, people have moved on: a video that comes after a month is noise.
_REVIVED_WITHIN = 30 * DAY


class Guilds:
    """Rows of a server stay for a month after the bot was removed, in case it comes back."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def known(self) -> set[int]:
        """The servers that have rows here."""
        return await self._database.run(_known)

    async def compare(
        self, present_now: Iterable[int], is_told_of: Callable[[int], bool], now: int
    ) -> tuple[set[int], set[int]]:
        """Note who is missing and who is back; returns the two, each only when it is news.

        Missing is only what would be in the list if it were there: what `is_told_of`.
        """
        present = set(present_now)

        async def work(connection: AsyncConnection) -> tuple[set[int], set[int]]:
            gone = set((await connection.execute(sa.select(departures.c.guild_id))).scalars())
            missing = {g for g in await _known(connection) - present - gone if is_told_of(g)}
            returned = gone & present
            await _note_departures(connection, missing, now)
            await _forget_departures(connection, returned)
            return missing, returned

        return await self._database.run(work, alone=True)

    async def left(self, guild_id: int, now: int) -> None:
        """The bot was removed. Nothing is noted about a server without rows."""

        async def work(connection: AsyncConnection) -> None:
            noted = sa.select(departures.c.guild_id).where(departures.c.guild_id == guild_id)
            if (await connection.execute(noted)).first() is None and await _has_rows(connection, guild_id):
                await _note_departures(connection, {guild_id}, now)

        await self._database.run(work, alone=True)

    async def present(self, guild_ids: Iterable[int]) -> None:
        """The bot is there."""
        await self._database.run(
            lambda connection: _forget_departures(connection, set(guild_ids)), alone=True
        )

    async def undeliverable_channels(self, guild_id: int) -> set[int]:
        """The channels of a server that did not take something."""

        async def work(connection: AsyncConnection) -> set[int]:
            found = await connection.execute(
                sa.select(deliveries.c.channel_id)
                .where(deliveries.c.guild_id == guild_id)
                .where(deliveries.c.state == DeliveryState.UNDELIVERABLE)
                .distinct()
            )
            return set(found.scalars())

        return await self._database.run(work)

    async def revive(self, channel_ids: Iterable[int], now: int) -> int:
        """Make due again what these channels did not take within the last month; returns how many.

        Only the latest delivery of a task, and none that somebody has had delivered again since: a live
        one is always the latest. Nor of a task that is asked about again: it has nothing to post yet.
        """
        returning = deliveries.c.id.in_(_latest_undeliverable(list(channel_ids), now))

        async def work(connection: AsyncConnection) -> int:
            await mark_cards(connection, returning, now)
            revived = await connection.execute(
                sa.update(deliveries)
                .where(returning)
                .values(state=DeliveryState.DUE, due_at=now, attempt=0, lease=None)
            )
            await announce(connection, deliveries)
            return revived.rowcount

        return await self._database.run(work, alone=True)

    async def purge(self, before: int, now: int) -> int:
        """Forget servers left before that time, and tasks that are nobody's; returns how many servers.

        In small transactions: SQLite has one connection, and whoever tracks something waits for it.
        """
        gone = await self._database.run(lambda connection: _departed(connection, before))
        for guild_id in gone:
            while await self._purge_some(guild_id, before, now):
                continue
        await self._database.run(
            lambda connection: removal.delete_orphans(connection, now, sa.true()), alone=True
        )
        return len(gone)

    async def _purge_some(self, guild_id: int, before: int, now: int) -> bool:
        """One batch; False when nothing is left to do: also when the bot has come back meanwhile."""

        async def work(connection: AsyncConnection) -> bool:
            if guild_id not in await _departed(connection, before):
                return False
            return await _remove_some(connection, guild_id, now)

        return await self._database.run(work, alone=True)


def _latest_undeliverable(channel_ids: list[int], now: int) -> sa.Select[tuple[int]]:
    latest = (
        sa.select(sa.func.max(deliveries.c.id))
        .where(deliveries.c.channel_id.in_(channel_ids))
        .group_by(deliveries.c.channel_id, deliveries.c.task_id)
    )
    return (
        sa.select(deliveries.c.id)
        .join_from(deliveries, tasks, deliveries.c.task_id == tasks.c.id)
        .where(deliveries.c.id.in_(latest), tasks.c.state != TaskState.WAITING)
        .where(deliveries.c.state == DeliveryState.UNDELIVERABLE)
        .where(deliveries.c.ended_at > now - _REVIVED_WITHIN)
    )


async def _known(connection: AsyncConnection) -> set[int]:
    both = sa.union(sa.select(deliveries.c.guild_id), sa.select(cards.c.guild_id))
    return set((await connection.execute(both)).scalars())


async def _has_rows(connection: AsyncConnection, guild_id: int) -> bool:
    for table in (deliveries, cards):
        some = sa.select(table.c.id).where(table.c.guild_id == guild_id).limit(1)
        if (await connection.execute(some)).first() is not None:
            return True
    return False


async def _note_departures(connection: AsyncConnection, guild_ids: set[int], now: int) -> None:
    if guild_ids:
        rows = [{"guild_id": guild_id, "since": now} for guild_id in guild_ids]
        await connection.execute(sa.insert(departures), rows)


async def _forget_departures(connection: AsyncConnection, guild_ids: set[int]) -> None:
    gone = sa.delete(departures).where(departures.c.guild_id == sa.bindparam("gone"))
    if guild_ids:
        await connection.execute(gone, [{"gone": guild_id} for guild_id in guild_ids])


async def _departed(connection: AsyncConnection, before: int) -> Sequence[int]:
    found = sa.select(departures.c.guild_id).where(departures.c.since < before)
    return (await connection.execute(found)).scalars().all()


async def _remove_some(connection: AsyncConnection, guild_id: int, now: int) -> bool:
    """Deliveries first, then the cards that showed them, then the note that the server was left."""
    found = await connection.execute(
        sa.select(deliveries.c.id, deliveries.c.task_id)
        .where(deliveries.c.guild_id == guild_id)
        .limit(removal.AT_ONCE)
    )
    if batch := found.all():
        await removal.delete_deliveries(connection, batch, now)
        return True
    some = sa.select(cards.c.id).where(cards.c.guild_id == guild_id).limit(removal.AT_ONCE)
    if (await connection.execute(sa.delete(cards).where(cards.c.id.in_(some)))).rowcount:
        return True
    await connection.execute(sa.delete(departures).where(departures.c.guild_id == guild_id))
    return False
