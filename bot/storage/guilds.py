"""What is stored about servers: which have rows, which the bot has left, which results may be tried again."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.clock import DAY
from bot.core.tasks import DeliveryState, Obstacle, TaskState
from bot.storage.card_queue import mark_cards_due
from bot.storage.engine import Queries, notify, transaction
from bot.storage.people import MAX_DELETED_AT_ONCE, delete_deliveries, delete_orphans
from bot.storage.prepared import prepared
from bot.storage.tables import FRESH_START, cards, deliveries, left_guilds, tasks

# After a month people have moved on, and a late video is noise.
_REVIVABLE_FOR = 30 * DAY
_MAY_GO = (Obstacle.PERMISSION, Obstacle.MEMBERSHIP, Obstacle.THREAD)


@dataclass(frozen=True, slots=True)
class RefusedResult:
    """An undeliverable result, with our rights in its channel when it was refused (None: not known)."""

    delivery_id: int
    channel_id: int
    rights: int | None
    since: int
    retried_blindly: bool


class Guilds(Queries):
    """Queries about servers. Rows stay for a month after the bot was removed, in case it comes back."""

    @transaction
    async def known(self, connection: AsyncConnection) -> set[int]:
        """Return the servers that have rows here."""
        return await _with_rows(connection)

    @transaction(exclusive=True)
    async def compare(
        self,
        connection: AsyncConnection,
        present_now: Iterable[int],
        is_visible: Callable[[int], bool],
        now: int,
    ) -> tuple[set[int], set[int]]:
        """Store which servers are missing and which are back; returns both, each server only the first time.

        A server counts as missing only if this shard would get its events: `is_visible`.
        """
        present = set(present_now)
        gone = set((await connection.execute(sa.select(left_guilds.c.guild_id))).scalars())
        missing = {g for g in await _with_rows(connection) - present - gone if is_visible(g)}
        returned = gone & present
        await _insert_left(connection, missing, now)
        await _delete_left(connection, returned)
        return missing, returned

    @transaction(exclusive=True)
    async def left(self, connection: AsyncConnection, guild_id: int, now: int) -> None:
        """Store that the bot was removed from a server. A server without rows is not stored."""
        stored = sa.select(left_guilds.c.guild_id).where(left_guilds.c.guild_id == guild_id)
        if (await connection.execute(stored)).first() is None and await _has_rows(connection, guild_id):
            await _insert_left(connection, {guild_id}, now)

    @transaction(exclusive=True)
    async def present(self, connection: AsyncConnection, guild_ids: Iterable[int]) -> None:
        """Store that the bot is in these servers."""
        await _delete_left(connection, set(guild_ids))

    @transaction
    async def refused(self, connection: AsyncConnection, guild_id: int) -> Sequence[RefusedResult]:
        """Return a server's undeliverable results whose obstacle may go without a request."""
        return [RefusedResult(*row) for row in await connection.execute(*_refused(guild_id))]

    @transaction
    async def set_rights(self, connection: AsyncConnection, delivery_ids: Iterable[int], rights: int) -> None:
        """Store our rights in the channel of refused results that the stored rights do not explain."""
        which = deliveries.c.id.in_(list(delivery_ids))
        await connection.execute(sa.update(deliveries).where(which).values(obstacle_rights=rights))

    @transaction(exclusive=True)
    async def revive(
        self, connection: AsyncConnection, delivery_ids: Iterable[int], now: int, *, blindly: bool = False
    ) -> int:
        """Make due again what was undeliverable within the last month; returns how many.

        Only the latest delivery of a task in a channel is revived, so none that was redelivered since. A task
        that is polled again is left out, because it has nothing to post yet. `blindly`: nothing says that the
        obstacle is gone, so this is done once for each delivery.
        """
        latest = _latest_undeliverable(list(delivery_ids), now)
        ids = [row.id for row in await connection.execute(latest)]
        returning = deliveries.c.id.in_(ids)
        await mark_cards_due(connection, returning, now)
        changes = FRESH_START | ({"retried_blindly": True} if blindly else {})
        revived = await connection.execute(
            sa.update(deliveries).where(returning).values(state=DeliveryState.DUE, due_at=now, **changes)
        )
        await _follow_again(connection, ids)
        await notify(connection, deliveries)
        return revived.rowcount

    async def purge(self, before: int, now: int) -> int:
        """Delete servers left before that time, and tasks without deliveries; returns how many servers.

        In small transactions, because SQLite has one connection and users wait for it.
        """
        gone = await self._left_before(before)
        for guild_id in gone:
            while await self._purge_batch(guild_id, before, now):
                continue
        await self._purge_orphans(now)
        return len(gone)

    @transaction
    async def _left_before(self, connection: AsyncConnection, before: int) -> Sequence[int]:
        return await _left_before(connection, before)

    @transaction(exclusive=True)
    async def _purge_batch(self, connection: AsyncConnection, guild_id: int, before: int, now: int) -> bool:
        """Delete one batch; False when nothing is left to delete, or when the bot has come back meanwhile."""
        if guild_id not in await _left_before(connection, before):
            return False
        return await _remove_some(connection, guild_id, now)

    @transaction(exclusive=True)
    async def _purge_orphans(self, connection: AsyncConnection, now: int) -> None:
        await delete_orphans(connection, now, sa.true())


@prepared
def _refused(guild_id: int) -> sa.Select[Any]:
    row = deliveries.c
    return (
        sa.select(row.id, row.channel_id, row.obstacle_rights, row.obstacle_since, row.retried_blindly)
        .where(row.guild_id == guild_id, row.state == DeliveryState.UNDELIVERABLE)
        .where(row.obstacle.in_(_MAY_GO))
    )


def _latest_undeliverable(delivery_ids: list[int], now: int) -> sa.Select[Any]:
    newer = deliveries.alias()
    superseded = (
        sa.exists()
        .where(newer.c.channel_id == deliveries.c.channel_id, newer.c.task_id == deliveries.c.task_id)
        .where(newer.c.id > deliveries.c.id)
        .correlate(deliveries)
    )
    return (
        sa.select(deliveries.c.id)
        .join_from(deliveries, tasks, deliveries.c.task_id == tasks.c.id)
        .where(deliveries.c.id.in_(delivery_ids), tasks.c.state != TaskState.WAITING, ~superseded)
        .where(deliveries.c.state == DeliveryState.UNDELIVERABLE)
        .where(deliveries.c.ended_at > now - _REVIVABLE_FOR)
    )


async def _follow_again(connection: AsyncConnection, ids: list[int]) -> None:
    """Let followers wait for their leader again if it is revived too; others are posted separately."""
    led = deliveries.c.id.in_(ids) & deliveries.c.leader_id.is_not(None)
    with_leader = led & deliveries.c.leader_id.in_(ids)
    await connection.execute(sa.update(deliveries).where(with_leader).values(due_at=None))
    await connection.execute(sa.update(deliveries).where(led & ~with_leader).values(leader_id=None))


async def _with_rows(connection: AsyncConnection) -> set[int]:
    both = sa.union(sa.select(deliveries.c.guild_id), sa.select(cards.c.guild_id))
    return set((await connection.execute(both)).scalars())


async def _has_rows(connection: AsyncConnection, guild_id: int) -> bool:
    for table in (deliveries, cards):
        some = sa.select(table.c.id).where(table.c.guild_id == guild_id).limit(1)
        if (await connection.execute(some)).first() is not None:
            return True
    return False


async def _insert_left(connection: AsyncConnection, guild_ids: set[int], now: int) -> None:
    if guild_ids:
        rows = [{"guild_id": guild_id, "since": now} for guild_id in guild_ids]
        await connection.execute(sa.insert(left_guilds), rows)


async def _delete_left(connection: AsyncConnection, guild_ids: set[int]) -> None:
    gone = sa.delete(left_guilds).where(left_guilds.c.guild_id == sa.bindparam("gone"))
    if guild_ids:
        await connection.execute(gone, [{"gone": guild_id} for guild_id in guild_ids])


async def _left_before(connection: AsyncConnection, before: int) -> Sequence[int]:
    found: Sequence[int] = (await connection.execute(*_left(before))).scalars().all()
    return found


@prepared
def _left(before: int) -> sa.Select[Any]:
    return sa.select(left_guilds.c.guild_id).where(left_guilds.c.since < before)


async def _remove_some(connection: AsyncConnection, guild_id: int, now: int) -> bool:
    """Delete one batch: deliveries first, then their cards, then the row of the server."""
    found = await connection.execute(
        sa.select(deliveries.c.id, deliveries.c.task_id)
        .where(deliveries.c.guild_id == guild_id)
        .limit(MAX_DELETED_AT_ONCE)
    )
    if batch := found.all():
        await delete_deliveries(connection, batch, now)
        return True
    some = sa.select(cards.c.id).where(cards.c.guild_id == guild_id).limit(MAX_DELETED_AT_ONCE)
    if (await connection.execute(sa.delete(cards).where(cards.c.id.in_(some)))).rowcount:
        return True
    await connection.execute(sa.delete(left_guilds).where(left_guilds.c.guild_id == guild_id))
    return False
