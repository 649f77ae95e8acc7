"""What commands and buttons ask of the database."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.nonces import new_nonce
from bot.core.registration import (
    MOST_WATCHERS,
    Earlier,
    Limits,
    QuotaReached,
    Registered,
    TrackRequest,
    Untracked,
    Watching,
    Whose,
)
from bot.core.tasks import LIVE, Delivery, DeliveryState, TaskState, may_become
from bot.storage.card_queue import view_card
from bot.storage.engine import Database, announce
from bot.storage.lookups import find_earlier
from bot.storage.tables import cards, deliveries, tasks, watchers
from bot.storage.task_queue import mark_cards

_IS_LIVE = deliveries.c.state.in_(LIVE)


class Registrations:
    """Writes of people: track, untrack, deliver again, watch. `interval` is POLL_INTERVAL in ms."""

    def __init__(self, database: Database, *, limits: Limits, interval: int) -> None:
        self._database = database
        self._limits = limits
        self._interval = interval

    async def register(self, request: TrackRequest, now: int) -> Registered:
        """All of it or nothing, in one transaction. Raises QuotaReached."""

        async def work(connection: AsyncConnection) -> Registered:
            earlier = [await find_earlier(connection, request.channel_id, i) for i in request.ids]
            kept = tuple(e for e in earlier if e is not None and not _asks_again(e))
            known = {e.delivery.task_id for e in kept}
            new = [task_id for task_id in request.ids if task_id not in known]
            if not new:
                return Registered(None, kept)
            await self._check_limits(connection, request, len(new))
            card_id = await _insert_card(connection, request)
            for task_id in new:
                state = await self._want_task(connection, task_id, now)
                await _insert_delivery(connection, request, task_id, state, now, card_id)
            await announce(connection, tasks, deliveries)
            return Registered(await view_card(connection, card_id), kept)

        return await self._database.run(work, alone=True)

    async def _check_limits(self, connection: AsyncConnection, request: TrackRequest, wanted: int) -> None:
        limits = self._limits
        for whose, column, key, limit in (
            (Whose.USER, deliveries.c.requester_id, request.requester_id, limits.per_user),
            (Whose.CHANNEL, deliveries.c.channel_id, request.channel_id, limits.per_channel),
            (Whose.GUILD, deliveries.c.guild_id, request.guild_id, limits.per_guild),
        ):
            count = sa.select(sa.func.count()).select_from(deliveries).where(column == key, _IS_LIVE)
            used = (await connection.execute(count)).scalar_one()
            if used + wanted > limit:
                raise QuotaReached(whose, used=used, limit=limit, wanted=wanted)

    async def _want_task(self, connection: AsyncConnection, task_id: str, now: int) -> TaskState:
        """Make sure that the task is there and asked about; returns its state."""
        row = (
            await connection.execute(
                sa.select(tasks.c.state, tasks.c.due_at, tasks.c.asked_at).where(tasks.c.id == task_id)
            )
        ).one_or_none()
        if row is None:
            await connection.execute(sa.insert(tasks).values(_fresh_task(task_id, now)))
            return TaskState.WAITING
        forgotten = row.state is TaskState.WAITING and row.due_at is None
        # Lost, and some channel is still to be told: asking again would take the reason from its message.
        still_told = row.state is TaskState.LOST and await _is_owed(connection, task_id)
        if still_told or (row.state is not TaskState.LOST and not forgotten):
            return TaskState(row.state)
        # Not before the interval is over since the last question: it counts per task, not per wish.
        due_at = max(now, (row.asked_at or 0) + self._interval)
        await connection.execute(
            sa.update(tasks)
            .where(tasks.c.id == task_id)
            .values(_fresh_task(task_id, now) | {"due_at": due_at, "asked_at": row.asked_at})
        )
        return TaskState.WAITING

    async def cancel(
        self, channel_id: int, task_id: str, by: int, now: int, *, may_cancel_any: bool
    ) -> Untracked:
        """End what this channel is owed for the task, unless it is being posted right now."""

        async def work(connection: AsyncConnection) -> Untracked:
            found = await find_earlier(connection, channel_id, task_id)
            if found is None:
                return Untracked.NOT_TRACKED
            delivery = found.delivery
            if delivery.state not in LIVE:
                return Untracked.ENDED
            if delivery.requester_id != by and not may_cancel_any:
                return Untracked.NOT_YOURS
            return await self._cancel(connection, delivery, by, now)

        return await self._database.run(work, alone=True)

    async def _cancel(self, connection: AsyncConnection, delivery: Delivery, by: int, now: int) -> Untracked:
        being_posted = deliveries.c.lease.is_not(None) & deliveries.c.sending_at.is_not(None)
        cancelled = await connection.execute(
            sa.update(deliveries)
            .where(deliveries.c.id == delivery.id, ~being_posted)
            .where(deliveries.c.state.in_(may_become(DeliveryState.CANCELLED)))
            .values(state=DeliveryState.CANCELLED, due_at=None, lease=None, ended_at=now, ended_by=by)
        )
        if cancelled.rowcount == 0:
            return Untracked.BEING_POSTED
        await _stop_asking_if_nobody_waits(connection, delivery.task_id)
        await mark_cards(connection, tasks.c.id == delivery.task_id, now)
        return Untracked.CANCELLED

    async def redeliver(self, earlier: Earlier, by: int, now: int) -> bool:
        """A second delivery of a final task, with a nonce of its own. Raises QuotaReached.

        False when somebody else has asked for one since `earlier` was read, or has the task asked again.
        """
        old = earlier.delivery
        request = TrackRequest(old.guild_id, old.channel_id, by, (old.task_id,), old.note)

        async def work(connection: AsyncConnection) -> bool:
            latest = await find_earlier(connection, old.channel_id, old.task_id)
            if latest is None or latest.delivery.state in LIVE or latest.task.state is TaskState.WAITING:
                return False
            await self._check_limits(connection, request, 1)
            await _insert_delivery(connection, request, old.task_id, latest.task.state, now, None)
            await announce(connection, deliveries)
            return True

        return await self._database.run(work, alone=True)

    async def watch(self, card_id: int, user_id: int) -> Watching:
        """Add somebody to the mentions of what is still to come on a card, or take them off again."""

        async def work(connection: AsyncConnection) -> Watching:
            live = (
                await connection.execute(
                    sa.select(deliveries.c.id, deliveries.c.requester_id).where(
                        deliveries.c.card_id == card_id, _IS_LIVE
                    )
                )
            ).all()
            if not live:
                return Watching.ENDED
            others = [row.id for row in live if row.requester_id != user_id]
            if not others:
                return Watching.OWN
            mine = watchers.c.delivery_id.in_(others) & (watchers.c.user_id == user_id)
            removed = await connection.execute(sa.delete(watchers).where(mine))
            if removed.rowcount == len(others):
                return Watching.REMOVED
            if await _is_crowded(connection, others):
                return Watching.FULL
            await connection.execute(
                sa.insert(watchers), [{"delivery_id": i, "user_id": user_id} for i in others]
            )
            return Watching.ADDED

        return await self._database.run(work, alone=True)


async def _is_crowded(connection: AsyncConnection, delivery_ids: list[int]) -> bool:
    counts = (
        sa.select(sa.func.count())
        .where(watchers.c.delivery_id.in_(delivery_ids))
        .group_by(watchers.c.delivery_id)
    )
    return max((await connection.execute(counts)).scalars(), default=0) >= MOST_WATCHERS


def _asks_again(earlier: Earlier) -> bool:
    """Whether tracking the id once more in this channel starts a new delivery."""
    if earlier.delivery.state is DeliveryState.CANCELLED:
        return True
    return earlier.delivery.state not in LIVE and earlier.task.state is TaskState.LOST


def _fresh_task(task_id: str, now: int) -> dict[str, object]:
    cleared = ("word", "word_at", "reason", "video_url", "seconds", "asked_at", "finished_at")
    return {
        "id": task_id,
        "state": TaskState.WAITING,
        "registered_at": now,
        "due_at": now,
        "attempt": 0,
        "doubts": 0,
        "lease": None,
    } | dict.fromkeys(cleared)


async def _insert_card(connection: AsyncConnection, request: TrackRequest) -> int:
    inserted = await connection.execute(
        sa.insert(cards)
        .values(guild_id=request.guild_id, channel_id=request.channel_id, attempt=0)
        .returning(cards.c.id)
    )
    return int(inserted.scalar_one())


async def _insert_delivery(
    connection: AsyncConnection,
    request: TrackRequest,
    task_id: str,
    task_state: TaskState,
    now: int,
    card_id: int | None,
) -> None:
    waiting = task_state is TaskState.WAITING
    await connection.execute(
        sa.insert(deliveries).values(
            task_id=task_id,
            guild_id=request.guild_id,
            channel_id=request.channel_id,
            requester_id=request.requester_id,
            note=request.note,
            state=DeliveryState.OPEN if waiting else DeliveryState.DUE,
            nonce=new_nonce(),
            card_id=card_id,
            created_at=now,
            due_at=None if waiting else now,
            attempt=0,
        )
    )


async def _is_owed(connection: AsyncConnection, task_id: str) -> bool:
    live = sa.select(deliveries.c.id).where(deliveries.c.task_id == task_id, _IS_LIVE).limit(1)
    return (await connection.execute(live)).first() is not None


async def _stop_asking_if_nobody_waits(connection: AsyncConnection, task_id: str) -> None:
    wanted = sa.exists().where(deliveries.c.task_id == task_id, _IS_LIVE)
    await connection.execute(
        sa.update(tasks).where(tasks.c.id == task_id, ~wanted).values(due_at=None, lease=None)
    )
