"""What commands and buttons write: track, untrack, redeliver, watch."""

from typing import Self

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.clock import HOUR, SECOND
from bot.core.rate_limit import RateLimit, seconds_until
from bot.core.results import new_nonce
from bot.core.tasks import LIVE, Delivery, DeliveryState, ExistingDelivery, TaskState, may_become
from bot.core.tracking import (
    MAX_WATCHERS,
    Limits,
    LimitScope,
    PressedButton,
    QuotaReached,
    Registration,
    TrackRequest,
    UntrackResult,
    WatchResult,
)
from bot.storage.card_queue import mark_cards_due, view_card
from bot.storage.engine import Database, Queries, notify, transaction
from bot.storage.lookups import find_existing
from bot.storage.tables import IS_BEING_SENT, IS_LIVE, MAY_BE_NAMED, cards, deliveries, tasks, watchers

# New ids of one person that are polled at once; after them, one a second.
_NEW_IDS = RateLimit(rate=1, burst=20)


class TrackingQueries(Queries):
    """Writes that people trigger. `interval` is POLL_INTERVAL in milliseconds, `run` the process's run."""

    def __init__(self, database: Database, *, limits: Limits, interval: int, run: int) -> None:
        super().__init__(database)
        self._limits = limits
        self._interval = interval
        self._run = run

    @transaction(exclusive=True)
    async def register(self, connection: AsyncConnection, request: TrackRequest, now: int) -> Registration:
        """Register all ids or none, in one transaction. Raises QuotaReached."""
        found = [await find_existing(connection, request.channel_id, i) for i in request.ids]
        existing = tuple(e for e in found if e is not None and not _starts_again(e))
        known = {e.delivery.task_id for e in existing}
        new = [task_id for task_id in request.ids if task_id not in known]
        if not new:
            return Registration(None, existing)
        await self._check_limits(connection, request, len(new))
        card_id = await _insert_card(connection, request)
        pace = await _PersonalPace.of(connection, request.requester_id, now)
        for task_id in new:
            state = await self._want_task(connection, task_id, now, pace)
            await self._insert_delivery(connection, request, task_id, state, now, card_id)
        await notify(connection, tasks, deliveries)
        return Registration(await view_card(connection, card_id), existing)

    async def _check_limits(self, connection: AsyncConnection, request: TrackRequest, wanted: int) -> None:
        limits = self._limits
        for scope, column, key, limit in (
            (LimitScope.USER, deliveries.c.requester_id, request.requester_id, limits.per_user),
            (LimitScope.CHANNEL, deliveries.c.channel_id, request.channel_id, limits.per_channel),
            (LimitScope.GUILD, deliveries.c.guild_id, request.guild_id, limits.per_guild),
        ):
            count = sa.select(sa.func.count()).select_from(deliveries).where(column == key, IS_LIVE)
            used = (await connection.execute(count)).scalar_one()
            if used + wanted > limit:
                raise QuotaReached(scope, used=used, limit=limit, wanted=wanted)

    async def _want_task(
        self, connection: AsyncConnection, task_id: str, now: int, pace: "_PersonalPace"
    ) -> TaskState:
        """Make sure that the task exists and is polled; returns its state."""
        row = (
            await connection.execute(
                sa.select(tasks.c.state, tasks.c.due_at, tasks.c.polled_at, tasks.c.known).where(
                    tasks.c.id == task_id
                )
            )
        ).one_or_none()
        if row is None:
            fresh = _fresh_task(task_id, now) | {"due_at": pace.next_poll(now)}
            await connection.execute(sa.insert(tasks).values(fresh))
            return TaskState.WAITING
        unwanted = row.state is TaskState.WAITING and row.due_at is None
        # Lost, and some channel is still to be told: polling again would take the reason from its message.
        still_told = row.state is TaskState.LOST and await _is_owed(connection, task_id)
        if still_told or (row.state is not TaskState.LOST and not unwanted):
            return TaskState(row.state)
        # Not before the interval since the last poll is over: it counts per task, not per request.
        due_at = max(now, (row.polled_at or 0) + self._interval)
        await connection.execute(
            sa.update(tasks)
            .where(tasks.c.id == task_id)
            .values(
                _fresh_task(task_id, now) | {"due_at": due_at, "polled_at": row.polled_at, "known": row.known}
            )
        )
        return TaskState.WAITING

    @transaction(exclusive=True)
    async def cancel(
        self,
        connection: AsyncConnection,
        channel_id: int,
        task_id: str,
        by: int,
        now: int,
        *,
        may_cancel_any: bool,
    ) -> UntrackResult:
        """End what this channel is owed for the task, unless it is being posted right now."""
        found = await find_existing(connection, channel_id, task_id)
        if found is None:
            return UntrackResult.NOT_TRACKED
        delivery = found.delivery
        if delivery.state not in LIVE:
            return UntrackResult.ENDED
        if delivery.requester_id != by and not may_cancel_any:
            return UntrackResult.NOT_YOURS
        return await self._cancel(connection, delivery, by, now)

    async def _cancel(
        self, connection: AsyncConnection, delivery: Delivery, by: int, now: int
    ) -> UntrackResult:
        cancelled = await connection.execute(
            sa.update(deliveries)
            .where(deliveries.c.id == delivery.id, ~IS_BEING_SENT, ~MAY_BE_NAMED)
            .where(deliveries.c.state.in_(may_become(DeliveryState.CANCELLED)))
            .values(state=DeliveryState.CANCELLED, due_at=None, lease=None, ended_at=now, cancelled_by=by)
        )
        if cancelled.rowcount == 0:
            return UntrackResult.BEING_POSTED
        await _stop_polling_if_unwanted(connection, delivery.task_id)
        await mark_cards_due(connection, tasks.c.id == delivery.task_id, now)
        return UntrackResult.CANCELLED

    @transaction(exclusive=True)
    async def redeliver(
        self, connection: AsyncConnection, existing: ExistingDelivery, by: int, now: int
    ) -> bool:
        """Insert a second delivery of a final task, with a nonce of its own. Raises QuotaReached.

        False when another one was requested since `existing` was read, or when the task is polled again.
        """
        old = existing.delivery
        request = TrackRequest(old.guild_id, old.channel_id, by, (old.task_id,), old.note)
        latest = await find_existing(connection, old.channel_id, old.task_id)
        if latest is None or latest.delivery.state in LIVE or latest.task.state is TaskState.WAITING:
            return False
        await self._check_limits(connection, request, 1)
        await self._insert_delivery(connection, request, old.task_id, latest.task.state, now, None)
        await notify(connection, deliveries)
        return True

    async def _insert_delivery(
        self,
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
                run=self._run,
            )
        )

    @transaction(exclusive=True)
    async def watch(
        self, connection: AsyncConnection, card_id: int, user_id: int, pressed: PressedButton
    ) -> WatchResult:
        """Mention a person for what is still to come on a card, or stop mentioning them."""
        if not await _is_on_card(connection, card_id, pressed):
            return WatchResult.UNKNOWN_CARD
        live = (
            await connection.execute(
                sa.select(deliveries.c.id, deliveries.c.requester_id).where(
                    deliveries.c.card_id == card_id, IS_LIVE
                )
            )
        ).all()
        if not live:
            return WatchResult.ENDED
        others = [row.id for row in live if row.requester_id != user_id]
        if not others:
            return WatchResult.OWN
        mine = watchers.c.delivery_id.in_(others) & (watchers.c.user_id == user_id)
        removed = await connection.execute(sa.delete(watchers).where(mine))
        if removed.rowcount == len(others):
            return WatchResult.REMOVED
        if await _is_full(connection, others):
            return WatchResult.FULL
        await connection.execute(
            sa.insert(watchers), [{"delivery_id": i, "user_id": user_id} for i in others]
        )
        return WatchResult.ADDED


class _PersonalPace:
    """When the API is first asked about a person's new ids, so that nobody's list fills everybody's time."""

    def __init__(self, used_until: int) -> None:
        self._used_until = used_until

    @classmethod
    async def of(cls, connection: AsyncConnection, person_id: int, now: int) -> Self:
        """From what they registered within the last hour."""
        theirs = sa.select(deliveries.c.created_at).where(
            deliveries.c.requester_id == person_id, deliveries.c.created_at.between(now - HOUR, now)
        )
        used_until = 0
        for registered_at in sorted((await connection.execute(theirs)).scalars()):
            used_until = _NEW_IDS.after(used_until, registered_at, 1)
        return cls(used_until)

    def next_poll(self, now: int) -> int:
        """When one more new id is polled first (UTC milliseconds)."""
        self._used_until = _NEW_IDS.after(self._used_until, now, 1)
        return now + int(seconds_until(self._used_until, now) * SECOND)


async def _is_on_card(connection: AsyncConnection, card_id: int, pressed: PressedButton) -> bool:
    first = (
        sa.select(cards.c.message_id, deliveries.c.nonce)
        .join_from(deliveries, cards, deliveries.c.card_id == cards.c.id)
        .where(cards.c.id == card_id)
        .order_by(deliveries.c.id)
        .limit(1)
    )
    row = (await connection.execute(first)).one_or_none()
    return row is not None and pressed.is_on(row.message_id, row.nonce)


async def _is_full(connection: AsyncConnection, delivery_ids: list[int]) -> bool:
    counts = (
        sa.select(sa.func.count())
        .where(watchers.c.delivery_id.in_(delivery_ids))
        .group_by(watchers.c.delivery_id)
    )
    return max((await connection.execute(counts)).scalars(), default=0) >= MAX_WATCHERS


def _starts_again(existing: ExistingDelivery) -> bool:
    """Whether tracking the id once more in this channel starts a new delivery."""
    if existing.delivery.state is DeliveryState.CANCELLED:
        return True
    return existing.delivery.state not in LIVE and existing.task.state is TaskState.LOST


def _fresh_task(task_id: str, now: int) -> dict[str, object]:
    counted = ("attempt", "doubt_count", "doubt_time", "answered_time", "silent_time", "planned_delay")
    cleared = (
        *(
            "polled_at",
            "judged_at",
            "finished_at",
            "api_status",
            "api_status_since",
            "doubt",
            "words",
            "trouble",
        ),
        *("cause", "reason", "video_url", "link_ends_at", "seconds", "model", "created", "lease"),
    )
    return (
        {
            "id": task_id,
            "state": TaskState.WAITING,
            "registered_at": now,
            "due_at": now,
            "known": False,
        }
        | dict.fromkeys(counted, 0)
        | dict.fromkeys(cleared)
    )


async def _insert_card(connection: AsyncConnection, request: TrackRequest) -> int:
    inserted = await connection.execute(
        sa.insert(cards)
        .values(guild_id=request.guild_id, channel_id=request.channel_id, attempt=0)
        .returning(cards.c.id)
    )
    return int(inserted.scalar_one())


async def _is_owed(connection: AsyncConnection, task_id: str) -> bool:
    live = sa.select(deliveries.c.id).where(deliveries.c.task_id == task_id, IS_LIVE).limit(1)
    return (await connection.execute(live)).first() is not None


async def _stop_polling_if_unwanted(connection: AsyncConnection, task_id: str) -> None:
    wanted = sa.exists().where(deliveries.c.task_id == task_id, IS_LIVE)
    await connection.execute(
        sa.update(tasks).where(tasks.c.id == task_id, ~wanted).values(due_at=None, lease=None)
    )
