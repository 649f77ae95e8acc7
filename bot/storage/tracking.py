"""What commands and buttons write: track, untrack, stop a card, redeliver, watch, delete."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.language import Language
from bot.core.results import new_nonce
from bot.core.tasks import LIVE, DeliveryState, ExistingDelivery, TaskState
from bot.core.tracking import (
    MAX_WATCHERS,
    CardToStop,
    Limits,
    LimitScope,
    PressedButton,
    QuotaReached,
    Registration,
    StopResult,
    TrackRequest,
    UntrackResult,
    WatchResult,
)
from bot.storage.card_queue import is_on_card, mark_cards_due, view_card
from bot.storage.engine import Database, Queries, notify, transaction
from bot.storage.lookups import find_existing
from bot.storage.personal_pace import PersonalPace
from bot.storage.prepared import prepared
from bot.storage.stopping import cancel_deliveries, live_to_stop
from bot.storage.tables import IS_LIVE, cards, deliveries, tasks, watchers


class TrackingQueries(Queries):
    """Writes that users trigger. `interval` is POLL_INTERVAL in milliseconds, `run` the process's run."""

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
        pace = await PersonalPace.of(connection, request.requester_id, now)
        for task_id in new:
            state = await self._want_task(connection, task_id, now, pace)
            await self._insert_delivery(connection, request, task_id, state, now, card_id)
        await notify(connection, tasks, deliveries)
        return Registration(await view_card(connection, card_id), existing)

    async def _check_limits(self, connection: AsyncConnection, request: TrackRequest, wanted: int) -> None:
        limits = self._limits
        for scope, live, limit in (
            (LimitScope.USER, _live_of_user(request.requester_id), limits.per_user),
            (LimitScope.CHANNEL, _live_in_channel(request.channel_id), limits.per_channel),
            (LimitScope.GUILD, _live_in_guild(request.guild_id), limits.per_guild),
        ):
            used = (await connection.execute(*live)).scalar_one()
            if used + wanted > limit:
                raise QuotaReached(scope, used=used, limit=limit, wanted=wanted)

    async def _want_task(
        self, connection: AsyncConnection, task_id: str, now: int, pace: PersonalPace
    ) -> TaskState:
        """Make sure that the task exists and is polled; returns its state."""
        row = (await connection.execute(*_task(task_id))).one_or_none()
        if row is None:
            fresh = _fresh_task(task_id, now) | {"due_at": pace.next_poll(now)}
            await connection.execute(sa.insert(tasks), fresh)
            return TaskState.WAITING
        unwanted = row.state is TaskState.WAITING and row.due_at is None
        # Lost, and a result message is still owed: polling again would erase the reason that it must show.
        still_told = row.state is TaskState.LOST and await _is_owed(connection, task_id)
        if still_told or (row.state is not TaskState.LOST and not unwanted):
            return TaskState(row.state)
        # Keep the interval since the last poll, because it counts per task, not per request.
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
        is_cancelled = await cancel_deliveries(connection, [delivery.id], by, now) > 0
        return UntrackResult.CANCELLED if is_cancelled else UntrackResult.BEING_POSTED

    @transaction
    async def card_to_stop(
        self,
        connection: AsyncConnection,
        card_id: int,
        by: int,
        *,
        may_cancel_any: bool,
        pressed: PressedButton,
    ) -> CardToStop:
        """What `cancel_card` would stop now. Changes nothing."""
        refusal, live = await live_to_stop(connection, card_id, None if may_cancel_any else by, pressed)
        return CardToStop(refusal, len(live))

    @transaction(exclusive=True)
    async def cancel_card(
        self,
        connection: AsyncConnection,
        card_id: int,
        by: int,
        now: int,
        *,
        may_cancel_any: bool,
        pressed: PressedButton,
    ) -> StopResult:
        """End what is live on a card, as far as `by` may, and unless it is being posted right now."""
        refusal, live = await live_to_stop(connection, card_id, None if may_cancel_any else by, pressed)
        if refusal is not None:
            return StopResult(refusal)
        cancelled = await cancel_deliveries(connection, live, by, now)
        return StopResult(None, cancelled, being_posted=len(live) - cancelled)

    @transaction(exclusive=True)
    async def redeliver(
        self,
        connection: AsyncConnection,
        existing: ExistingDelivery,
        by: int,
        now: int,
        language: Language = Language.ENGLISH,
    ) -> bool:
        """Insert a second delivery of a final task, with a new nonce. Raises QuotaReached.

        False when another one was requested since `existing` was read, or when the task is polled again.
        """
        old = existing.delivery
        request = TrackRequest(old.guild_id, old.channel_id, by, (old.task_id,), old.note, language)
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
                language=request.language,
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
    async def mark_deleted(self, connection: AsyncConnection, delivery_id: int, now: int) -> bool:
        """The result message was deleted by its button; ids that share it lose it as well.

        False when it was deleted before, or was never posted.
        """
        row = deliveries.c
        deleted = await connection.execute(
            sa.update(deliveries)
            .where((row.id == delivery_id) | (row.leader_id == delivery_id))
            .where(row.state == DeliveryState.POSTED, row.deleted_at.is_(None))
            .values(deleted_at=now)
            .returning(row.id)
        )
        ids = deleted.scalars().all()
        if ids:
            await mark_cards_due(connection, row.id.in_(ids), now)
        return bool(ids)

    @transaction(exclusive=True)
    async def watch(
        self, connection: AsyncConnection, card_id: int, user_id: int, pressed: PressedButton, now: int
    ) -> WatchResult:
        """Mention a person in the results that a card still waits for, or stop mentioning them."""
        if not await is_on_card(connection, card_id, pressed):
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
            await mark_cards_due(connection, deliveries.c.card_id == card_id, now)
            return WatchResult.REMOVED
        if await _is_full(connection, others):
            return WatchResult.FULL
        await connection.execute(
            sa.insert(watchers), [{"delivery_id": i, "user_id": user_id} for i in others]
        )
        await mark_cards_due(connection, deliveries.c.card_id == card_id, now)
        return WatchResult.ADDED


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
        *("cause", "reason", "video_url", "link_ends_at", "seconds", "model", "created", "took", "lease"),
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


_COUNT = sa.select(sa.func.count()).select_from(deliveries).where(IS_LIVE)


@prepared
def _live_of_user(user_id: int) -> sa.Select[Any]:
    return _COUNT.where(deliveries.c.requester_id == user_id)


@prepared
def _live_in_channel(channel_id: int) -> sa.Select[Any]:
    return _COUNT.where(deliveries.c.channel_id == channel_id)


@prepared
def _live_in_guild(guild_id: int) -> sa.Select[Any]:
    return _COUNT.where(deliveries.c.guild_id == guild_id)


@prepared
def _task(task_id: str) -> sa.Select[Any]:
    columns = tasks.c.state, tasks.c.due_at, tasks.c.polled_at, tasks.c.known
    return sa.select(*columns).where(tasks.c.id == task_id)


async def _insert_card(connection: AsyncConnection, request: TrackRequest) -> int:
    inserted = await connection.execute(
        sa.insert(cards)
        .values(
            guild_id=request.guild_id, channel_id=request.channel_id, attempt=0, language=request.language
        )
        .returning(cards.c.id)
    )
    return int(inserted.scalar_one())


async def _is_owed(connection: AsyncConnection, task_id: str) -> bool:
    live = sa.select(deliveries.c.id).where(deliveries.c.task_id == task_id, IS_LIVE).limit(1)
    return (await connection.execute(live)).first() is not None
